import { announce, drawing, h } from './dom.js';

async function copy({ currentTarget: button }, text) {
  const say = (word) => { button.firstChild.data = word; };
  try {
    await navigator.clipboard.writeText(text);
    say('Copied');
    announce('Copied');
  } catch {
    getSelection().selectAllChildren(button.previousSibling);
    say('Selected');
  }
  setTimeout(say, 1500, 'Copy');
}

// A command to copy. It breaks between words, and inside of one only where it must.
export const command = (text) => h('div.cmd', h('code', text.split(' ').map((word, i) => [i ? ' ' : '', h('span', word)])),
  h('button', { type: 'button', 'aria-label': 'Copy: ' + text, onclick: (event) => copy(event, text) }, 'Copy'));

export const note = (text) => h('p.none', text);
export const hidden = (text) => h('span.hidden', text);
export const scroll = (label, ...kids) => h('div.scroll', { role: 'group', 'aria-label': label }, kids);
// Heads of a table: text, or [class, content].
export const heads = (...list) => h('thead', h('tr', list.map((head) => (Array.isArray(head) ? h('th', { scope: 'col', class: head[0] }, head.slice(1)) : h('th', { scope: 'col' }, head)))));

export const bar = (percent, label, cls) => h('svg.bar', { class: cls, role: 'progressbar', 'aria-valuemin': 0, 'aria-valuemax': 100, 'aria-valuenow': percent, 'aria-label': label },
  h('rect.bg', { width: '100%', height: '100%', rx: 2 }), h('rect.fg', { width: percent + '%', height: '100%', rx: 2 }));

export const swatch = (text, look) => h('span', drawing('svg', { viewBox: '0 0 18 8' }, typeof look === 'string' ? h('rect', { class: look, width: 18, height: 8 }) : look), text);
export const stored = (value, show = (text) => text) => (value === null ? h('span.null', 'null') : value === '' ? h('span.null', 'empty') : show(value));
