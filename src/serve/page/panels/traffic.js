// A lane for each version of the application: a bar each half second, as high as its slowest request (log scale).
import { drawing, h } from '../dom.js';
import { integer, millis, minute } from '../format.js';
import { swatch } from '../parts.js';

const CELL_MS = 500;
const HIGH = 56;
const TOP_MS = 3000;
const SLOW_MS = 250;
const round = (n) => Math.round(n * 100) / 100;
const box = (x, top, bottom) => `M${x} ${round(top * HIGH)}h.76V${round(bottom * HIGH)}h-.76z`;
// A bar with failed requests is told by its notches too.
const NOTCHED = [[0, 0.58], [0.62, 0.7], [0.74, 1]];

// The bars of one outcome are one path: two lanes cost the page a dozen nodes, not 240.
function bars(lane, start, cells) {
  const d = { none: '', ok: '', slow: '', bad: '' };
  const at = new Map(lane.bars.map(([t, ...bar]) => [Math.floor((t - start) / CELL_MS), bar]));
  for (let i = 0; i < cells; i++) {
    const [ok, slow, failed, slowest] = at.get(i) ?? [0, 0, 0, 0];
    const high = Math.max(0.08, Math.min(1, Math.log(Math.max(1, slowest)) / Math.log(TOP_MS)));
    if (failed) d.bad += NOTCHED.map(([top, bottom]) => box(i, top, bottom)).join('');
    else if (ok + slow) d[slow ? 'slow' : 'ok'] += box(i, 1 - high, 1);
    else d.none += box(i, 0.97, 1);
  }
  return Object.entries(d).map(([kind, path]) => h('path', { class: 'cell-' + kind, d: path }));
}

function bracket(gap, x) {
  const [from, to] = [x(gap.from), x(gap.to)];
  const left = parseFloat(from) > 45;
  return drawing('svg.gap', {}, [[from, to, 7, 7], [from, from, 3, 11], [to, to, 3, 11]].map(([x1, x2, y1, y2]) => h('line.gap-line', { x1, x2, y1, y2 })),
    h('text.gap-text', { x: left ? from : to, y: 11, dx: left ? -6 : 6, 'text-anchor': left ? 'end' : 'start' }, millis(gap.ms) + ' without an answer'));
}

// A label stands behind the line of its mark, or before it where there is no room; the line is drawn in any case.
function axis(marks, x) {
  const width = document.querySelector('.strip')?.clientWidth ?? 300;
  const pixel = (m) => (parseFloat(x(m.t)) / 100) * width;
  const taken = [...marks.map((m) => [pixel(m), pixel(m)]), [width - 30, width]];
  const take = (from, to) => from >= 0 && taken.every(([a, b]) => to < a || from > b) && taken.push([from, to]);
  const side = (at, size) => (take(at + 1, at + size) ? 1 : take(at - size, at - 1) ? -1 : 0);
  const placed = marks.map((m) => [m, side(pixel(m), m.text.length * 6.4 + 6)]);
  return drawing('svg.strip-axis', {}, placed.map(([{ t, text }, to]) => h('g', { key: `${t} ${text}` }, h('line.ev-line', { x1: x(t), x2: x(t), y2: 10 }), to !== 0 && h('text', { x: x(t), y: 20, dx: 3 * to, 'text-anchor': to > 0 ? 'start' : 'end' }, text))),
    h('text', { y: 20 }, take(0, 60) && '60 s ago'), h('text', { x: '100%', y: 20, 'text-anchor': 'end' }, 'now'));
}

const KEYS = ['rate', 'failed', 'p50', 'p99', 'slowest'];
const idle = (lane) => !lane.running && !lane.requests;

function numbers(lane) {
  if (idle(lane)) return h('span.muted.idle', 'not running');
  const late = (ms) => lane.failed > 0 && ms >= SLOW_MS;
  const values = [[integer(lane.rate, '/s')], [integer(lane.failed), lane.failed > 0], [millis(lane.p50_ms)], [millis(lane.p99_ms), late(lane.p99_ms)], [millis(lane.slowest_ms), late(lane.slowest_ms)]];
  return values.map(([text, isBad], i) => h('span', { 'data-k': KEYS[i], class: isBad && 'bad' }, h('span.hidden', KEYS[i] + ' '), text));
}

const SUBS = { live: 'The last 60 s. The height of a bar is its slowest request, log scale.', naive: 'On a copy. The kindest release there is: the old version stops and the new one starts at the instant of commit.' };

export const traffic = {
  name: 'traffic', title: 'Traffic',
  needs: ({ state: { demo } }) => [demo.traffic, demo.naive_run],
  sub: ({ state }) => SUBS[state.demo.traffic.scene],
  body({ state: { demo: { traffic: t, naive_run: run } } }) {
    const start = (Math.floor(Date.parse(t.at) / CELL_MS) + 1) * CELL_MS - t.span_ms;
    const x = (ms) => round(Math.max(0, Math.min(100, ((ms - start) / t.span_ms) * 100))) + '%';
    const pad = () => h('span.pad');
    return [h('div.lanes', pad(), pad(), h('div.nums.hd-row', { 'aria-hidden': 'true' }, KEYS.map((key) => h('span', key))), t.lanes.map((lane, i) => [h('div.who', lane.name, h('small', 'writes ' + lane.writes)),
      h('div.strip', { role: 'img', 'aria-label': idle(lane) ? lane.name + ': not running' : `${lane.name}, the last 60 seconds: ${integer(lane.failed)} failed requests, slowest ${millis(lane.slowest_ms)}` },
        drawing('svg', { viewBox: `0 0 ${t.span_ms / CELL_MS} ${HIGH}`, preserveAspectRatio: 'none' }, bars(lane, start, t.span_ms / CELL_MS)), i === 0 && t.gap && bracket(t.gap, x)), h('div.nums', numbers(lane))]),
    pad(), axis(t.marks.filter((m) => m.t >= start), x), pad()),
    h('div.legend', swatch('answered', 'cell-ok'), swatch('answered after 250 ms or more', 'cell-slow'),
      swatch('some failed (gave up, or an error)', [0, 5].map((y) => h('rect.cell-bad', { y, width: 18, height: 3 }))), swatch('not running', 'cell-none')),
    run && h('p.naive-run', `The naive way, ${minute(run.at)}${run.running ? ', runs now' : ''}: `, h('b', { class: run.failed > 0 && 'bad' }, `${integer(run.failed)} failed of ${integer(run.requests)} requests`), `, ${millis(run.longest_gap_ms)} without an answer, lock held for ${millis(run.held_ms)}.`)];
  },
};
