// The three charts over time, by Chart.js if it came. A pause or a lost runner is a gap, hatched where it is known why: never 0, never a slope.
import { announce, byId, h, mount } from './dom.js';
import { clock, integer, millis, minute, seconds } from './format.js';
import { swatch } from './parts.js';
import { letter } from './panels/backfill.js';
import { spans } from './spans.js';

const CHARTS = [
  { key: 'rate', title: 'Rows per second', lines: { rows_per_second: 'ours' }, area: true, middle: true, letters: true, tick: (y) => (y < 1000 ? y : y / 1000 + 'k'), read: (p) => integer(p('rows_per_second'), ' rows/s') },
  { key: 'batch', title: 'Batch time', lines: { batch_p50_ms: 'old', batch_p99_ms: 'ours' }, limit: 'target_batch_ms', tick: (y) => y + ' ms',
    legend: (limit) => [['series', 'p99'], ['series alt', 'p50'], ['limit', `target ${limit} ms`]], read: (p) => `p50 ${millis(p('batch_p50_ms'))}, p99 ${millis(p('batch_p99_ms'))}` },
  { key: 'lag', title: 'Lag of the replica that is furthest behind', lines: { lag_ms: 'ours' }, limit: 'max_replica_lag_ms', tick: (y) => y / 1000 + ' s',
    legend: (limit) => [['limit', `limit ${limit / 1000} s: above it the backfill pauses`]], read: (p) => seconds(p('lag_ms')) },
];
const KEYS = { ArrowLeft: -1, ArrowRight: 1, PageUp: -12, PageDown: 12, Home: -Infinity, End: Infinity };
const STEPS_S = [1, 2, 5, 10, 30, 60, 120, 300, 600, 1800, 3600, 10800, 21600, 43200, 86400, 604800];
const LEFT = 52;

const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue('--' + name).trim();
const font = () => ({ size: 11, family: getComputedStyle(document.body).fontFamily });

// The next round figure above a value, so that an axis changes seldom.
function roundUp(value) {
  const power = 10 ** Math.floor(Math.log10(value || 1));
  return [1, 1.5, 2, 3, 4, 5, 6, 8, 10].find((n) => n * power >= value) * power;
}

// What all charts share; `index` is the point that is read.
const shared = { series: { t: [] }, pauses: [], limits: {}, from: 0, to: 1, index: null };
let charts = [];

// Where points are missing the line is broken: a point that is no number stands between.
function points(key) {
  const { t } = shared.series;
  const usual = t.slice(1).map((x, i) => x - t[i]).sort((a, b) => a - b)[t.length >> 1] ?? 0;
  return t.flatMap((x, i) => [...(x - t[i - 1] > Math.max(15000, 4 * usual) ? [{ x: x - 1, y: NaN }] : []), { x, y: shared.series[key][i] ?? NaN }]);
}

function move(index) {
  shared.index = index;
  for (const chart of charts) { chart.show(); chart.drawn?.draw(); }
}

class TimeChart {
  constructor(spec, root) {
    this.spec = spec;
    this.node = root.querySelector('.' + spec.key);
    this.plot = this.node.lastChild;
    this.fill = mount(this.node.querySelector('.read'));
    this.plot.onpointermove = (event) => move(this.nearest(event.offsetX));
    this.plot.onpointerleave = this.plot.onblur = () => move(null);
    this.plot.onkeydown = (event) => {
      const last = shared.series.t.length - 1;
      if (event.key === 'Escape') move(null);
      if (!(event.key in KEYS) || last < 0) return;
      event.preventDefault();
      move(Math.max(0, Math.min(last, (shared.index ?? last + 1) + KEYS[event.key])));
      announce(this.read(shared.index));
    };
  }

  nearest(pixel) {
    const x = this.drawn?.scales.x.getValueForPixel(pixel);
    return shared.series.t.reduce((best, t, i, all) => (best === null || Math.abs(t - x) < Math.abs(all[best] - x) ? i : best), null);
  }

  read(i) {
    const t = shared.series.t[i];
    const pause = shared.pauses.find((p) => t >= p.from && t <= p.to);
    return `${clock(t)} ${pause && this.spec.letters ? `paused (${pause.letter})` : this.spec.read((key) => shared.series[key][i])}`;
  }

  show() {
    const { legend, limit } = this.spec;
    this.fill(shared.index === null ? legend?.(shared.limits[limit]).map(([cls, text]) => swatch(text, h('line', { class: cls, x2: 18, y1: 4, y2: 4 }))) : h('span', this.read(shared.index)));
  }

  make() {
    const canvas = document.createElement('canvas');
    this.plot.replaceChildren(canvas);
    const { spec } = this;
    const axis = { drawBorder: false, drawTicks: false };
    this.drawn = new globalThis.Chart(canvas, {
      type: 'line', data: { datasets: Object.keys(spec.lines).map(() => ({ data: [], fill: spec.area && 'origin' })) }, plugins: [spans(shared, spec, colour)],
      options: {
        animation: false, parsing: false, normalized: true, maintainAspectRatio: false, events: [], elements: { point: { radius: 0 }, line: { borderWidth: 1.5 } },
        plugins: { legend: { display: false }, tooltip: { enabled: false } },
        scales: {
          x: { type: 'linear', grid: { ...axis, display: false }, ticks: { autoSkip: false, maxRotation: 0, callback: (x) => (shared.step < 60000 ? clock(x) : minute(x)) }, afterBuildTicks: (scale) => { scale.ticks = this.times(scale.width); } },
          y: { min: 0, grid: axis, ticks: { autoSkip: false, padding: 6, callback: spec.tick }, afterFit: (scale) => { scale.width = LEFT; },
            afterBuildTicks: (scale) => { scale.ticks = [0, spec.middle && scale.max / 2, scale.max].filter((y) => y !== undefined).map((value) => ({ value })); } },
        },
      },
    });
  }

  times(width) {
    shared.step = 1000 * STEPS_S.find((s) => (shared.to - shared.from) / 1000 / s <= Math.max(2, width / 90));
    const first = Math.ceil(shared.from / shared.step);
    return Array.from({ length: Math.floor(shared.to / shared.step) - first + 1 }, (_, i) => ({ value: (first + i) * shared.step }));
  }

  update(last) {
    const { spec } = this;
    const { t } = shared.series;
    this.plot.setAttribute('aria-label', `${spec.title}. ${t.length ? 'Last, at ' + this.read(t.length - 1) : 'No point yet'}. ${spec.letters ? `Paused ${shared.pauses.length} times. ` : ''}Arrow keys read the points.`);
    this.show();
    if (!globalThis.Chart) return;
    if (!this.drawn) this.make();
    const { options, data } = this.drawn;
    const { x, y } = options.scales;
    const lines = Object.entries(spec.lines);
    Object.assign(x, { min: shared.from, max: shared.to });
    Object.assign(x.ticks, { display: last, color: colour('muted'), font: font() });
    Object.assign(y.ticks, { color: colour('muted'), font: font() });
    Object.assign(y, { max: roundUp(1.02 * lines.flatMap(([key]) => shared.series[key]).reduce((most, v) => Math.max(most, v), shared.limits[spec.limit] ?? 0)) });
    y.grid.color = colour('line');
    options.layout = { padding: { top: 10, right: 8 } };
    data.datasets.forEach((set, i) => Object.assign(set, { data: points(lines[i][0]), borderColor: colour(lines[i][1]), backgroundColor: colour('accent-soft') }));
    this.drawn.update('none');
  }
}

let root = null;
let before = [];
let folded = false;

export function drawCharts({ series, migration, stale }) {
  const here = byId('charts');
  if (!here) return;
  if (root !== here) {
    root = here;
    before = [];
    mount(root)(CHARTS.map(({ key, title }) => h('div.chart', { class: key }, h('div.chart-head', h('b', title), h('span.read')), h('div.plot', { tabindex: 0, role: 'img', 'aria-label': title }))));
    charts = CHARTS.map((spec) => new TimeChart(spec, root));
    // Folded if the backfill is done when the page opens; what ends while somebody looks does not move.
    if (!folded && migration.backfill.done) byId('over-time').open = false;
    folded = true;
  }
  const { backfill, pauses } = migration;
  const needs = [series, pauses, JSON.stringify(backfill.limits), Boolean(stale)];
  if (needs.every((value, i) => value === before[i])) return;
  before = needs;
  const until = series.t.at(-1) ?? Date.parse(migration.changed_at);
  const parsed = pauses.map((p, i) => ({ from: Date.parse(p.from), to: p.to && Date.parse(p.to), letter: letter(i) }));
  const to = Math.max(until, ...parsed.filter((p) => !p.to).map((p) => p.from));
  const from = Math.min(series.t[0] ?? until, to - 10000);
  Object.assign(shared, { series, limits: backfill.limits ?? {}, to, from, index: null, pauses: parsed.map((p) => ({ ...p, to: p.to ?? to })).filter((p) => p.to >= from) });
  const shown = charts.filter(({ spec }) => spec.key !== 'lag' || series.lag_ms.some((v) => v !== null));
  charts.forEach((chart) => { chart.node.hidden = !shown.includes(chart); });
  shown.forEach((chart, i) => chart.update(i === shown.length - 1));
}

// Colours are read from the style sheet, again when the theme changes; charts are drawn once the library has come.
export function onChartChange(changed) {
  const again = () => { before = []; changed(); };
  for (const query of ['(prefers-color-scheme: dark)', '(forced-colors: active)']) matchMedia(query).onchange = again;
  byId('chart-library').onload = again;
}
