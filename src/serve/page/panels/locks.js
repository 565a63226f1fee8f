// What was locked and for how long. Log scale from 0.1 ms to 100 s; waited and held are two bars, since on a log scale nothing may be stacked.
import { h } from '../dom.js';
import { integer, millis, minute, sessions } from '../format.js';
import { command, head, heads, hidden, note, swatch } from '../parts.js';

const TICKS = [[0.1, '0.1 ms'], [1, '1'], [10, '10'], [100, '100 ms'], [1000, '1 s'], [10000, '10 s'], [100000, '']];
const at = (ms) => Math.max(0, Math.min(100, (Math.log10(Math.max(ms, 1e-9) / 0.1) / 6) * 100));
const bar = (cls, ms, y, height) => ms !== null && h('rect', { class: cls, x: 0, y, width: Math.max(0.6, at(ms)) + '%', height });
const grid = () => TICKS.map(([ms]) => h('line', { class: 'gridline', x1: at(ms) + '%', x2: at(ms) + '%', y1: 0, y2: 36 }));
const axis = () => h('svg', { 'aria-hidden': 'true' }, TICKS.map(([ms, text]) => h('text', { x: at(ms) + '%', y: 13, 'text-anchor': ms === 0.1 ? 'start' : 'middle' }, text)));
const STOPS = { 'reads and writes': 'stops reads and writes', writes: 'stops writes', nothing: 'stops neither reads nor writes' };

const row = (several, naive) => (l, i) => h('tr', { key: `${naive ? 'naive' : 'ours'} ${i}` },
  h('td', { class: 'step' }, several && [h('code', {}, l.relation), ' '], l.step, l.tries > 1 && h('span', { class: 'muted small' }, `, ${integer(l.tries)} tries`)),
  h('td', { class: 'mode small muted' }, l.mode, h('span', {}, STOPS[l.stops] ?? l.stops)),
  h('td', { class: 'bars' }, h('svg', { class: naive ? 'nv' : null, 'aria-hidden': 'true' }, grid(), bar('w', l.waited_ms, 11, 3), bar(l.stops === 'nothing' ? 'soft' : 'hd', l.held_ms, 18, 8))),
  h('td', { class: 'num', 'data-k': 'waited' }, millis(l.waited_ms)), h('td', { class: 'num key', 'data-k': 'held' }, l.held_ms === null ? 'not got' : millis(l.held_ms)),
  h('td', { class: 'num', 'data-k': 'blocked' }, sessions(l.blocked_sessions)), h('td', { class: 'num', 'data-k': 'longest' }, l.blocked_sessions ? millis(l.blocked_longest_ms) : '–'));

const group = (key, title, text) => h('tr', { class: 'group', key }, h('td', { colspan: 7 }, title + ' ', h('span', {}, text)));
const of = (m) => (m ? `measured on a copy: ${integer(m.rows)} rows, ${minute(m.at)}, PostgreSQL ${m.version}` : 'measured on a copy of the same rows');

export const locks = {
  name: 'locks',
  needs: ({ locks: known, migration }) => [known, migration?.tables.length],
  sub: () => 'waited and held are measured apart',
  body({ locks: known, migration }) {
    if (!known) return note('Not read yet.');
    const { expand_contract: ours, naive, naive_of: measured, command: compare } = known;
    const several = migration.tables.length > 1;
    return [h('table', { class: 'locks' }, heads(head('step', 'Step'), head('mode', 'Mode'), head('bars', hidden('Waited and held, drawn'), axis()), head('num', 'Waited'), head('num', 'Held'), head('num', 'Blocked'), head('num', 'Longest')),
      h('tbody', {}, group('ours', 'Expand-contract', ours.length > 0 && 'measured on this table, on the server’s clock'),
        ours.length ? ours.map(row(several, false)) : h('tr', { key: 'no lock' }, h('td', { colspan: 7, class: 'muted step' }, 'No lock taken yet.')),
        group('naive', 'Naive', naive ? of(measured) : 'not measured, so nothing is shown'), naive && naive.map(row(several, true)))),
    !naive && compare && h('div', { class: 'none' }, h('p', {}, 'Run both ways under the same traffic, in a scratch database:'), command(compare)),
    h('div', { class: 'legend' }, swatch('w', 'waited for the lock, all tries', h('rect', { class: 'w', y: 2.5, width: 18, height: 3 })), swatch('hd', 'held until commit'),
      swatch('soft', 'held, stops neither reads nor writes', h('rect', { class: 'soft', x: 0.5, y: 0.5, width: 17, height: 7 })), h('span', {}, 'log scale'))];
  },
};
