import { h } from '../dom.js';
import { ago, clock, day, sameDay } from '../format.js';
import { addEvents, changed, now, page } from '../state.js';
import { get } from '../api.js';
import { command, note } from '../parts.js';

const blocker = (b) => h('div.blk', { key: b.pid }, h('p', h('b', `pid ${b.pid} ${b.who}`), b.ours && ' (the migration)'), h('p', b.state), b.query && h('pre', b.query),
  b.behind.length > 0 && [h('p.small.muted', 'Waiting behind it:'), h('ul', b.behind.map((who) => h('li', who)))], b.statement && [h('p.small.muted', 'To end it:'), command(b.statement)]);

export const blockers = {
  name: 'blockers', title: 'Blockers now',
  needs: ({ state, stale }) => [state.blockers, stale && !stale.link],
  sub: ({ state: { blockers: b } }) => b?.at && 'looked ' + ago(b.at, now()),
  body({ state: { blockers: b }, stale }) {
    if (stale && !stale.link) return note('Not known without a connection.');
    return [b?.list.length ? b.list.map(blocker) : note(b?.at ? 'Nobody waits for the migration, and it waits for nobody.' : 'Not looked yet.'), b?.note && h('p.small.muted', b.note)];
  },
};

const PAGE = 14;
let visible = PAGE;

async function showOlder() {
  visible += PAGE;
  changed();
  const { events, older } = page.events;
  if (older && events.length < visible) addEvents(await get('/api/events', { before: events.at(-1).id, limit: 50 }));
  changed();
}

export const events = {
  name: 'events', title: 'Events',
  needs: (v) => [v.events, visible],
  sub: () => 'newest first',
  body({ events: { events: list, older } }) {
    if (!list.length) return note('Nothing has happened yet.');
    const rows = list.slice(0, visible).map((e, i) => [!sameDay(e.at, list[i - 1]?.at ?? now()) && h('li.day', { key: day(e.at) }, day(e.at)), h('li', { key: e.id }, h('time', { datetime: e.at }, clock(e.at)), h('p', { class: e.level }, e.text))]);
    return [h('ol.log', { 'aria-label': 'Events, newest first' }, rows.flat().filter(Boolean)), (older || list.length > visible) && h('button.btn', { type: 'button', onclick: showOlder }, 'Show older')];
  },
};
