// Who is in whose way now, and what has happened.
import { h } from '../dom.js';
import { ago, clock, day, sameDay } from '../format.js';
import { addEvents, changed, now, page } from '../state.js';
import { get } from '../api.js';
import { command, note } from '../parts.js';

export const blockers = {
  name: 'blockers',
  needs: ({ state, stale }) => [state?.blockers, stale && !stale.link],
  sub: ({ state }) => (state.blockers?.at ? 'looked ' + ago(state.blockers.at, now()) : ''),
  body({ state, stale }) {
    if (stale && !stale.link) return note('Not known without a connection.');
    const { at = null, note: limits = null, list = [] } = state.blockers ?? {};
    const sight = limits && h('p', { key: 'sight', class: 'small muted' }, limits);
    if (!list.length) return [h('div', { key: 'nobody', class: 'none' }, h('p', {}, at ? 'Nobody waits for the migration, and it waits for nobody.' : 'Not looked yet.')), sight];
    return [list.map((b) => h('div', { class: 'blk', key: b.pid }, h('p', {}, h('b', {}, `pid ${b.pid} ${b.who}`), b.ours && ' (the migration)'), h('p', {}, b.state), b.query && h('pre', {}, b.query),
      b.behind.length > 0 && [h('p', { class: 'small muted' }, 'Waiting behind it:'), h('ul', {}, b.behind.map((who) => h('li', {}, who)))],
      b.statement && [h('p', { class: 'small muted' }, 'To end it:'), command(b.statement)])), sight];
  },
};

const PAGE = 14;
let visible = PAGE;

async function showOlder() {
  visible += PAGE;
  changed();
  const { events, older } = page.events;
  if (!older || events.length >= visible) return;
  const more = await get('/api/events', { before: events.at(-1).id, limit: 50 });
  addEvents(more.events, more.older);
  changed();
}

export const events = {
  name: 'events',
  needs: ({ events: known }) => [known, visible],
  sub: () => 'newest first',
  body({ events: { events: list, older } }) {
    if (!list.length) return note('Nothing has happened yet.');
    const today = now();
    const shown = list.slice(0, visible);
    const rows = shown.flatMap((e, i) => {
      const before = shown[i - 1]?.at ?? today;
      return [!sameDay(e.at, before) && h('li', { key: 'day ' + day(e.at), class: 'day' }, day(e.at)),
        h('li', { key: e.id }, h('time', { datetime: e.at }, clock(e.at)), h('p', { class: e.level }, e.text))].filter(Boolean);
    });
    return [h('ol', { class: 'log', 'aria-label': 'Events, newest first' }, rows),
      (older || list.length > visible) && h('button', { type: 'button', class: 'btn quiet', onclick: showOlder }, 'Show older')];
  },
};
