// A lane for each version of the application: a bar each half second, as high as its slowest request (log scale), coloured by what became of the requests.
import { byId, h } from '../dom.js';
import { integer, millis, minute } from '../format.js';
import { swatch } from '../parts.js';

const CELL_MS = 500;
const HEIGHT = 56;
const TOP_MS = 3000;
const FLOOR = 3;
const round = (n) => Math.round(n * 100) / 100;
const box = (x, width, top, bottom) => `M${x} ${round(top)}h${width}V${round(bottom)}h-${width}z`;

// The bars of one outcome are one path: two lanes cost the page a dozen nodes, not 240.
function paths(lane, start, cells) {
  const d = { none: '', ok: '', slow: '', bad: '' };
  const filled = new Map(lane.bars.map((b) => [Math.floor((b[0] - start) / CELL_MS), b]));
  for (let i = 0; i < cells; i++) {
    const [, ok, slow, failed, slowest] = filled.get(i) ?? [0, 0, 0, 0, 0];
    if (failed > 0) d.bad += [[0, 0.58], [0.62, 0.7], [0.74, 1]].map(([from, to]) => box(i, 0.76, from * HEIGHT, to * HEIGHT)).join('');
    else if (ok + slow === 0) d.none += box(i, 0.76, HEIGHT - FLOOR / 2, HEIGHT);
    else d[slow > 0 ? 'slow' : 'ok'] += box(i, 0.76, HEIGHT * (1 - Math.max(0.08, Math.min(1, Math.log10(Math.max(1, slowest)) / Math.log10(TOP_MS)))), HEIGHT);
  }
  return d;
}

function strip(lane, gap, start, spanMs) {
  const cells = spanMs / CELL_MS;
  const x = (t) => round(Math.max(0, Math.min(100, ((t - start) / spanMs) * 100))) + '%';
  const label = lane.running || lane.requests ? `${lane.name}, last ${spanMs / 1000} seconds: ${integer(lane.failed)} failed requests, slowest ${millis(lane.slowest_ms)}` : `${lane.name}: not running`;
  return h('div', { class: 'strip', role: 'img', 'aria-label': label },
    h('svg', { viewBox: `0 0 ${cells} ${HEIGHT}`, preserveAspectRatio: 'none', 'aria-hidden': 'true' }, Object.entries(paths(lane, start, cells)).map(([kind, d]) => h('path', { class: 'cell-' + kind, d }))),
    gap && h('svg', { class: 'gap', 'aria-hidden': 'true' }, h('line', { class: 'gap-line', x1: x(gap.from), x2: x(gap.to), y1: 7, y2: 7 }), [gap.from, gap.to].map((t) => h('line', { class: 'gap-line', x1: x(t), x2: x(t), y1: 3, y2: 11 })),
      h('text', parseFloat(x(gap.from)) > 45 ? { class: 'gap-text', x: x(gap.from), y: 11, dx: -6, 'text-anchor': 'end' } : { class: 'gap-text', x: x(gap.to), y: 11, dx: 6 }, millis(gap.ms) + ' without an answer')));
}

// Labels of the marks: behind their line, or before it where there is no room, or in a second row; the line is drawn in any case.
function place(marks, start, spanMs) {
  const width = byId('traffic').querySelector('.strip')?.clientWidth || 600;
  const taken = [[], []];
  const free = (row, from, to) => from >= 0 && to <= width && taken[row].every(([a, b]) => to < a - 4 || from > b + 4);
  const take = (row, from, to) => taken[row].push([from, to]);
  const size = (text) => text.length * 6.2 + 4;
  take(0, width - size('now'), width);
  const placed = marks.filter((m) => m.t >= start && m.t <= start + spanMs).map((m) => {
    const x = ((m.t - start) / spanMs) * width;
    const found = [[0, x, x + size(m.text), 'start'], [0, x - size(m.text), x, 'end'], [1, x, x + size(m.text), 'start'], [1, x - size(m.text), x, 'end']].find(([row, from, to]) => free(row, from, to));
    if (found) take(...found);
    return { ...m, x: round((x / width) * 100) + '%', row: found?.[0] ?? null, anchor: found?.[3] };
  });
  return { placed, origin: free(0, 0, size('60 s ago')) };
}

const KEYS = ['rate', 'failed', 'p50', 'p99', 'slowest'];
const numbers = (lane) => {
  const bad = lane.failed > 0;
  return lane.running || lane.requests
    ? [[integer(lane.rate) + '/s'], [integer(lane.failed), bad], [millis(lane.p50_ms)], [millis(lane.p99_ms), bad && lane.p99_ms >= 250], [millis(lane.slowest_ms), bad && lane.slowest_ms >= 250]]
      .map(([text, isBad], i) => h('span', { 'data-k': KEYS[i], class: isBad ? 'bad' : null }, h('span', { class: 'hidden' }, KEYS[i] + ' '), text))
    : h('span', { class: 'muted idle' }, 'not running');
};

const SUBS = {
  live: 'The last 60 s. The height of a bar is its slowest request, log scale.',
  naive: 'On a copy of the table. The kindest release there is: the old version stops and the new one starts at the instant of commit.',
};

export const traffic = {
  name: 'traffic',
  needs: ({ state }) => [state?.demo?.traffic, state?.demo?.naive_run],
  sub: ({ state }) => SUBS[state.demo.traffic.scene] ?? '',
  body({ state: { demo: { traffic: t, naive_run: run } } }) {
    const start = (Math.floor(Date.parse(t.at) / CELL_MS) + 1) * CELL_MS - t.span_ms;
    const { placed, origin } = place(t.marks, start, t.span_ms);
    const pad = () => h('span', { class: 'pad' });
    return [h('div', { class: 'lanes' }, pad(), pad(), h('div', { class: 'nums hd-row', 'aria-hidden': 'true' }, KEYS.map((key) => h('span', {}, key))),
      t.lanes.map((lane, i) => [h('div', { class: 'who' }, lane.name, h('small', {}, 'writes ' + lane.writes)), strip(lane, i === 0 && t.gap, start, t.span_ms), h('div', { class: 'nums' }, numbers(lane))]),
      pad(), h('svg', { class: 'strip-axis', 'aria-hidden': 'true' },
        placed.map((m) => h('g', { key: `${m.t} ${m.text}` }, h('line', { class: 'ev-line', x1: m.x, x2: m.x, y1: 0, y2: 10 }), m.row !== null && h('text', { x: m.x, y: 20 + m.row * 14, dx: m.anchor === 'end' ? -3 : 3, 'text-anchor': m.anchor }, m.text))),
        h('text', { x: 0, y: 20 }, origin && '60 s ago'), h('text', { x: '100%', y: 20, 'text-anchor': 'end' }, 'now')), pad()),
    h('div', { class: 'legend' }, swatch('cell-ok', 'answered'), swatch('cell-slow', 'answered after 250 ms or more'),
      swatch('', 'some failed (gave up, or an error)', [h('rect', { class: 'cell-bad', width: 18, height: 3 }), h('rect', { class: 'cell-bad', y: 5, width: 18, height: 3 })]), swatch('cell-none', 'not running')),
    run && h('p', { class: 'naive-run' }, `The naive way, ${minute(run.at)}${run.running ? ', runs now' : ''}: `, h('b', { class: run.failed > 0 ? 'bad' : null }, `${integer(run.failed)} failed of ${integer(run.requests)} requests`),
      `, ${millis(run.longest_gap_ms)} without an answer, lock held for ${millis(run.held_ms)}.`)];
  },
};
