import { cut, h } from '../dom.js';
import { ago, integer, span, when } from '../format.js';
import { now } from '../state.js';
import { heads, note, scroll, stored } from '../parts.js';

const cell = (column, value) => h('td', { class: column.side === 'key' && 'num muted' }, !column.gone && stored(value, cut));

export const sample = {
  name: 'sample', title: 'Sample data', wide: true,
  needs: ({ migration: m }) => [m.sample],
  sub: ({ migration: { sample: s, tables } }) => s && [tables.length > 1 && s.relation, s.rows.length > 0 && `the same ${s.rows.length} rows`, s.at && 'read ' + ago(s.at, now())].filter(Boolean).join(', '),
  body({ migration: { sample: s } }) {
    if (!s?.rows.length) return note(s ? s.skipped ?? 'No rows.' : 'Not read yet.');
    return [s.skipped && note(s.skipped), scroll('Sample rows', h('table', heads(...s.columns.map((c) => [c.side === 'key' ? 'num fit' : '', h('code', { class: c.gone && 'gone' }, cut(c.name, 24))]), 'Compared'),
      h('tbody', s.rows.map((r, i) => h('tr', { key: i }, s.columns.map((c, k) => cell(c, r.values[k])), h('td', { class: r.compared === 'differs' ? 'bad' : 'muted' }, r.compared))))))];
  },
};

export const history = {
  name: 'history', title: 'Migrations in this database', wide: true,
  needs: ({ state, migration: m }) => [state.migrations, m.name],
  sub: () => '',
  body: ({ state, migration }) => (state.migrations.length ? scroll('Migrations', h('table', heads('Name', 'State', 'Begun', 'Took', ['num', 'Rows'], 'Result'), h('tbody', state.migrations.map((m) => h('tr', { key: m.name },
    h('th', { scope: 'row' }, h('a', { href: '?m=' + encodeURIComponent(m.name), 'aria-current': m.name === migration.name && 'true' }, m.name)), h('td.nowrap', { class: m.level }, m.state.replaceAll('_', ' ')),
    h('td.nowrap', when(m.started_at, now())), h('td.nowrap', span(m.took_ms)), h('td.num', integer(m.rows)), h('td.muted', m.result)))))) : note('None yet.')),
};
