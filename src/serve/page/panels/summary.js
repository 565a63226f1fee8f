// What stands above the panels: the connection, the migration's name, the three answers, and the notice.
import { h } from '../dom.js';
import { bytes, clock, short } from '../format.js';
import { mark } from '../marks.js';
import { command } from '../parts.js';

export function link({ link, stale, seen, error }) {
  const [dot, text] = error ? ['bad', 'No state'] : stale?.link ? ['warn', stale.at ? 'Reconnecting, figures of ' + clock(stale.at) : 'No answer, trying again']
    : stale ? ['bad', stale.at ? 'No connection, figures of ' + clock(stale.at) : 'No connection to the database']
      : link === 'live' ? ['ok', 'Live, updated ' + clock(seen)]
        : link === 'polling' ? ['ok', 'Asking every 2 s, updated ' + clock(seen)] : ['', 'Connecting'];
  return [h('span', { class: 'dot ' + dot, 'aria-hidden': 'true' }), h('span', {}, text)];
}

export function title({ state, migration }) {
  if (!migration) return h('h1', {}, state ? state.answers.migration.lead : 'ecmigrate');
  const { name, description, tables, rows_estimated: rows, bytes: size } = migration;
  return [h('div', { class: 'title-row' }, h('h1', {}, name),
    h('span', { class: 'muted' }, [tables.join(', '), rows !== null && `about ${short(rows)} rows`, size !== null && bytes(size)].filter(Boolean).join(', '))),
  h('p', {}, description)];
}

const QUESTIONS = [['application', 'Is my application fine?'], ['migration', 'Where is the migration?'], ['next', 'What happens next?']];
const UNKNOWN = { level: 'none', lead: '–', more: '' };

export function answers({ state, stale }) {
  return QUESTIONS.map(([key, question]) => {
    const { level, lead, more, qualifier, command: text } = state?.answers[key] ?? UNKNOWN;
    const aside = [qualifier, stale?.link && stale.at && `As of ${clock(stale.at)}.`].filter(Boolean).join(' ');
    return h('div', { class: 'answer', key }, h('h2', { class: 'q' }, question, aside && h('span', {}, ' ' + aside)),
      h('p', { class: 'lead' }, mark(level), h('span', { class: level === 'bad' ? 'bad' : null }, lead)), h('p', { class: 'more' }, more), text && command(text));
  });
}

export const documentTitle = ({ state, migration, stale, error }) => (error ? [error.message, 'ecmigrate']
  : !state ? ['ecmigrate'] : [stale?.link && 'Reconnecting', ...['migration', 'application', 'next'].map((key) => state.answers[key].lead), migration?.name ?? 'ecmigrate']).filter(Boolean).join(' · ');

export function notice({ state, error }) {
  const { title, text, steps = [] } = error ? { title: error.message, text: error.hint } : state?.notice ?? {};
  return [h('h2', {}, title), h('p', {}, text), steps.length > 0 && h('ol', {}, steps.map((step) => h('li', {}, step.text, step.command && command(step.command))))];
}
export const noticeLevel = ({ state, error }) => (error ? 'bad' : state?.notice ? state.notice.level || 'none' : null);

export const foot = ({ state, selected }) => {
  const query = selected ? '?m=' + encodeURIComponent(selected) : '';
  return [h('span', {}, 'ecmigrate ' + (state?.program ?? '')), state && h('span', {}, state.demo ? `Demo: ${state.demo.server}` : 'Read only'), h('span', {}, 'Times are UTC'),
    h('a', { href: '/api/state' + query }, 'API'), h('a', { href: '/metrics' }, 'Metrics')];
};
