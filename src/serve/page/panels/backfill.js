import { h } from '../dom.js';
import { bytes, clock, integer, millis, percent, short, span } from '../format.js';
import { bar, figures, note } from '../parts.js';

const known = (n) => n !== null && n !== undefined;
const sum = (list, key) => list.reduce((total, item) => (known(item[key]) ? (total ?? 0) + Number(item[key]) : total), null);
const left = (r) => [span(r.eta_ms), known(r.eta_low_ms) && known(r.eta_high_ms) ? `${span(r.eta_low_ms)} to ${span(r.eta_high_ms)}` : ''];
// What only holds for the moment it was measured in is not shown of a moment that is past.
const moving = (value, still) => (still ? null : value);

function finished(b, pauses) {
  const r = b.relations.length === 1 ? b.relations[0] : {};
  const paused = pauses.reduce((total, p) => total + (p.to ? Date.parse(p.to) - Date.parse(p.from) : 0), 0);
  return figures([['Rows', integer(sum(b.relations, 'rows'))], ['Took', span(b.took_ms), paused >= 1000 && span(paused) + ' paused'], ['Batches', integer(sum(b.relations, 'batches'))],
    ['Batch p50, p99', `${millis(r.batch_p50_ms)}, ${millis(r.batch_p99_ms)}`], ['On their page (HOT)', percent(r.hot_percent)], ['WAL', bytes(sum(b.relations, 'wal_bytes'))]]);
}

function running(r, paused, still) {
  const [eta, range] = left(r);
  const rate = moving(r.rows_per_second, still);
  const batch = moving(r.batch_rows, still);
  const lag = moving(r.lag_ms, still);
  return figures([['Rows', short(r.rows), known(r.rows_estimated) && 'of about ' + short(r.rows_estimated)], ['Rate', integer(rate), known(rate) && 'rows/s'],
    ['Left', paused && !still ? 'paused' : moving(r.eta_ms, still) === null ? '–' : eta, !paused && !still && range],
    ['Batch', known(batch) ? `${integer(batch)} rows, ${millis(r.batch_p50_ms)}` : '–'], ['On their page (HOT)', percent(r.hot_percent)],
    ['WAL', known(moving(r.wal_bytes_per_second, still)) ? bytes(r.wal_bytes_per_second) + '/s' : '–'], ['Replica lag', known(lag) ? (lag < 1000 ? (lag / 1000).toFixed(1) + ' s' : (lag / 1000).toFixed(1) + ' s') : '–'],
    ['Workers', integer(moving(r.workers, still))]]);
}

const several = (b, still) => h('ul', { class: 'relations' }, b.relations.map((r) => h('li', { key: r.relation },
  h('span', { class: 'who' }, h('code', {}, r.relation)), bar(r.percent, `Backfill of ${r.relation}`, 'small-bar' + (b.paused ? ' paused' : '')), h('span', { class: 'num' }, percent(r.percent)),
  h('span', { class: 'muted' }, r.finished ? 'done' : !still && known(r.rows_per_second) ? integer(r.rows_per_second) + ' rows/s' : `${short(r.rows)} of about ${short(r.rows_estimated)}`))));

function pauseList(pauses) {
  const shown = pauses.map((pause, i) => ({ ...pause, letter: letter(i) })).slice(-8);
  return shown.length > 0 && h('ol', { class: 'pauses', 'aria-label': 'Pauses' }, shown.map((p) => h('li', { key: p.from },
    h('span', { class: 'tag' }, p.letter), h('span', { class: 'when' }, `${clock(p.from)} to ${p.to ? clock(p.to) : 'now'}`), h('span', { class: 'why' }, p.text))));
}
export const letter = (i) => String.fromCharCode(65 + (i % 26));

export const backfill = {
  name: 'backfill',
  needs: ({ migration, stale }) => [migration?.backfill, migration?.pauses, Boolean(stale)],
  sub({ migration }) {
    const run = migration.run?.command === 'backfill' && !migration.run.outcome ? migration.run : null;
    const rate = migration.backfill?.limits?.max_rows_rate;
    return [run && !migration.backfill?.done && `${run.host}, process ${run.process}`, migration.backfill && 'from the journal', rate && `max_rows_rate=${rate}`].filter(Boolean).join(', ');
  },
  body({ migration: { backfill: b, pauses }, stale }) {
    if (!b) return note('Not begun. The backfill comes after expand.');
    const still = Boolean(stale);
    return [bar(b.total_percent, 'Backfill of ' + b.relations.map((r) => r.relation).join(', '), b.paused ? 'paused' : ''),
      b.relations.length > 1 && several(b, still), b.done ? finished(b, pauses) : b.relations.length === 1 && running(b.relations[0], b.paused, still),
      !b.done && h('p', { class: 'held small muted' }, b.paused ? b.reasons.map((reason) => reason.text).join('; ') : b.slow_because)];
  },
};

export const pauses = {
  needs: ({ migration }) => [migration?.pauses],
  body: ({ migration }) => pauseList(migration?.pauses ?? []),
};
