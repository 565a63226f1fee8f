// Small pieces that several panels use.
import { h, announce } from './dom.js';

async function copy(event, text) {
  const button = event.currentTarget;
  const say = (word) => { button.firstChild.data = word; };
  try {
    await navigator.clipboard.writeText(text);
    say('Copied');
    announce('Copied');
  } catch {
    getSelection().selectAllChildren(button.previousElementSibling);
    say('Selected');
  }
  setTimeout(() => say('Copy'), 1500);
}

// A command to copy. It breaks between words, and inside of one only where it must.
export const command = (text) => h('div', { class: 'cmd' },
  h('code', {}, text.split(' ').map((word, i) => [i ? ' ' : '', h('span', {}, word)])),
  h('button', { type: 'button', 'aria-label': 'Copy: ' + text, onclick: (event) => copy(event, text) }, 'Copy'));

export const note = (...kids) => h('div', { class: 'none' }, h('p', {}, kids));
export const hidden = (text) => h('span', { class: 'hidden' }, text);
export const scroll = (label, ...kids) => h('div', { class: 'scroll', role: 'group', 'aria-label': label }, kids);
export const heads = (...names) => h('thead', {}, h('tr', {}, names.map((name) => (typeof name === 'string' ? h('th', { scope: 'col' }, name) : name))));
export const head = (cls, ...kids) => h('th', { scope: 'col', class: cls }, kids);

export const bar = (percent, label, cls = '') => h('svg', { class: 'bar ' + cls, role: 'progressbar', 'aria-valuemin': 0, 'aria-valuemax': 100, 'aria-valuenow': percent, 'aria-label': label },
  h('rect', { class: 'bg', width: '100%', height: '100%', rx: 2 }), h('rect', { class: 'fg', width: percent + '%', height: '100%', rx: 2 }));

export const figures = (pairs) => h('dl', { class: 'figs' }, pairs.filter(Boolean).map(([name, value, more]) => h('div', { key: name }, h('dt', {}, name), h('dd', {}, value, more ? h('small', {}, ' ' + more) : null))));

export const swatch = (cls, text, extra) => h('span', {}, h('svg', { viewBox: '0 0 18 8', 'aria-hidden': 'true' }, extra || h('rect', { class: cls, width: 18, height: 8 })), text);
