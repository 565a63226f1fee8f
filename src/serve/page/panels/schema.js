import { cut, h } from '../dom.js';
import { clock, integer, percent } from '../format.js';
import { bar, head, heads, hidden, note, scroll } from '../parts.js';

const moved = (migration) => migration.columns.filter((c) => c.side !== 'kept');
const keyOf = (c) => `${c.relation}.${c.side}.${c.name}`;
const nullable = (c) => (c.nullable ? 'null' : 'not null');
const gone = (c) => (c.status === 'gone' ? 'gone' : null);
const SHAPES = {
  gone: (c) => ['gone', c.side === 'old' ? 'old, dropped' : 'new, removed'],
  to_come: (c) => ['gone', c.side + ', to come'],
  changed: (c) => [c.side, c.side + ', changed'],
  in_place: (c) => [c.side, c.side],
};

function columnRow(c) {
  const [swatch, text] = (SHAPES[c.status] ?? SHAPES.in_place)(c);
  return h('tr', { key: keyOf(c) }, h('th', { scope: 'row' }, h('code', { class: gone(c) }, c.name), gone(c) && hidden(', gone')), h('td', { class: gone(c) }, c.type),
    h('td', { class: 'nowrap ' + (gone(c) ?? '') }, nullable(c)), h('td', { class: 'nowrap' }, h('span', { class: 'role' }, h('span', { class: 'sw ' + swatch }), text)), h('td', { class: 'muted' }, c.fate));
}

// The same columns, table by table, if the migration has several tables.
function byRelation(migration, list, width, row) {
  if (migration.tables.length < 2) return list.map(row);
  return migration.tables.flatMap((table) => [h('tr', { class: 'group', key: 'of ' + table }, h('td', { colspan: width }, h('code', {}, table))), ...list.filter((c) => c.relation === table).map(row)]);
}

export const schema = {
  name: 'schema',
  needs: ({ migration }) => [migration?.columns, migration?.triggers],
  sub: ({ migration }) => migration.tables.join(', '),
  body({ migration }) {
    const kept = migration.columns.filter((c) => c.side === 'kept');
    const several = migration.tables.length > 1;
    if (!migration.columns.length) return note('Not read yet.');
    return [scroll('Columns of ' + migration.tables.join(', '), h('table', { class: 'schema' }, heads('Column', 'Type', 'Nullable', 'Shape', head('', hidden('What happens'))),
      h('tbody', {}, byRelation(migration, moved(migration), 5, columnRow)))),
    migration.triggers.length ? migration.triggers.map((t) => h('p', { key: 'trigger ' + t.relation, class: 'tagline' }, `Sync trigger on ${t.relation}: `, h('span', { class: ['disabled', 'missing'].includes(t.status) ? 'warn' : null }, t.status)))
      : h('p', { class: 'tagline', key: 'no trigger' }, 'No sync trigger.'),
    kept.length > 0 && h('details', {}, h('summary', {}, `${kept.length} other ${kept.length === 1 ? 'column' : 'columns'}, unchanged`),
      h('table', { class: 'kept' }, heads(...(several ? ['Table'] : []), 'Column', 'Type', 'Nullable'),
        h('tbody', {}, kept.map((c) => h('tr', { key: keyOf(c) }, several && h('td', {}, c.relation), h('td', {}, h('code', {}, c.name)), h('td', {}, c.type), h('td', { class: 'nowrap' }, nullable(c))))))),
    ];
  },
};

const without = (c) => (c.status === 'gone' ? (c.side === 'old' ? 'dropped' : 'removed') : c.status === 'to_come' ? 'not there yet' : 'not known');

function populationRow(c) {
  const p = c.population;
  const filled = p && c.status !== 'gone' && c.status !== 'to_come' && p.percent !== null;
  return h('tr', { key: keyOf(c) }, h('th', { scope: 'row' }, h('code', { class: gone(c) }, c.name)),
    h('td', { class: 'b' }, filled ? bar(p.percent, cut(c.name) + ' filled', 'small-bar' + (c.side === 'old' ? ' old' : '')) : h('span', { class: 'muted' }, without(c))),
    h('td', { class: 'num' }, filled && percent(p.percent)), h('td', { class: 'num' }, filled && integer(p.rows)),
    h('td', { class: 'muted nowrap' }, filled && p.by, filled && p.at && h('span', { class: 'at' }, ' ' + clock(p.at))));
}

export const population = {
  name: 'population',
  needs: ({ migration }) => [migration?.columns],
  sub: () => 'of rows that have a value',
  body({ migration }) {
    if (!moved(migration).length) return note('Not read yet.');
    return scroll('Column population', h('table', { class: 'pop' }, heads('Column', head('b', 'Filled'), head('num', hidden('Percent')), head('num', 'Rows'), 'Known by'),
      h('tbody', {}, byRelation(migration, moved(migration), 5, populationRow))));
  },
};
