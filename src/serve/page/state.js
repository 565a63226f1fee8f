// What the page knows: the documents of the API, kept up to date by the stream. A part is replaced, never changed in place: a panel compares references.
const LINES = ['rows_per_second', 'batch_p50_ms', 'batch_p99_ms', 'lag_ms'];
// The server sends at most 720 points; above this many the page asks for the series again.
const MOST_POINTS = 1080;

export const page = {
  state: null, series: { t: [], ...Object.fromEntries(LINES.map((key) => [key, []])) }, events: { events: [], older: false }, locks: null,
  error: null, // what the API answered instead of a state
  link: 'connecting', // connecting, live, polling, lost
  heardAt: null, // the server's time of the last message
};

let skew = 0;
export const now = () => Date.now() + skew;

let changed_ = () => {};
export const onChange = (listener) => { changed_ = listener; };
export const changed = () => changed_();

export const migration = () => page.state?.migration ?? null;

// Nothing moves while this is set: the figures are those of `at`.
export function stale() {
  if (page.link === 'lost') return { at: page.heardAt, link: true };
  return page.state && !page.state.database.up ? { at: page.state.database.seen_at, link: false } : null;
}

const withState = (parts) => { if (page.state) page.state = { ...page.state, ...parts }; };
const withMigration = (parts) => { if (migration()) withState({ migration: { ...migration(), ...parts } }); };

// Answers whether it is about another migration than before, or the same begun afresh.
function setState(next) {
  const before = migration();
  skew = Date.parse(next.at) - Date.now();
  Object.assign(page, { error: null, state: next });
  return before?.name !== next.migration?.name || Boolean(before?.started_at && before.started_at !== next.migration.started_at);
}

// What comes in messages of its own is not in that of the state.
function merged(next) {
  const { columns = [], sample = null, backfill = null, pauses = [] } = migration() ?? {};
  const { blockers, demo } = page.state ?? {};
  return { blockers, ...next, migration: next.migration && { columns, sample, backfill, pauses, ...next.migration }, demo: next.demo && { traffic: demo?.traffic, ...next.demo } };
}

function addPoint(point) {
  if (point.t <= page.series.t.at(-1)) return;
  page.series = Object.fromEntries(['t', ...LINES].map((key) => [key, [...page.series[key], point[key] ?? null]]));
}

export function addEvents({ events, older = page.events.older }) {
  const known = new Map([...page.events.events, ...events].map((event) => [event.id, event]));
  page.events = { events: [...known.values()].sort((a, b) => b.id - a.id), older };
}

const TAKE = {
  snapshot({ state, series, events, locks }) { setState(state); Object.assign(page, { series, events, locks }); },
  state: (data) => setState(merged(data)),
  progress({ backfill, pauses, phases, ...words }) { withMigration({ backfill, pauses, phases }); withState(words); },
  columns: (columns) => withMigration({ columns }),
  sample: (sample) => withMigration({ sample }),
  blockers: (blockers) => withState({ blockers }),
  series(point) { addPoint(point); return page.series.t.length > MOST_POINTS; },
  event: (event) => addEvents({ events: [event] }),
  lock(locks) { page.locks = locks; },
  traffic: (traffic) => withState({ demo: { ...page.state?.demo, traffic } }),
  demo: (demo) => withState({ demo: { traffic: page.state?.demo?.traffic, ...demo } }),
};
// Takes a message in. Answers true when the documents have to be asked for again.
export const take = (type, data) => TAKE[type](data) === true;
