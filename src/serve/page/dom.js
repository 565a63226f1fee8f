// Descriptions of elements, and a patch that brings the document to them: a node lives as long as its place does, so that focus, selection, scroll
// and open details survive every message. Text and attributes are all that data can become.

// Control, invisible and direction characters are shown, not obeyed.
const OBEYED = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb]/g;
export const plain = (text) => String(text).replace(OBEYED, (c) => '\\u' + c.charCodeAt(0).toString(16).padStart(4, '0'));

export const cut = (text, length = 80) => {
  const points = Array.from(String(text));
  return points.length > length ? points.slice(0, length).join('') + '…' : points.join('');
};

// null and false keep their place, so that what comes behind them is not taken for something else.
const flat = (kids) => kids.flat(Infinity).map((kid) => (kid !== null && typeof kid === 'object' ? kid : { text: kid === null || kid === undefined || kid === false ? '' : plain(kid) }));

export const h = (tag, props, ...kids) => ({ tag, props: props || {}, key: props?.key, kids: flat(kids) });

function setProp(node, name, value) {
  if (name === 'key') return;
  if (name.startsWith('on')) {
    node['_' + name] ?? node.addEventListener(name.slice(2), (event) => node['_' + name]?.(event));
    node['_' + name] = value || (() => {});
  } else if (value === null || value === undefined || value === false) node.removeAttribute(name);
  else node.setAttribute(name, value === true ? '' : plain(value));
}

function create(now, svg) {
  if (now.text !== undefined) now.node = document.createTextNode(now.text);
  else {
    now.node = svg || now.tag === 'svg' ? document.createElementNS('http://www.w3.org/2000/svg', now.tag) : document.createElement(now.tag);
    for (const name in now.props) if (now.props[name] !== null && now.props[name] !== undefined && now.props[name] !== false) setProp(now.node, name, now.props[name]);
    patch(now.node, [], now.kids, svg || now.tag === 'svg');
  }
  return now.node;
}

function update(old, now, svg) {
  now.node = old.node;
  if (now.text !== undefined) {
    if (now.text !== old.text) now.node.data = now.text;
    return;
  }
  for (const name in old.props) if (!(name in now.props)) setProp(now.node, name, null);
  for (const name in now.props) if (now.props[name] !== old.props[name]) setProp(now.node, name, now.props[name]);
  patch(now.node, old.kids, now.kids, svg || now.tag === 'svg');
}

function patch(parent, before, after, svg) {
  const keyed = new Map();
  const loose = [];
  for (const old of before) old.key === undefined ? loose.push(old) : keyed.set(old.key, old);
  let at = 0;
  const pairs = after.map((now) => {
    const old = now.key === undefined ? loose[at++] : keyed.get(now.key);
    if (!old || old.tag !== now.tag) return [now, null];
    old.kept = true;
    return [now, old];
  });
  // What goes, goes first: then nothing that stays has to be moved, and a node that is not moved keeps its focus.
  for (const old of before) if (!old.kept) old.node.remove();
  let cursor = parent.firstChild;
  for (const [now, old] of pairs) {
    if (old) update(old, now, svg);
    else create(now, svg);
    if (now.node === cursor) cursor = cursor.nextSibling;
    else parent.insertBefore(now.node, cursor);
  }
}

// Fills a container of index.html, which is empty and filled by nobody else.
export function mount(root) {
  let shown = [];
  return (...kids) => {
    const next = flat(kids);
    patch(root, shown, next, false);
    shown = next;
  };
}

export const byId = (id) => document.getElementById(id);

// One polite region for the whole page: what matters is said once, when it begins.
export function announce(text) {
  const region = byId('announce');
  if (region.textContent !== text) region.textContent = plain(text);
}

// A region that scrolls is a stop of the keyboard, one that does not is none.
const regions = new ResizeObserver((entries) => {
  for (const { target } of entries) {
    const region = target.closest('.scroll');
    if (region.scrollWidth > region.clientWidth) region.setAttribute('tabindex', '0');
    else region.removeAttribute('tabindex');
  }
});
const watched = new WeakSet();
export function watchScrolling() {
  for (const node of document.querySelectorAll('.scroll, .scroll > table')) {
    if (watched.has(node)) continue;
    watched.add(node);
    regions.observe(node);
  }
}
