// The way to the server: a stream of messages, polling where no stream can be had, and nothing at all while nobody looks.
const TYPES = ['snapshot', 'state', 'progress', 'series', 'event', 'lock', 'blockers', 'columns', 'sample', 'traffic', 'demo', 'ping', 'bye'];
const SILENCE_MS = 10000;
const HIDDEN_MS = 60000;
const BACKOFF_MS = [1000, 2000, 4000, 8000];
const POLL_MS = 2000;
// While it polls, the page looks this often (in polls) for the slower documents, and for a stream.
const POLLS_OF_DOCUMENTS = 5;
const POLLS_OF_STREAM = 15;

const selected = new URLSearchParams(location.search).get('m');
const address = (path, query = {}) => {
  const params = new URLSearchParams(Object.entries({ m: selected, ...query }).filter(([, value]) => value));
  return path + (params.size ? '?' + params : '');
};

export class Refused extends Error {
  constructor(status, error) {
    super(error.message);
    Object.assign(this, { status, hint: error.hint });
  }
}

const read = async (answer) => {
  const body = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Refused(answer.status, body.error ?? { message: `The server answered ${answer.status}.` });
  return body;
};
export const get = async (path, query) => read(await fetch(address(path, query)));

export async function documents() {
  const [state, series, events, locks] = await Promise.all([get('/api/state'), get('/api/series', { points: 720 }), get('/api/events', { limit: 50 }), get('/api/locks')]);
  return { state, series, events, locks };
}

// A page that is not on loopback is opened as /#TOKEN: the token is given for a cookie and does not stay in the address.
export async function session() {
  const token = location.hash.slice(1);
  if (token.length < 16) return;
  history.replaceState(null, '', location.pathname + location.search);
  await fetch('/api/session', { method: 'POST', headers: { Authorization: 'Bearer ' + token } });
}

// The demo's controls. The token is this server's own; a server that was started again has another one.
let token = null;
export async function press(name) {
  for (const last of [false, true]) {
    token ??= (await get('/api/demo/token')).token;
    try {
      return await read(await fetch('/api/demo/' + name, { method: 'POST', headers: { 'Content-Type': 'application/json', 'X-Ecmigrate': '1', 'X-Ecmigrate-Token': token }, body: '{}' }));
    } catch (error) {
      if (last || error.status !== 403) throw error;
      token = null;
    }
  }
}

// Calls message(type, data), link(status), refused(error) until the page is closed.
export function follow({ message, link, refused }) {
  let source = null;
  let timer = 0;
  let lastId = '';
  let tries = 0;
  let polls = 0;
  let tag = '';
  let asleep = false;
  let heardAt = performance.now();

  const heard = (status) => { heardAt = performance.now(); link(status); };
  const wait = (action, ms) => { clearTimeout(timer); timer = setTimeout(action, ms); };
  const close = () => { source?.close(); source = null; clearTimeout(timer); };
  const again = () => { close(); wait(open, BACKOFF_MS[Math.min(tries++, BACKOFF_MS.length - 1)]); };

  function open() {
    close();
    const mine = source = new EventSource(address('/api/stream', { after: lastId }));
    let opened = false;
    mine.onopen = () => { opened = true; polls = 0; };
    mine.onerror = () => {
      if (mine !== source) return;
      close();
      if (opened) again();
      else poll();
    };
    for (const type of TYPES) {
      mine.addEventListener(type, (event) => {
        if (mine !== source) return;
        tries = 0;
        if (event.lastEventId) lastId = event.lastEventId;
        if (type === 'bye') again();
        else if (type !== 'ping') message(type, JSON.parse(event.data));
        heard('live');
      });
    }
  }

  // No stream: there may be too many, or a proxy that holds them back, or no server.
  async function poll() {
    const turn = polls++;
    try {
      const answer = await fetch(address('/api/state'), { headers: tag ? { 'If-None-Match': tag } : {}, signal: AbortSignal.timeout(SILENCE_MS) });
      if (source || asleep) return;
      if (answer.status !== 304) {
        const state = await read(answer);
        tag = answer.headers.get('ETag') ?? '';
        if (turn % POLLS_OF_DOCUMENTS === 0) message('snapshot', { ...(await documents()), state });
        else message('document', state);
      }
      tries = 0;
      heard('polling');
      wait((turn + 1) % POLLS_OF_STREAM === 0 ? open : poll, POLL_MS * (0.8 + 0.4 * Math.random()));
    } catch (error) {
      if (source || asleep) return;
      polls = 0;
      tag = '';
      if (error instanceof Refused && error.status !== 503) refused(error);
      again();
    }
  }

  setInterval(() => {
    if (asleep || performance.now() - heardAt < SILENCE_MS) return;
    link('lost');
    // A stream that is open and says nothing is as good as none.
    if (source) again();
    heardAt = performance.now();
  }, 1000);

  let hiddenTimer = 0;
  document.addEventListener('visibilitychange', () => {
    clearTimeout(hiddenTimer);
    if (document.hidden) {
      hiddenTimer = setTimeout(() => { asleep = true; close(); }, HIDDEN_MS);
    } else if (asleep) {
      asleep = false;
      heardAt = performance.now();
      open();
    }
  });
  open();
}
