// Puts the page together: messages into state, state into panels. A panel is made again only when something it needs was replaced.
import { announce, byId, h, mount, plain, watchScrolling } from './dom.js';
import { clock } from './format.js';
import { documents, follow, session } from './api.js';
import { changed, migration, now, onChange, page, stale, take } from './state.js';
import { answers, documentTitle, foot, notice, title, top } from './panels/summary.js';
import { phases } from './panels/phases.js';
import { controls } from './panels/demo.js';
import { traffic } from './panels/traffic.js';
import { compare } from './panels/compare.js';
import { backfill } from './panels/backfill.js';
import { population, schema } from './panels/schema.js';
import { blockers, events } from './panels/activity.js';
import { locks } from './panels/locks.js';
import { history, sample } from './panels/tables.js';
import { drawCharts, onChartChange } from './charts.js';

const asOf = ({ at }) => (at ? 'as of ' + clock(at) : 'not known');

function panel({ name, title: heading, wide, needs, sub, body }) {
  let known = null;
  let made = null;
  return (v) => {
    const next = needs(v);
    if (!known || next.some((value, i) => !Object.is(value, known[i]))) {
      known = next;
      made = h('div', body(v));
    }
    return h('section.panel', { key: name, class: wide && 'c12', 'aria-labelledby': 'h-' + name },
      h('div.head', h('h2', { id: 'h-' + name }, heading), h('p.sub', v.stale ? asOf(v.stale) : sub(v))), made);
  };
}
const [left, pair, right, wide] = [[backfill], [schema, population], [blockers, events], [locks, sample, history]].map((list) => list.map(panel));
const [lanes, measured] = [traffic, compare].map(panel);

const fillTop = mount(byId('top'));
const fillMain = mount(byId('main'));
const fillFoot = mount(byId('foot'));

function draw() {
  const v = { ...page, migration: migration(), stale: stale() };
  const all = (list) => list.map((make) => make(v));
  const focused = document.activeElement;
  document.title = plain(documentTitle(v));
  document.body.className = [v.stale && 'stale', v.stale?.link && 'cut'].filter(Boolean).join(' ');
  fillTop(top(v));
  fillMain(title(v), answers(v), notice(v), phases(v), v.state?.demo && [controls(v), v.state.demo.traffic && lanes(v)], v.state?.naive && measured(v),
    v.migration && h('div.grid', { key: 'panels' }, h('div.c8', all(left), h('div.pair', all(pair))), h('div.c4', all(right)), all(wide)));
  fillFoot(foot(v));
  drawCharts(v);
  watchScrolling();
  // The button of a phase that is done goes away: its focus belongs to the next one.
  if (!focused.isConnected) (document.querySelector('.btn.primary') ?? byId('main')).focus();
}

let frame = 0;
const schedule = () => { frame ||= requestAnimationFrame(() => { frame = 0; draw(); }); };
onChange(schedule);
setInterval(schedule, 1000);

// The server's words. Their figures change all the time, and are said at each quarter only.
let said = '';
function tell() {
  const { announce: words = '', migration: m } = page.state ?? {};
  const news = words.replace(/\d+(\.\d+)?/g, '#') + Math.floor((m?.backfill?.total_percent ?? 0) / 25);
  if (words && news !== said) announce(words);
  said = news;
}

function receive(type, data) {
  // What cannot be asked for now comes with the next message.
  if (take(type, data)) documents().then((all) => receive('snapshot', all), () => {});
  tell();
  changed();
}

function setLink(status) {
  if ((status === 'lost') !== (page.link === 'lost')) announce(status === 'lost' ? 'Reconnecting' : 'Connected again');
  if (status !== 'lost') page.heardAt = now();
  page.link = status;
  changed();
}

onChartChange(changed);
await session();
follow({ message: receive, link: setLink, refused: (error) => { page.error = error; changed(); } });
