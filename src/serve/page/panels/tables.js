// Sample rows and the migrations of this database.
import { cut, h } from '../dom.js';
import { ago, integer, span, when } from '../format.js';
import { now } from '../state.js';
import { head, heads, note, scroll } from '../parts.js';

const cell = (value, key) => h('td', { class: key ? 'num muted' : null }, value === undefined ? '' : value === null ? h('span', { class: 'null' }, 'null') : value === '' ? h('span', { class: 'null' }, 'empty') : cut(value));

export const sample = {
  name: 'sample',
  needs: ({ migration }) => [migration?.sample],
  sub({ migration: { sample: s, tables } }) {
    if (!s) return '';
    return [tables.length > 1 && s.relation, s.rows.length > 0 && `the same ${s.rows.length} rows`, s.at && `read ${ago(s.at, now())}`].filter(Boolean).join(', ');
  },
  body({ migration: { sample: s } }) {
    if (!s) return note('Not read yet.');
    const skipped = s.skipped && h('p', { key: 'skipped', class: 'none' }, s.skipped);
    if (!s.rows.length) return skipped || note('No rows.');
    return [skipped, scroll('Sample rows', h('table', { class: 'sample' },
      heads(...s.columns.map((c) => head(c.side === 'key' ? 'num fit' : '', h('code', { class: c.gone ? 'gone' : null }, cut(c.name, 24)))), 'Compared'),
      h('tbody', {}, s.rows.map((r, i) => h('tr', { key: i }, s.columns.map((c, k) => cell(c.gone ? undefined : r.values[k], c.side === 'key')), h('td', { class: r.compared === 'differs' ? 'bad' : 'muted' }, r.compared))))))];
  },
};

export const history = {
  name: 'history',
  needs: ({ state, migration }) => [state?.migrations, migration?.name],
  sub: () => '',
  body({ state, migration }) {
    if (!state.migrations.length) return note('None yet.');
    return scroll('Migrations', h('table', { class: 'history' }, heads('Name', 'State', 'Begun', 'Took', head('num', 'Rows'), 'Result'),
      h('tbody', {}, state.migrations.map((m) => h('tr', { key: m.name }, h('th', { scope: 'row' }, h('a', { href: '?m=' + encodeURIComponent(m.name), 'aria-current': m.name === migration?.name ? 'true' : null }, m.name)),
        h('td', { class: m.level }, m.state.replaceAll('_', ' ')), h('td', { class: 'nowrap' }, when(m.started_at, now())), h('td', { class: 'nowrap' }, span(m.took_ms)), h('td', { class: 'num' }, integer(m.rows)), h('td', { class: 'muted' }, m.result))))));
  },
};
