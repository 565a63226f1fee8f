// Both ways under the same traffic, as measured. Red is what failed, and a wait that the traffic panel calls slow.
import { h } from '../dom.js';
import { bytes, growth, integer, millis, minute, span } from '../format.js';
import { heads, scroll } from '../parts.js';

const SLOW_MS = 250;
const wait = (key) => [(s) => millis(s[key]), (s) => s[key] >= SLOW_MS];
const ROWS = {
  Requests: [(s) => integer(s.requests)],
  'Failed requests': [(s) => integer(s.failed), (s) => s.failed > 0],
  'Longest gap without an answer': wait('longest_gap_ms'),
  'Request p50': wait('p50_ms'),
  'Request p99': wait('p99_ms'),
  'Slowest request': wait('max_ms'),
  'Longest lock that stops requests': wait('longest_stopping_lock_ms'),
  'Sessions blocked at once': [(s) => integer(s.sessions_blocked), (s) => s.sessions_blocked > 0 && s.longest_stopping_lock_ms >= SLOW_MS],
  'Whole duration': [(s) => millis(s.duration_ms)],
  WAL: [(s) => bytes(s.wal_bytes)],
  'Table growth': [(s) => growth(s.table_bytes_before, s.table_bytes_after)],
};
const OF_QUEUE = ['Failed requests', 'Longest gap without an answer', 'Request p99', 'Sessions blocked at once'];
const HELD = ['expand_held_ms', 'contract_held_ms', 'naive_held_ms'];

const table = (label, title, names, sides) => scroll(label, h('table.cmp', heads(title, ['num', 'Expand-contract'], ['num', 'Naive']), h('tbody', names.map((name) => {
  const [show, isBad] = ROWS[name];
  return h('tr', { key: name }, h('th', { scope: 'row' }, name), [sides.expand_contract, sides.naive].map((side) => h('td.num', { class: isBad?.(side) && 'key bad' }, show(side))));
}))));
const sizes = (list) => [scroll('Lock held by table size', h('table.cmp', heads(...['Rows', 'Expand held', 'Contract held', 'Naive held'].map((text) => ['num', text])),
  h('tbody', list.map((s) => h('tr', { key: s.rows }, h('td.num', integer(s.rows)), HELD.map((key) => h('td.num', { class: key === 'naive_held_ms' && 'key' }, millis(s[key]))))))),
h('p.tagline', 'Longest lock by the size of the table: ecmigrate compare --rows.'))];

export const compare = {
  name: 'compare', title: 'Naive against expand-contract',
  needs: ({ state }) => [state.naive],
  sub: ({ state: { naive: c } }) => `Same rows, same traffic, same server. Measured at ${minute(c.at)}: ${integer(c.rows)} rows, ${integer(c.requests_per_second)} requests/s, PostgreSQL ${c.server}.`,
  body: ({ state: { naive: c } }) => h('div.grid', h('div.c7', table('Results', 'Under the same traffic', Object.keys(ROWS), c)), h('div.c5', c.sizes?.length > 0 && sizes(c.sizes),
    c.lock_queue && table('Behind an open transaction', `Behind a report of ${span(c.lock_queue.reader_ms)}`, OF_QUEUE, c.lock_queue), h('p.tagline', `The naive way at its kindest: ${c.kindest}. The application gives up after ${millis(c.application_timeout_ms)}.`))),
};
