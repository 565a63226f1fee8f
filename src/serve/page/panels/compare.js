// Both ways under the same traffic, as measured.
import { h } from '../dom.js';
import { growth, bytes, integer, millis, minute, span } from '../format.js';
import { head, heads, scroll } from '../parts.js';

// A wait that the traffic panel calls slow.
const SLOW_MS = 250;
const failed = (side) => side.failed > 0;
const slow = (key) => (side) => side[key] >= SLOW_MS;
const ROWS = [
  ['Requests', (s) => integer(s.requests)],
  ['Failed requests', (s) => integer(s.failed), failed],
  ['Longest gap without an answer', (s) => millis(s.longest_gap_ms), slow('longest_gap_ms')],
  ['Request p50', (s) => millis(s.p50_ms), slow('p50_ms')],
  ['Request p99', (s) => millis(s.p99_ms), slow('p99_ms')],
  ['Slowest request', (s) => millis(s.max_ms), slow('max_ms')],
  ['Longest lock that stops requests', (s) => millis(s.longest_stopping_lock_ms), slow('longest_stopping_lock_ms')],
  ['Sessions blocked at once', (s) => integer(s.sessions_blocked), (s) => s.sessions_blocked > 0 && slow('longest_stopping_lock_ms')(s)],
  ['Whole duration', (s) => (s.duration_ms < 60000 ? millis(s.duration_ms) : span(s.duration_ms))],
  ['Rows per second', (s) => integer(s.rows_per_second)],
  ['WAL', (s) => bytes(s.wal_bytes)],
  ['Table growth', (s) => growth(s.table_bytes_before, s.table_bytes_after)],
  ['Index growth', (s) => growth(s.index_bytes_before, s.index_bytes_after)],
];
const OF_QUEUE = ['Failed requests', 'Longest gap without an answer', 'Request p99', 'Sessions blocked at once'];

const cell = (side, show, isBad) => h('td', { class: 'num' + (isBad?.(side) ? ' key bad' : '') }, show(side));
const table = (label, title, rows, { expand_contract: ours, naive }) => scroll(label, h('table', { class: 'cmp' }, heads(title, head('num', 'Expand-contract'), head('num', 'Naive')),
  h('tbody', {}, rows.map(([name, show, isBad]) => h('tr', { key: name }, h('th', { scope: 'row' }, name), cell(ours, show, isBad), cell(naive, show, isBad))))));

const sizes = (list) => [scroll('Lock held by table size', h('table', { class: 'cmp' }, heads(head('num', 'Rows'), head('num', 'Expand held'), head('num', 'Contract held'), head('num', 'Naive held')),
  h('tbody', {}, list.map((s) => h('tr', { key: s.rows }, h('td', { class: 'num' }, integer(s.rows)), ['expand_held_ms', 'contract_held_ms', 'naive_held_ms'].map((key) => h('td', { class: 'num' + (key === 'naive_held_ms' ? ' key' : '') }, millis(s[key])))))))),
h('p', { class: 'tagline' }, 'The longest lock of each way by the size of the table, from ecmigrate compare with --rows.')];

export const compare = {
  name: 'compare',
  needs: ({ state }) => [state?.naive],
  sub: ({ state: { naive: c } }) => `Same rows, same traffic, same server. Measured at ${minute(c.at)}: ${integer(c.rows)} rows, ${integer(c.requests_per_second)} requests/s, PostgreSQL ${c.server}.`,
  body({ state: { naive: c } }) {
    return [h('div', { class: 'grid' }, h('div', { class: 'c7' }, table('Results', 'Under the same traffic', ROWS, c)),
      h('div', { class: 'c5' }, c.sizes?.length > 0 && sizes(c.sizes),
        c.lock_queue && table('Behind an open transaction', `Behind a report of ${span(c.lock_queue.reader_ms)}`, ROWS.filter(([name]) => OF_QUEUE.includes(name)), c.lock_queue),
        h('p', { class: 'tagline' }, `The naive way at its kindest: ${c.kindest}. The application gives up after ${millis(c.application_timeout_ms)}.`)))];
  },
};
