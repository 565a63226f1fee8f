import { h } from '../dom.js';
import { clock, integer, known, percent } from '../format.js';
import { bar, heads, hidden, note, scroll } from '../parts.js';

const moved = (m) => m.columns.filter((c) => c.side !== 'kept');
const keyOf = (c) => `${c.relation}.${c.side}.${c.name}`;
const nullable = (c) => (c.nullable ? 'null' : 'not null');
const gone = (c) => c.status === 'gone' && 'gone';
const shape = (c) => (c.status === 'gone' ? (c.side === 'old' ? 'old, dropped' : 'new, removed') : c.side + ({ to_come: ', to come', changed: ', changed' }[c.status] ?? ''));

const columnRow = (c) => h('tr', { key: keyOf(c) }, h('th', { scope: 'row' }, h('code', { class: gone(c) }, c.name)), h('td', { class: gone(c) }, c.type), h('td.nowrap', { class: gone(c) }, nullable(c)),
  h('td.nowrap', h('span.role', h('span.sw', { class: ['gone', 'to_come'].includes(c.status) ? 'gone' : c.side }), shape(c))), h('td.muted', c.fate));

// If the migration has several tables, the columns stand table by table.
const byTable = (m, list, row) => (m.tables.length < 2 ? list.map(row) : m.tables.map((table) => [h('tr.group', { key: 'of ' + table }, h('td', { colspan: 5 }, h('code', table))), list.filter((c) => c.relation === table).map(row)]));

export const schema = {
  name: 'schema', title: 'Schema state',
  needs: ({ migration: m }) => [m.columns, m.triggers],
  sub: ({ migration: m }) => m.tables.join(', '),
  body({ migration: m }) {
    if (!m.columns.length) return note('Not read yet.');
    const kept = m.columns.filter((c) => c.side === 'kept');
    return [scroll('Columns of ' + m.tables.join(', '), h('table.schema', heads('Column', 'Type', 'Nullable', 'Shape', hidden('What happens')), h('tbody', byTable(m, moved(m), columnRow)))),
      h('div.tagline', m.triggers.length ? m.triggers.map((t) => h('p', { key: t.relation }, `Sync trigger on ${t.relation}: `, h('span', { class: ['disabled', 'missing'].includes(t.status) && 'warn' }, t.status.replace('_', ' ')))) : 'No sync trigger.'),
      kept.length > 0 && h('details', h('summary', `${kept.length} other ${kept.length === 1 ? 'column' : 'columns'}, unchanged`), h('table', heads('Column', 'Type', 'Nullable'),
        h('tbody', byTable(m, kept, (c) => h('tr', { key: keyOf(c) }, h('td', h('code', c.name)), h('td', c.type), h('td.nowrap', nullable(c)))))))];
  },
};

const unfilled = (c) => (c.status === 'gone' ? (c.side === 'old' ? 'dropped' : 'removed') : c.status === 'to_come' ? 'not there yet' : 'not known');

function populationRow(c) {
  const p = !gone(c) && c.status !== 'to_come' && known(c.population?.percent) ? c.population : null;
  return h('tr', { key: keyOf(c) }, h('th', { scope: 'row' }, h('code', { class: gone(c) }, c.name)), p ? [h('td.b', bar(p.percent, c.name + ' filled', 'small-bar ' + c.side)),
    h('td.num', percent(p.percent)), h('td.num', integer(p.rows)), h('td.muted.nowrap', p.by, p.at && h('span.small', ' ' + clock(p.at)))] : h('td.muted', { colspan: 4 }, unfilled(c)));
}

export const population = {
  name: 'population', title: 'Column population',
  needs: ({ migration: m }) => [m.columns],
  sub: () => 'of rows that have a value',
  body: ({ migration: m }) => (moved(m).length ? scroll('Column population', h('table.pop', heads('Column', ['b', 'Filled'], ['num', hidden('Percent')], ['num', 'Rows'], 'Known by'), h('tbody', byTable(m, moved(m), populationRow)))) : note('Not read yet.')),
};
