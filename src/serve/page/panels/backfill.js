import { h } from '../dom.js';
import { bytes, clock, integer, known, millis, percent, seconds, short, span } from '../format.js';
import { bar, note } from '../parts.js';

const sum = (list, key) => list.reduce((total, item) => (known(item[key]) ? (total ?? 0) + Number(item[key]) : total), null);
const figures = (list) => h('dl.figs', list.map(([name, value, more]) => h('div', { key: name }, h('dt', name), h('dd', value, more && h('small', ' ' + more)))));

function finished({ relations: list, took_ms: took }, pauses) {
  const [r] = list;
  const paused = pauses.reduce((total, p) => total + (p.to ? Date.parse(p.to) - Date.parse(p.from) : 0), 0);
  return figures([['Rows', integer(sum(list, 'rows'))], ['Took', span(took), paused >= 1000 && span(paused) + ' paused'], ['Batches', integer(sum(list, 'batches'))],
    list.length === 1 && ['Batch p50, p99', `${millis(r.batch_p50_ms)}, ${millis(r.batch_p99_ms)}`], list.length === 1 && ['On their page (HOT)', percent(r.hot_percent)], ['WAL', bytes(sum(list, 'wal_bytes'))]].filter(Boolean));
}

// What holds only for its moment is not shown of a moment that is past.
const PASSING = Object.fromEntries(['rows_per_second', 'eta_ms', 'eta_low_ms', 'batch_rows', 'wal_bytes_per_second', 'lag_ms', 'workers'].map((key) => [key, null]));

function running(r, paused) {
  const [low, high] = [span(r.eta_low_ms), span(r.eta_high_ms)];
  const unit = high.replace(/^\d+/, '');
  return figures([['Rows', short(r.rows), 'of about ' + short(r.rows_estimated)], ['Rate', integer(r.rows_per_second), known(r.rows_per_second) && 'rows/s'],
    ['Left', known(r.eta_ms) ? span(r.eta_ms) : paused ? 'paused' : '–', known(r.eta_low_ms) && `${low.replace(unit, '')} to ${high}`],
    ['Batch', integer(r.batch_rows, ' rows, ' + millis(r.batch_p50_ms))], ['On their page (HOT)', percent(r.hot_percent)],
    ['WAL', bytes(r.wal_bytes_per_second, '/s')], ['Replica lag', seconds(r.lag_ms)], ['Workers', integer(r.workers)]]);
}

const several = (list, paused) => h('ul.relations', list.map((r) => h('li', { key: r.relation }, h('code', r.relation), bar(r.percent, 'Backfill of ' + r.relation, 'small-bar' + (paused ? ' paused' : '')),
  h('span.num', percent(r.percent)), h('span.muted', r.finished ? 'done' : known(r.rows_per_second) ? integer(r.rows_per_second, ' rows/s') : `${short(r.rows)} of about ${short(r.rows_estimated)}`))));

export const letter = (i) => String.fromCharCode(65 + (i % 26));

export const backfill = {
  name: 'backfill', title: 'Backfill',
  needs: ({ migration: m, stale }) => [m.backfill, m.pauses, Boolean(stale)],
  sub({ migration: { backfill: b, run } }) {
    const runner = run?.command === 'backfill' && !run.outcome && `${run.host}, process ${run.process}`;
    return b && [runner, 'from the journal', b.limits?.max_rows_rate && 'max_rows_rate=' + b.limits.max_rows_rate].filter(Boolean).join(', ');
  },
  body({ migration: { backfill: b, pauses }, stale }) {
    if (!b) return note('Not begun. The backfill comes after expand.');
    const list = stale ? b.relations.map((r) => ({ ...r, ...PASSING })) : b.relations;
    return [bar(b.total_percent, 'Backfill of ' + list.map((r) => r.relation).join(', '), b.paused && 'paused'), list.length > 1 && several(list, b.paused),
      b.done ? finished(b, pauses) : list.length === 1 && running(list[0], b.paused && !stale),
      h('p.held.small.muted', { hidden: b.done }, b.paused ? b.reasons.map((reason) => reason.text).join('; ') : b.slow_because),
      h('details.over-time', { id: 'over-time', class: b.done && 'folds', open: true }, h('summary', 'Rate, batch time and lag over time'), h('div', { id: 'charts' }),
        pauses.length > 0 && h('ol.pauses', { 'aria-label': 'Pauses' }, pauses.map((p, i) => h('li', { key: p.from }, h('span.tag', letter(i)), h('span.when', `${clock(p.from)} to ${p.to ? clock(p.to) : 'now'}`), h('span.why', p.text))).slice(-8)))];
  },
};
