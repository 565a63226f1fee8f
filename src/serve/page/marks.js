// A shape for every status, so that colour never tells it alone.
import { h } from './dom.js';

const stroke = (colour, width, more) => ({ fill: 'none', stroke: `var(--${colour})`, 'stroke-width': width, ...more });
const circle = (c, r, props) => h('circle', { cx: c, cy: c, r, ...props });
const path = (d, props) => h('path', { d, ...props });
const filled = (colour) => ({ fill: `var(--${colour})` });
const DASH = { 'stroke-dasharray': '3 2.5' };

// The shapes of an 18 by 18 field, for answers.
const MARKS = {
  ok: () => [circle(9, 8, filled('ok-mark')), path('M5.2 9.3l2.6 2.6 5-5.4', stroke('bg', 2))],
  run: () => [circle(9, 7, stroke('accent', 2)), circle(9, 3, filled('accent'))],
  pause: () => [h('rect', { x: 1, y: 1, width: 16, height: 16, rx: 2, ...filled('warn-mark') }), path('M6.5 5v8M11.5 5v8', stroke('bg', 2.4))],
  warn: () => [path('M9 1l8.5 15.5H.5z', filled('warn-mark')), path('M9 6v5M9 12.6v2', stroke('bg', 2))],
  bad: () => [path('M5.5.8h7l4.7 4.7v7l-4.7 4.7h-7L.8 12.5v-7z', filled('bad-mark')), path('M5.8 5.8l6.4 6.4M12.2 5.8l-6.4 6.4', stroke('bg', 2))],
  you: () => [circle(9, 7, stroke('accent', 2, DASH))],
  none: () => [circle(9, 7, stroke('line-strong', 2))],
};

// The shapes of a 20 by 20 field, for phases.
const NODES = {
  done: () => [circle(10, 9, filled('ours')), path('M6 10.3l2.8 2.8 5.2-5.8', stroke('bg', 2))],
  now: () => [circle(10, 8, stroke('ours', 2, filled('bg'))), circle(10, 4, filled('ours'))],
  todo: () => [circle(10, 8, stroke('line-strong', 1.5, filled('bg')))],
  you: () => [circle(10, 8, stroke('line-strong', 1.5, { ...filled('bg'), ...DASH }))],
  yours: () => [circle(10, 8, stroke('ours', 2, { ...filled('bg'), ...DASH })), circle(10, 3.5, filled('ours'))],
  paused: () => [h('rect', { x: 1.5, y: 1.5, width: 17, height: 17, rx: 2, ...filled('warn-mark') }), path('M7.5 6v8M12.5 6v8', stroke('bg', 2.2))],
  stopped: () => [path('M10 1.5l9 16.5H1z', filled('warn-mark')), path('M10 7v5M10 13.7v2', stroke('bg', 2))],
  failed: () => [path('M6 1h8l5 5v8l-5 5H6l-5-5V6z', filled('bad-mark')), path('M6.7 6.7l6.6 6.6M13.3 6.7l-6.6 6.6', stroke('bg', 2))],
  skipped: () => [circle(10, 8, stroke('line-strong', 1.5, filled('bg'))), path('M5 10h10', stroke('line-strong', 1.5))],
};

const shape = (shapes, kind, size, cls) => {
  const known = shapes[kind] ? kind : 'none' in shapes ? 'none' : 'todo';
  return h('svg', { key: known, class: cls, viewBox: `0 0 ${size} ${size}`, 'aria-hidden': 'true' }, shapes[known]());
};
export const mark = (kind) => shape(MARKS, kind, 18, 'mark');
export const node = (kind) => shape(NODES, kind, 20, 'node');
