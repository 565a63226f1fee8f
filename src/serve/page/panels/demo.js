// The demo's controls. One that cannot be pressed stays reachable and says why.
import { announce, h } from '../dom.js';
import { changed } from '../state.js';
import { press } from '../api.js';
import { stored } from '../parts.js';

const ASKS_FOR_MS = 6000;
const local = {};
const set = (parts) => { Object.assign(local, parts); changed(); };

// It stands until the server has something newer to say.
function say(demo, level, text) {
  announce(text);
  set({ pending: null, said: { level, text }, before: demo.message });
}

async function push(control, demo) {
  if (local.pending) return;
  if (!control.enabled) return say(demo, 'muted', `${control.label}: ${control.reason}`);
  if (control.name === 'reset' && !local.asked) {
    announce('Press again to reset');
    setTimeout(set, ASKS_FOR_MS, { asked: null });
    return set({ asked: 'reset' });
  }
  set({ pending: control.name, asked: null, said: null });
  await press(control.name).then(({ text }) => say(demo, 'ok', text), (error) => say(demo, 'bad', [error.message, error.hint].filter(Boolean).join(' ')));
}

function button(control, demo, key) {
  const why = !control.enabled && control.reason;
  return h('button.btn', { key, type: 'button', class: control.primary && 'primary', 'data-control': control.name, 'aria-disabled': (!control.enabled || local.pending) && 'true', 'aria-busy': [local.pending, demo.busy?.control].includes(control.name) && 'true', title: why, onclick: () => push(control, demo) },
    local.asked === control.name ? 'Reset: press again' : control.label);
}

// The same place under a phase keeps the same button, whatever it is for now: the focus stays on it.
export function phaseControls(demo, phase) {
  const here = demo.controls.filter((c) => c.under === phase);
  const able = here.filter((c) => c.enabled);
  const shown = able.length ? able : here.slice(0, 1);
  return shown.length > 0 && h('div.set', shown.map((control, i) => button(control, demo, i)));
}

const SETS = { write: 'Write a user as', way: 'In the way', naive: 'On a copy', end: '' };

const written = (w) => (w ? h('p.small', h('span.muted', `The ${w.shape} version wrote `), h('code', w.text), h('span.muted', ' and the row is '), Object.entries(w.row).map(([column, value], i) => [i ? ', ' : '', h('span.muted', column + ' '), stored(value, (text) => h('b', text))]))
  : h('p.small.muted', 'Write a user: the statement and its row are shown here.'));

export function controls({ state: { demo } }) {
  const said = local.said && demo.message === local.before ? local.said : demo.message ?? { level: 'muted', text: `Backfill paced to ${demo.max_rows_rate} rows/s, to be watched.` };
  return h('section.demo', { key: 'demo', 'aria-label': 'Demo controls' }, Object.entries(SETS).map(([under, title]) => h('div.set', { key: under, class: under }, title && h('span', title), demo.controls.filter((c) => c.under === under).map((c) => button(c, demo, c.name)))),
    h('div.said', written(demo.written), h('p.small', { class: said.level }, said.text)));
}
