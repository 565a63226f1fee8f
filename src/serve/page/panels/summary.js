import { h } from '../dom.js';
import { bytes, clock, short } from '../format.js';
import { mark } from '../marks.js';
import { command } from '../parts.js';
import { selected } from '../api.js';

function link({ link: way, stale, heardAt, error }) {
  if (error) return ['bad', 'No state'];
  if (stale?.link) return ['warn', stale.at ? 'Reconnecting, figures of ' + clock(stale.at) : 'No answer, trying again'];
  if (stale) return ['bad', 'No connection' + (stale.at ? ', figures of ' + clock(stale.at) : '')];
  if (way === 'connecting') return ['', 'Connecting'];
  return ['ok', `${way === 'live' ? 'Live' : 'Asking every 2 s'}, updated ${clock(heardAt)}`];
}

export function top(v) {
  const [dot, text] = link(v);
  return [h('span.brand', 'ecmigrate'), h('span.target', v.state?.database.target), h('span.link', h('span.dot', { class: dot, 'aria-hidden': 'true' }), text)];
}

export function title({ state, migration: m }) {
  if (!m) return h('div.title', { key: 'title' }, h('h1', state?.answers.migration.lead ?? 'ecmigrate'));
  const size = [m.tables.join(', '), m.rows_estimated !== null && `about ${short(m.rows_estimated)} rows`, m.bytes !== null && bytes(m.bytes)].filter(Boolean).join(', ');
  return h('div.title', { key: 'title' }, h('div.title-row', h('h1', m.name), h('span.muted', size)), h('p', m.description));
}

const QUESTIONS = [['application', 'Is my application fine?'], ['migration', 'Where is the migration?'], ['next', 'What happens next?']];
const UNKNOWN = { level: 'none', lead: '–' };

export const answers = ({ state, stale }) => h('section.verdict', { key: 'verdict', 'aria-label': 'Summary' }, QUESTIONS.map(([key, question]) => {
  const { level, lead, more, qualifier, command: text } = state?.answers[key] ?? UNKNOWN;
  const aside = [qualifier, stale?.link && stale.at && `As of ${clock(stale.at)}.`].filter(Boolean).join(' ');
  return h('div.answer', { key }, h('h2.q', question, aside && h('span', ' ' + aside)), h('p.lead', mark(level), h('span', { class: level === 'bad' && 'bad' }, lead)), h('p.more', more), text && command(text));
}));

export function documentTitle({ state, migration, stale, error }) {
  const words = error ? [error.message] : state ? [stale?.link && 'Reconnecting', state.answers.migration.lead, state.answers.application.lead, state.answers.next.lead, migration?.name] : [];
  return [...words, !migration && 'ecmigrate'].filter(Boolean).join(' · ');
}

export function notice({ state, error }) {
  const shown = error ? { level: 'bad', title: error.message, text: error.hint } : state?.notice;
  return shown && h('section.notice', { key: 'notice', class: shown.level, 'aria-labelledby': 'h-notice' }, h('h2', { id: 'h-notice' }, shown.title), h('p', shown.text),
    shown.steps?.length > 0 && h('ol', shown.steps.map((step) => h('li', step.text, step.command && command(step.command)))));
}

export const foot = ({ state }) => [h('span', `ecmigrate ${state?.program ?? ''}`), state && h('span', state.demo ? `Demo: ${state.demo.server}` : 'Read only'), h('span', 'Times are UTC'),
  h('a', { href: '/api/state' + (selected ? '?m=' + encodeURIComponent(selected) : '') }, 'API'), h('a', { href: '/metrics' }, 'Metrics')];
