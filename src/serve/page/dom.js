// Descriptions of elements, and a patch that brings the document to them: a node lives as long as its place, so that focus, selection and scroll survive
// every message. Text and attributes are all that data can become.

// Control, invisible and direction characters are shown, not obeyed.
const OBEYED = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb]/g;
export const plain = (text) => String(text).replace(OBEYED, (c) => '\\u' + c.charCodeAt(0).toString(16).padStart(4, '0'));

export function cut(text, length = 80) {
  const points = Array.from(text);
  return points.length > length ? points.slice(0, length).join('') + '…' : text;
}

const nothing = (value) => value === null || value === undefined || value === false;
// What is nothing keeps its place: what comes behind it is not taken for something else.
const flat = (kids) => kids.flat(Infinity).map((kid) => (kid?.kids ? kid : { text: nothing(kid) ? '' : plain(kid) }));

// h('td.num', { title: … }, kids): attributes only where there are any.
export function h(selector, ...kids) {
  const [tag, ...classes] = selector.split('.');
  const [first] = kids;
  const props = first && typeof first === 'object' && !Array.isArray(first) && !first.kids ? kids.shift() : {};
  if (classes.length) props.class = [...classes, props.class].filter(Boolean).join(' ');
  return { tag, props, key: props.key, kids: flat(kids) };
}

// A picture whose meaning is said in words beside it.
export const drawing = (selector, props, ...kids) => h(selector, { 'aria-hidden': 'true', ...props }, kids);

function setProp(node, name, value) {
  if (name === 'key') return;
  if (name.startsWith('on')) {
    if (!node[' ' + name]) node.addEventListener(name.slice(2), (event) => node[' ' + name](event));
    node[' ' + name] = value;
  } else if (nothing(value)) node.removeAttribute(name);
  else node.setAttribute(name, value === true ? '' : plain(value));
}

// Makes the node of `now`, or takes over that of `old`.
function settle(old, now, svg) {
  if (old === now) return;
  if (now.kids === undefined) {
    now.node = old?.node ?? document.createTextNode(now.text);
    if (old && old.text !== now.text) now.node.data = now.text;
    return;
  }
  svg ||= now.tag === 'svg';
  now.node = old?.node ?? (svg ? document.createElementNS('http://www.w3.org/2000/svg', now.tag) : document.createElement(now.tag));
  const had = old?.props ?? {};
  for (const name of Object.keys({ ...had, ...now.props })) if (now.props[name] !== had[name]) setProp(now.node, name, now.props[name]);
  patch(now.node, old?.kids ?? [], now.kids, svg);
}

function patch(parent, before, after, svg) {
  const loose = before.filter((old) => old.key === undefined);
  const keyed = new Map(before.map((old) => [old.key, old]));
  let at = 0;
  const pairs = after.map((now) => {
    const old = now.key === undefined ? loose[at++] : keyed.get(now.key);
    return [old?.tag === now.tag ? old : undefined, now];
  });
  // What goes, goes first: then what stays is not moved, and keeps its focus.
  const kept = new Set(pairs.map(([old]) => old));
  for (const old of before) if (!kept.has(old)) old.node.remove();
  let cursor = parent.firstChild;
  for (const [old, now] of pairs) {
    settle(old, now, svg);
    if (now.node === cursor) cursor = cursor.nextSibling;
    else parent.insertBefore(now.node, cursor);
  }
}

// Fills an element; what index.html has in it goes.
export function mount(root) {
  let shown = null;
  return (...kids) => {
    if (!shown) root.replaceChildren();
    const next = flat(kids);
    patch(root, shown ?? [], next, false);
    shown = next;
  };
}

export const byId = (id) => document.getElementById(id);

// One polite region for the whole page: what matters is said once, when it begins.
export const announce = (text) => { byId('announce').textContent = plain(text); };

// A region that scrolls is a stop of the keyboard, one that does not is none.
const regions = new ResizeObserver((entries) => {
  for (const { target } of entries) {
    const region = target.closest('.scroll');
    if (region.scrollWidth > region.clientWidth) region.tabIndex = 0;
    else region.removeAttribute('tabindex');
  }
});
export const watchScrolling = () => document.querySelectorAll('.scroll, .scroll > table').forEach((node) => regions.observe(node));
