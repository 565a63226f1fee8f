// Puts the page together: messages into state, state into panels. A panel is looked at again only when something it needs was replaced.
import { announce, byId, mount, plain, watchScrolling } from './dom.js';
import { clock } from './format.js';
import { documents, follow, session } from './api.js';
import { changed, migration, now, onChange, page, stale, take } from './state.js';
import { answers, documentTitle, foot, link, notice, noticeLevel, title } from './panels/summary.js';
import { phases } from './panels/phases.js';
import { demo } from './panels/demo.js';
import { traffic } from './panels/traffic.js';
import { compare } from './panels/compare.js';
import { backfill, pauses } from './panels/backfill.js';
import { population, schema } from './panels/schema.js';
import { blockers, events } from './panels/activity.js';
import { locks } from './panels/locks.js';
import { history, sample } from './panels/tables.js';
import { drawCharts, readCharts } from './charts.js';

const selected = new URLSearchParams(location.search).get('m');
const view = () => ({ ...page, migration: migration(), stale: stale(), seen: page.heardAt, selected });

// A part of the page that is drawn again when one of its needs is another than before.
function part(id, needs, body) {
  const root = byId(id);
  let fill = null;
  let before = null;
  return (v) => {
    const next = needs(v);
    if (before && next.every((value, i) => Object.is(value, before[i]))) return;
    before = next;
    if (!fill) { root.replaceChildren(); fill = mount(root); }
    fill(body(v));
  };
}

const staleKey = (v) => v.stale && `${v.stale.at} ${v.stale.link}`;
const head = [
  part('target', (v) => [v.state?.database.target], (v) => v.state?.database.target),
  part('link', (v) => [v.link, staleKey(v), clock(v.seen), v.error], link),
  part('title', (v) => [v.migration?.name, v.migration?.rows_estimated, v.migration?.bytes, v.migration?.description, v.state?.answers.migration.lead], title),
  part('verdict', (v) => [v.state?.answers, staleKey(v)], answers),
  part('notice', (v) => [v.state?.notice, v.error], notice),
  part('stepper', (v) => [v.migration?.phases, v.migration?.situation, v.state?.answers.next.level, staleKey(v), ...demo.needs(v)], phases),
  part('foot', (v) => [v.state?.program, v.state?.demo?.server], foot),
];

const panel = (p) => ({
  draw: part(p.name, p.needs, p.body),
  sub: part(p.name + '-sub', (v) => [v.stale ? asOf(v.stale) : p.sub(v)], (v) => (v.stale ? asOf(v.stale) : p.sub(v))),
});
const asOf = ({ at }) => (at ? 'as of ' + clock(at) : 'not known');
const always = [backfill, schema, population, blockers, events, locks, sample, history].map(panel);
const measured = panel(compare);
const lanes = panel(traffic);
const controls = part('demo', demo.needs, demo.body);
const pauseList = part('pauses', pauses.needs, pauses.body);

function show(id, on) { byId(id).hidden = !on; }

function draw() {
  const v = view();
  document.title = plain(documentTitle(v));
  document.body.classList.toggle('stale', Boolean(v.stale));
  document.body.classList.toggle('cut', Boolean(v.stale?.link));
  const focused = document.activeElement;
  head.forEach((render) => render(v));
  const level = noticeLevel(v);
  show('notice', level);
  byId('notice').className = 'notice ' + level;
  show('demo', v.state?.demo);
  if (v.state?.demo) controls(v);
  show('p-traffic', v.state?.demo?.traffic);
  if (v.state?.demo?.traffic) { lanes.draw(v); lanes.sub(v); }
  show('p-compare', v.state?.naive);
  if (v.state?.naive) { measured.draw(v); measured.sub(v); }
  show('panels', v.migration);
  if (v.migration) {
    for (const { draw: body, sub } of always) { body(v); sub(v); }
    pauseList(v);
    drawCharts(v);
  }
  watchScrolling();
  // The button of a phase that is done goes away: the next one is where its focus belongs.
  if (focused && focused !== document.body && !focused.isConnected) (document.querySelector('.btn.primary') ?? byId('main')).focus();
}

let frame = 0;
const schedule = () => { frame ||= requestAnimationFrame(() => { frame = 0; draw(); }); };
// A tab that is not shown gets no frames: what it would have drawn is drawn when it is shown again.
document.addEventListener('visibilitychange', () => { if (!document.hidden) schedule(); });
onChange(schedule);
setInterval(() => { if (!document.hidden) schedule(); }, 1000);

// The words come from the server. Their figures change all the time, and are worth saying at each quarter only.
let said = '';
function tell() {
  const { announce: words, migration: m } = page.state ?? {};
  if (!words) return;
  const key = words.replace(/\d+(\.\d+)?/g, '#') + Math.floor((m?.backfill?.total_percent ?? 0) / 25);
  if (key === said) return;
  said = key;
  announce(words);
}

async function askAgain() {
  try { receive('snapshot', await documents()); } catch { /* the stream goes on, or is missed by follow() */ }
}

function receive(type, data) {
  if (take(type, data)) askAgain();
  tell();
  changed();
}

function setLink(status) {
  if (status === 'lost' && page.link !== 'lost') announce('Reconnecting' + (page.heardAt ? ', figures of ' + clock(page.heardAt) : ''));
  if (status !== 'lost') {
    if (page.link === 'lost') announce('Connected again');
    page.heardAt = now();
  }
  page.link = status;
  changed();
}

readCharts(changed);
await session();
follow({ message: receive, link: setLink, refused: (error) => { if (!page.state || error.status === 401) page.error = error; changed(); } });
