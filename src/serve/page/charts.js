// The three charts over time, by Chart.js where it was loaded. A pause or a lost runner is a gap, hatched where it is known why: never 0, never a slope.
import { announce, byId, h, mount } from './dom.js';
import { clock, integer, millis, minute } from './format.js';
import { letter } from './panels/backfill.js';
import { spansPlugin } from './spans.js';

const seconds = (n) => (n / 1000).toFixed(1) + ' s';
const CHARTS = [
  { key: 'rate', title: 'Rows per second', height: 150, lines: [['rows_per_second', 'ours', true]], middle: true, letters: true,
    tick: (y) => (y >= 1000 ? y / 1000 + 'k' : String(y)), read: (p) => (p.rows_per_second === null ? 'no batch' : integer(p.rows_per_second) + ' rows/s') },
  { key: 'batch', title: 'Batch time', height: 74, lines: [['batch_p50_ms', 'old'], ['batch_p99_ms', 'ours']], limit: 'target_batch_ms', legend: [['series', 'p99'], ['series alt', 'p50'], ['limit', 'target']],
    tick: (y) => y + ' ms', read: (p) => (p.batch_p99_ms === null ? 'no batch' : `p50 ${millis(p.batch_p50_ms)}, p99 ${millis(p.batch_p99_ms)}`) },
  { key: 'lag', title: 'Lag of the replica that is furthest behind', height: 74, lines: [['lag_ms', 'ours']], limit: 'max_replica_lag_ms', legend: [['limit', 'limit: above it the backfill pauses']],
    tick: (y) => y / 1000 + ' s', read: (p) => (p.lag_ms === null ? 'not known' : seconds(p.lag_ms)) },
];
const LEFT = 52;
const STEPS_S = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400, 172800, 604800];

// The next round figure above a value, so that an axis changes seldom.
function roundUp(value) {
  if (!(value > 0)) return 1;
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 1.5, 2, 3, 4, 5, 6, 8, 10].find((n) => n * power >= value) * power;
}

const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue('--' + name).trim();

// What all charts share: the points, the spans, the time they cover and the point that is read.
const shared = { series: null, t: [], spans: [], from: 0, to: 1, limits: {}, index: null, last: null };
let charts = null;
let chosen = false; // whether the visitor or the first message has decided if the charts are open

// Where points are missing the line is broken: a point that is no number stands between.
function points(key, { series }) {
  const { t } = series;
  const usual = t.length > 2 ? [...t.slice(1).map((x, i) => x - t[i])].sort((a, b) => a - b)[Math.floor((t.length - 1) / 2)] : 0;
  const out = [];
  t.forEach((x, i) => {
    if (i && x - t[i - 1] > Math.max(15000, 4 * usual)) out.push({ x: t[i - 1] + 1, y: NaN });
    out.push({ x, y: series[key][i] ?? NaN });
  });
  return out;
}

class TimeChart {
  constructor(spec, root) {
    this.spec = spec;
    this.node = root.querySelector(`[data-chart=${spec.key}]`);
    this.box = this.node.querySelector('.plot');
    this.readout = mount(this.node.querySelector('.read'));
    const move = (i) => { shared.index = i; charts.forEach((chart) => chart.point()); };
    this.box.addEventListener('pointermove', (event) => move(this.nearest(event)));
    this.box.addEventListener('pointerleave', () => move(null));
    this.box.addEventListener('blur', () => move(null));
    this.box.addEventListener('keydown', (event) => {
      if (event.key === 'Escape') move(null);
      const step = { ArrowLeft: -1, ArrowRight: 1, PageUp: -12, PageDown: 12, Home: -Infinity, End: Infinity }[event.key];
      if (step === undefined || !shared.t.length) return;
      event.preventDefault();
      const from = shared.index ?? shared.t.length;
      move(Math.max(0, Math.min(shared.t.length - 1, from + step)));
      announce(this.text());
    });
    this.point();
  }

  nearest(event) {
    if (!this.chart || !shared.t.length) return null;
    const x = this.chart.scales.x.getValueForPixel(event.offsetX);
    const right = shared.t.findIndex((t) => t >= x);
    if (right <= 0) return right === 0 ? 0 : shared.t.length - 1;
    return x - shared.t[right - 1] < shared.t[right] - x ? right - 1 : right;
  }

  text() {
    const i = shared.index;
    const span = this.spec.letters && shared.spans.find((s) => shared.t[i] >= s.from && shared.t[i] <= s.to);
    const value = Object.fromEntries(this.spec.lines.map(([key]) => [key, shared.series[key][i]]));
    return `${clock(shared.t[i])} ${span ? `paused (${span.letter})` : this.spec.read(value)}`;
  }

  // Only what is read changes; the lines stay.
  point() {
    if (shared.index !== null && shared.index >= shared.t.length) shared.index = null;
    this.readout(shared.index === null ? (this.spec.legend ?? []).map(([cls, text]) => h('span', {}, h('svg', { viewBox: '0 0 16 8', 'aria-hidden': 'true' }, h('line', { class: cls, x1: 0, x2: 16, y1: 4, y2: 4 })), this.named(cls, text))) : h('span', {}, this.text()));
    this.chart?.draw();
  }

  named(cls, text) {
    const limit = cls === 'limit' ? shared.limits[this.spec.limit] : null;
    if (!limit) return text;
    return text.replace(/^(target|limit)/, `$1 ${this.spec.key === 'lag' ? limit / 1000 + ' s' : limit + ' ms'}`);
  }

  make() {
    if (this.chart || !globalThis.Chart) return;
    const { spec } = this;
    const canvas = document.createElement('canvas');
    canvas.setAttribute('aria-hidden', 'true');
    this.box.replaceChildren(canvas);
    this.chart = new globalThis.Chart(canvas, {
      type: 'line',
      data: { datasets: spec.lines.map(([, , area]) => ({ data: [], fill: area ? 'origin' : false })) },
      plugins: [spansPlugin(shared, spec, colour)],
      options: {
        animation: false, parsing: false, normalized: true, responsive: true, maintainAspectRatio: false, events: [],
        elements: { point: { radius: 0 }, line: { borderWidth: 1.5, borderJoinStyle: 'round' } },
        plugins: { legend: { display: false }, tooltip: { enabled: false } },
        scales: {
          x: { type: 'linear', afterBuildTicks: (scale) => { scale.ticks = this.times(scale.width || 600); },
            grid: { display: false, drawBorder: false }, ticks: { autoSkip: false, maxRotation: 0, padding: 0, callback: (x) => (shared.step < 60000 ? clock(x) : minute(x)) } },
          y: { min: 0, afterFit: (scale) => { scale.width = LEFT; }, afterBuildTicks: (scale) => { scale.ticks = (spec.middle ? [0, scale.max / 2, scale.max] : [0, scale.max]).map((value) => ({ value })); },
            grid: { drawBorder: false, drawTicks: false }, ticks: { autoSkip: false, padding: 6, callback: spec.tick } },
        },
      },
    });
  }

  times(width) {
    const seconds = (shared.to - shared.from) / 1000;
    shared.step = (STEPS_S.find((s) => seconds / s <= Math.max(2, width / 90)) ?? STEPS_S.at(-1)) * 1000;
    const ticks = [];
    for (let t = Math.ceil(shared.from / shared.step) * shared.step; t <= shared.to; t += shared.step) ticks.push({ value: t });
    return ticks;
  }

  update() {
    const { spec } = this;
    const now = shared.t.length - 1;
    const value = Object.fromEntries(spec.lines.map(([key]) => [key, now < 0 ? null : shared.series[key][now]]));
    const label = `${spec.title}. ${now < 0 ? 'No point yet.' : `Last, at ${clock(shared.t[now])}: ${spec.read(value)}.`} ${spec.letters ? `Paused ${shared.spans.length} times. ` : ''}Arrow keys read the points.`;
    this.box.setAttribute('aria-label', label);
    this.make();
    this.point();
    if (!this.chart) return;
    const { x, y } = this.chart.options.scales;
    const limit = shared.limits[spec.limit] ?? 0;
    const most = Math.max(limit, ...spec.lines.map(([key]) => shared.series[key].reduce((max, v) => Math.max(max, v ?? 0), 0)));
    const last = shared.last === spec.key;
    Object.assign(x, { min: shared.from, max: shared.to });
    Object.assign(x.ticks, { display: last, color: colour('muted'), font: FONT() });
    y.max = roundUp(most * 1.02);
    Object.assign(y.ticks, { color: colour('muted'), font: FONT() });
    y.grid.color = colour('line');
    this.chart.options.layout = { padding: { top: 10, right: 8, bottom: last ? 0 : 6 } };
    this.chart.data.datasets.forEach((set, i) => {
      const [key, name, area] = spec.lines[i];
      Object.assign(set, { data: points(key, shared), borderColor: colour(name), backgroundColor: area ? colour('accent-soft') : 'transparent' });
    });
    this.chart.update('none');
  }
}
const FONT = () => ({ size: 11, family: getComputedStyle(document.body).fontFamily });

function build() {
  const root = byId('charts');
  mount(root)(CHARTS.map((spec) => h('div', { class: 'chart', 'data-chart': spec.key }, h('div', { class: 'chart-head' }, h('b', {}, spec.title), h('span', { class: 'read' })),
    h('div', { class: 'plot ' + spec.key, tabindex: 0, role: 'img', 'aria-label': spec.title }))));
  charts = CHARTS.map((spec) => new TimeChart(spec, root));
}

let before = [];
let redraw = true;

export function drawCharts({ series, migration, stale }) {
  const backfill = migration.backfill;
  const details = byId('over-time');
  details.hidden = !backfill;
  if (!backfill) return;
  // Of a backfill that is long done the charts are folded; one that ends while somebody looks stays as it is.
  if (!chosen) details.open = !backfill.done;
  chosen = true;
  details.classList.toggle('folds', backfill.done);
  const needs = [series, migration.pauses, backfill.limits, Boolean(stale)];
  if (!redraw && needs.every((value, i) => value === before[i])) return;
  before = needs;
  redraw = false;
  if (!charts) build();
  const { t } = series;
  const open = migration.pauses.some((pause) => !pause.to);
  const until = t.at(-1) ?? Date.now();
  Object.assign(shared, { series, t, limits: backfill.limits ?? {}, from: t[0] ?? until - 10000, to: until });
  const starts = migration.pauses.map((pause) => Date.parse(pause.from));
  if (open) shared.to = Math.max(shared.to, ...starts);
  if (shared.to - shared.from < 10000) shared.from = shared.to - 10000;
  shared.spans = migration.pauses.map((pause, i) => ({ from: starts[i], to: pause.to ? Date.parse(pause.to) : shared.to, letter: letter(i) })).filter((s) => s.to >= shared.from);
  const shown = charts.filter(({ spec }) => spec.key !== 'lag' || series.lag_ms.some((v) => v !== null));
  shared.last = shown.at(-1).spec.key;
  for (const chart of charts) {
    chart.node.hidden = !shown.includes(chart);
    if (shown.includes(chart)) chart.update();
  }
}

// Colours are read from the style sheet: again when the theme changes; and charts are made when the library has come, if it comes.
export function readCharts(changed) {
  const again = () => { redraw = true; changed(); };
  for (const query of ['(prefers-color-scheme: dark)', '(forced-colors: active)']) matchMedia(query).addEventListener('change', again);
  byId('chart-library').addEventListener('load', again);
  byId('over-time').addEventListener('toggle', again);
}
