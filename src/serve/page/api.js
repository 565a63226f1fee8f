// The way to the server: a stream of messages, polling where no stream can be had, and nothing at all while nobody looks.
const TYPES = ['snapshot', 'state', 'progress', 'series', 'event', 'lock', 'blockers', 'columns', 'sample', 'traffic', 'demo', 'ping', 'bye'];
const SILENCE_MS = 10000;
const HIDDEN_MS = 60000;
const BACKOFF_MS = [1000, 2000, 4000, 8000];
const POLL_MS = 2000;
// After so many polls the page tries to get a stream again.
const POLLS = 15;

export const selected = new URLSearchParams(location.search).get('m');
const address = (path, query) => path + '?' + new URLSearchParams(Object.entries({ m: selected, ...query }).filter(([, value]) => value));

async function read(answer) {
  const body = await answer.json().catch(() => ({}));
  if (answer.ok) return body;
  const { message, hint } = body.error ?? { message: `The server answered ${answer.status}.` };
  throw Object.assign(new Error(message), { status: answer.status, hint });
}
export const get = async (path, query) => read(await fetch(address(path, query)));

export async function documents(known) {
  const [state, series, events, locks] = await Promise.all([known ?? get('/api/state'), get('/api/series', { points: 720 }), get('/api/events', { limit: 50 }), get('/api/locks')]);
  return { state, series, events, locks };
}

// Not on loopback the page is opened as /#TOKEN: the token is given for a cookie and leaves the address.
export async function session() {
  const token = location.hash.slice(1);
  if (token.length < 16) return;
  history.replaceState(null, '', location.pathname + location.search);
  await fetch('/api/session', { method: 'POST', headers: { Authorization: 'Bearer ' + token } }).catch(() => {});
}

// The demo's controls. A server that was started again has another token.
let token = null;
export async function press(name, again = true) {
  token ??= (await get('/api/demo/token')).token;
  try {
    return await read(await fetch('/api/demo/' + name, { method: 'POST', headers: { 'Content-Type': 'application/json', 'X-Ecmigrate': '1', 'X-Ecmigrate-Token': token }, body: '{}' }));
  } catch (error) {
    if (error.status !== 403 || !again) throw error;
    token = null;
    return press(name, false);
  }
}

export function follow({ message, link, refused }) {
  let source = null;
  let timer = 0;
  let lastId = '';
  let tries = 0;
  let polls = 0;
  let tag = '';
  let asleep = false;
  let heardAt = performance.now();

  const heard = (way) => { heardAt = performance.now(); tries = 0; link(way); };
  const close = () => { source?.close(); source = null; clearTimeout(timer); };
  const wait = (action, ms) => { close(); timer = setTimeout(action, ms); };
  const again = () => wait(open, BACKOFF_MS[Math.min(tries++, BACKOFF_MS.length - 1)]);

  function open() {
    close();
    const mine = source = new EventSource(address('/api/stream', { after: lastId }));
    let opened = false;
    mine.onopen = () => { opened = true; };
    mine.onerror = () => {
      close();
      if (opened) again();
      else poll();
    };
    for (const type of TYPES) {
      mine.addEventListener(type, ({ data, lastEventId }) => {
        lastId = lastEventId || lastId;
        if (type !== 'ping' && type !== 'bye') message(type, JSON.parse(data));
        heard('live');
        if (type === 'bye') again();
      });
    }
  }

  // No stream: there may be too many, or a proxy that holds them back, or no server.
  async function poll() {
    try {
      const answer = await fetch(address('/api/state'), { headers: tag ? { 'If-None-Match': tag } : {}, signal: AbortSignal.timeout(SILENCE_MS) });
      if (answer.status !== 304) {
        message('snapshot', await documents(await read(answer)));
        tag = answer.headers.get('ETag') ?? '';
      }
      if (asleep) return;
      heard('polling');
      wait(++polls % POLLS ? poll : open, POLL_MS * (0.8 + 0.4 * Math.random()));
    } catch (error) {
      tag = '';
      if (error.status && error.status !== 503) refused(error);
      if (!asleep) again();
    }
  }

  setInterval(() => {
    if (asleep || performance.now() - heardAt < SILENCE_MS) return;
    heardAt = performance.now();
    link('lost');
    if (source) again();
  }, 1000);

  let hidden = 0;
  document.addEventListener('visibilitychange', () => {
    clearTimeout(hidden);
    if (document.hidden) hidden = setTimeout(() => { asleep = true; close(); }, HIDDEN_MS);
    else if (asleep) {
      asleep = false;
      heardAt = performance.now();
      open();
    }
  });
  open();
}
