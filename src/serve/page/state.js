// What the page knows: the documents of the API, kept up to date by the messages of the stream. A part is replaced, never changed in place, so that a
// panel sees by comparing references whether it has to be looked at.

export const SERIES = ['rows_per_second', 'batch_p50_ms', 'batch_p99_ms', 'lag_ms'];
// The server sends at most 720 points; above this many the page asks for a thinner series again.
const MOST_POINTS = 1080;

const noSeries = () => ({ t: [], ...Object.fromEntries(SERIES.map((key) => [key, []])) });
export const page = {
  state: null, series: noSeries(), events: { events: [], older: false }, locks: null,
  error: null, // what the API answered instead of a state
  link: 'connecting', // connecting, live, polling, lost
  heardAt: null, // the page server's time of the last message
};

let skew = 0;
export const now = () => Date.now() + skew;

const listeners = [];
export const onChange = (listener) => listeners.push(listener);
export const changed = () => listeners.forEach((listener) => listener());

export const migration = () => page.state?.migration ?? null;

// Nothing moves while this is set: the figures are those of `at`.
export function stale() {
  if (page.link === 'lost') return { at: page.heardAt, link: true };
  if (page.state && !page.state.database.up) return { at: page.state.database.seen_at, link: false };
  return null;
}

const withMigration = (parts) => { if (migration()) page.state = { ...page.state, migration: { ...page.state.migration, ...parts } }; };

function setState(next) {
  skew = Date.parse(next.at) - Date.now();
  page.error = null;
  page.state = next;
}

// Of a state message some parts come as messages of their own.
function mergeState(next) {
  const before = page.state;
  if (next.migration) {
    const { columns = [], sample = null, backfill = null, pauses = [] } = before?.migration ?? {};
    next.migration = { columns, sample, backfill, pauses, ...next.migration };
  }
  next.blockers ??= before?.blockers;
  if (next.demo) next.demo.traffic ??= before?.demo?.traffic;
  setState(next);
}

// Another migration is the current one, or the same was begun afresh: what is known of the old one is of no use.
const isOther = (before, after) => before?.name !== after?.name || (before?.started_at && before.started_at !== after?.started_at);

function addPoint(point) {
  const { t } = page.series;
  if (t.length && point.t <= t.at(-1)) return;
  page.series = { t: [...t, point.t], ...Object.fromEntries(SERIES.map((key) => [key, [...page.series[key], point[key] ?? null]])) };
}

export function addEvents(list, older = page.events.older) {
  const byId = new Map(page.events.events.map((event) => [event.id, event]));
  for (const event of list) byId.set(event.id, event);
  page.events = { events: [...byId.values()].sort((a, b) => b.id - a.id), older };
}

// Takes a message in. Answers true when the documents have to be asked for again.
export function take(type, data) {
  switch (type) {
    case 'snapshot':
      setState(data.state);
      page.series = data.series ?? noSeries();
      page.events = data.events ?? { events: [], older: false };
      page.locks = data.locks;
      return false;
    case 'document': {
      const other = isOther(migration(), data.migration);
      setState(data);
      return other;
    }
    case 'state': {
      const other = isOther(migration(), data.migration);
      mergeState(data);
      return other;
    }
    case 'progress': {
      const { backfill, pauses, phases, ...words } = data;
      withMigration({ backfill, pauses, phases });
      if (page.state) page.state = { ...page.state, ...words };
      return false;
    }
    case 'columns': withMigration({ columns: data }); return false;
    case 'sample': withMigration({ sample: data }); return false;
    case 'blockers': if (page.state) page.state = { ...page.state, blockers: data }; return false;
    case 'series': addPoint(data); return page.series.t.length > MOST_POINTS;
    case 'event': addEvents([data]); return false;
    case 'lock': page.locks = data; return false;
    case 'traffic': if (page.state?.demo) page.state = { ...page.state, demo: { ...page.state.demo, traffic: data } }; return false;
    case 'demo': if (page.state) page.state = { ...page.state, demo: { ...data, traffic: data.traffic ?? page.state.demo?.traffic } }; return false;
    default: return false;
  }
}
