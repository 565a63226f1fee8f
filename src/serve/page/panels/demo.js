// The demo's controls: each phase's stands under its phase, the others in a bar. One that cannot be pressed stays reachable and says why.
import { announce, h } from '../dom.js';
import { changed } from '../state.js';
import { press } from '../api.js';
import { hidden } from '../parts.js';

const ASKS_ONCE_MS = 6000;
const local = { pending: null, asked: null, said: null, saidBefore: null };

async function push(control, demo) {
  if (!control.enabled || local.pending) return;
  if (control.name === 'reset' && local.asked !== 'reset') {
    local.asked = 'reset';
    announce('Press again to reset');
    setTimeout(() => { local.asked = null; changed(); }, ASKS_ONCE_MS);
    return changed();
  }
  Object.assign(local, { pending: control.name, asked: null, said: null });
  changed();
  try {
    const { text } = await press(control.name);
    local.said = { level: 'ok', text };
  } catch (error) {
    local.said = { level: 'bad', text: [error.message, error.hint].filter(Boolean).join(' ') };
  }
  // What the server says next is newer than this answer.
  Object.assign(local, { pending: null, saidBefore: demo.message });
  announce(local.said.text);
  changed();
}

function button(control, demo, key) {
  const works = local.pending === control.name || demo.busy?.control === control.name;
  const able = control.enabled && !local.pending;
  const label = local.asked === control.name ? 'Reset: press again' : control.label;
  const why = control.enabled ? null : control.reason;
  return h('button', { key, type: 'button', class: 'btn' + (control.primary ? ' primary' : ''), 'data-control': control.name, 'aria-disabled': able ? null : 'true', 'aria-busy': works ? 'true' : null, title: why, onclick: () => push(control, demo) },
    label, why && hidden(', ' + why));
}

// The same place under a phase keeps the same button, whatever it is for now: the focus stays on it.
export function phaseControls(demo, phase) {
  const here = demo.controls.filter((c) => c.under === phase);
  const able = here.filter((c) => c.enabled);
  const shown = able.length ? able : here.slice(0, 1);
  return shown.length > 0 && h('div', { class: 'set' }, shown.map((control, i) => button(control, demo, i)));
}

const SETS = [['write', 'Write a user as'], ['way', 'In the way'], ['naive', 'On a copy'], ['end', '']];

function written({ written: w }) {
  if (!w) return h('p', { key: 'none', class: 'small muted' }, 'Write a user: the statement and the row as it is stored are shown here.');
  return h('p', { key: 'row', class: 'wrote small' }, h('span', { class: 'muted' }, `The ${w.shape} version wrote `), h('code', {}, w.text), h('span', { class: 'muted' }, ' and the row is '),
    Object.entries(w.row).map(([column, value], i) => [i ? ', ' : '', h('span', { class: 'pair-of' }, h('span', { class: 'muted' }, column + ' '), value === null ? h('span', { class: 'null' }, 'null') : value === '' ? h('span', { class: 'null' }, 'empty') : h('b', {}, value))]));
}

export const demo = {
  needs: ({ state }) => [state?.demo?.controls, state?.demo?.busy, state?.demo?.written, state?.demo?.message, local.pending, local.asked, local.said],
  body({ state: { demo: d } }) {
    const said = local.said && d.message === local.saidBefore ? local.said : d.message;
    return [SETS.map(([under, title]) => {
      const here = d.controls.filter((c) => c.under === under);
      return here.length > 0 && h('div', { key: under, class: 'set ' + under }, title && h('span', {}, title), here.map((c) => button(c, d, c.name)));
    }), h('div', { key: 'said', class: 'said' }, written(d), h('p', { class: 'small ' + (said?.level ?? 'muted') }, said?.text ?? `Backfill paced to ${d.max_rows_rate} rows/s so that it can be watched.`))];
  },
};
