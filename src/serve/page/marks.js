// A shape for every status, so that colour never tells it alone.
import { drawing, h } from './dom.js';

const fill = (colour) => ({ fill: `var(--${colour})` });
const line = (colour, width, more = { fill: 'none' }) => ({ stroke: `var(--${colour})`, 'stroke-width': width, ...more });
const dashed = (more) => ({ ...more, 'stroke-dasharray': '3 2.5' });
const circle = (at, r, props) => h('circle', { cx: at, cy: at, r, ...props });
const square = (at, size, props) => h('rect', { x: at, y: at, width: size, height: size, rx: 2, ...props });
const path = (d, props) => h('path', { d, ...props });

// For answers, in 18 by 18.
const MARKS = {
  ok: () => [circle(9, 8, fill('ok-mark')), path('M5.2 9.3l2.6 2.6 5-5.4', line('bg', 2))],
  run: () => [circle(9, 7, line('accent', 2)), circle(9, 3, fill('accent'))],
  pause: () => [square(1, 16, fill('warn-mark')), path('M6.5 5v8M11.5 5v8', line('bg', 2.4))],
  warn: () => [path('M9 1l8.5 15.5H.5z', fill('warn-mark')), path('M9 6v5M9 12.6v2', line('bg', 2))],
  bad: () => [path('M5.5.8h7l4.7 4.7v7l-4.7 4.7h-7L.8 12.5v-7z', fill('bad-mark')), path('M5.8 5.8l6.4 6.4M12.2 5.8l-6.4 6.4', line('bg', 2))],
  you: () => circle(9, 7, dashed(line('accent', 2))),
  none: () => circle(9, 7, line('line-strong', 2)),
};
// For phases, in 20 by 20.
const ring = (colour, width) => line(colour, width, fill('bg'));
const NODES = {
  done: () => [circle(10, 9, fill('ours')), path('M6 10.3l2.8 2.8 5.2-5.8', line('bg', 2))],
  now: () => [circle(10, 8, ring('ours', 2)), circle(10, 4, fill('ours'))],
  todo: () => circle(10, 8, ring('line-strong', 1.5)),
  you: () => circle(10, 8, dashed(ring('line-strong', 1.5))),
  yours: () => [circle(10, 8, dashed(ring('ours', 2))), circle(10, 3.5, fill('ours'))],
  paused: () => [square(1.5, 17, fill('warn-mark')), path('M7.5 6v8M12.5 6v8', line('bg', 2.2))],
  stopped: () => [path('M10 1.5l9 16.5H1z', fill('warn-mark')), path('M10 7v5M10 13.7v2', line('bg', 2))],
  failed: () => [path('M6 1h8l5 5v8l-5 5H6l-5-5V6z', fill('bad-mark')), path('M6.7 6.7l6.6 6.6M13.3 6.7l-6.6 6.6', line('bg', 2))],
  skipped: () => [circle(10, 8, ring('line-strong', 1.5)), path('M5 10h10', line('line-strong', 1.5))],
};

export const mark = (kind) => drawing('svg.mark', { key: kind, viewBox: '0 0 18 18' }, MARKS[kind]());
export const node = (kind) => drawing('svg.node', { key: kind, viewBox: '0 0 20 20' }, NODES[kind]());
