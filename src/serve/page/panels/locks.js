// What was locked and for how long. Waited and held are two bars: on a log scale nothing may be stacked.
import { drawing, h } from '../dom.js';
import { integer, millis, minute, sessions } from '../format.js';
import { command, heads, hidden, note, swatch } from '../parts.js';

const TICKS = [[0.1, '0.1 ms'], [1, '1'], [10, '10'], [100, '100 ms'], [1000, '1 s'], [10000, '10 s'], [100000, '']];
const at = (ms) => Math.max(0, Math.min(100, (Math.log10((ms || 0.1) / 0.1) / 6) * 100)) + '%';
const bar = (cls, ms, y, height) => ms !== null && h('rect', { class: cls, y, width: at(Math.max(0.11, ms)), height });
const grid = () => TICKS.map(([ms]) => h('line.gridline', { x1: at(ms), x2: at(ms), y2: 36 }));
const axis = () => drawing('svg', {}, TICKS.map(([ms, text]) => h('text', { x: at(ms), y: 13, 'text-anchor': ms < 1 ? 'start' : 'middle' }, text)));

const row = (several, cls) => (l, i) => h('tr', { key: `${cls} ${i}` }, h('td.step', several && [h('code', l.relation), ' '], l.step, l.tries > 1 && h('span.muted.small', `, ${integer(l.tries)} tries`)),
  h('td.mode.small.muted', l.mode, h('span', l.stops === 'nothing' ? 'stops neither reads nor writes' : 'stops ' + l.stops)),
  h('td.bars', drawing('svg', { class: cls }, grid(), bar('w', l.waited_ms, 11, 3), bar(l.stops === 'nothing' ? 'soft' : 'hd', l.held_ms, 18, 8))),
  h('td.num', { 'data-k': 'waited' }, millis(l.waited_ms)), h('td.num.key', { 'data-k': 'held' }, l.held_ms === null ? 'not got' : millis(l.held_ms)),
  h('td.num', { 'data-k': 'blocked' }, sessions(l.blocked_sessions)), h('td.num', { 'data-k': 'longest' }, l.blocked_sessions ? millis(l.blocked_longest_ms) : '–'));
const group = (title, text) => h('tr.group', { key: title }, h('td', { colspan: 7 }, title + ' ', h('span', text)));

export const locks = {
  name: 'locks', title: 'Lock durations', wide: true,
  needs: (v) => [v.locks, v.migration.tables.length],
  sub: () => 'waited and held are measured apart',
  body({ locks: known, migration: m }) {
    if (!known) return note('Not read yet.');
    const { expand_contract: ours, naive, naive_of: of, command: compare } = known;
    const several = m.tables.length > 1;
    return [h('table.locks', heads('Step', 'Mode', ['bars', hidden('Waited and held, drawn'), axis()], ['num', 'Waited'], ['num', 'Held'], ['num', 'Blocked'], ['num', 'Longest']), h('tbody',
      group('Expand-contract', ours.length > 0 && 'measured on this table, on the server’s clock'), ours.length ? ours.map(row(several, 'ours')) : h('tr', { key: 'none' }, h('td.muted.step', { colspan: 7 }, 'No lock taken yet.')),
      group('Naive', naive ? 'measured on a copy' + (of ? `: ${integer(of.rows)} rows, ${minute(of.at)}, PostgreSQL ${of.version}` : '') : 'not measured, so nothing is shown'), naive?.map(row(several, 'nv')))),
    !naive && compare && h('div.none', h('p', 'Run both ways under the same traffic, in a scratch database:'), command(compare)),
    h('div.legend', swatch('waited for the lock, all tries', h('rect.w', { y: 2.5, width: 18, height: 3 })), swatch('held until commit', 'hd'),
      swatch('held, stops neither reads nor writes', h('rect.soft', { x: 0.5, y: 0.5, width: 17, height: 7 })), h('span', 'log scale'))];
  },
};
