// The five phases. The fourth is the user's: ecmigrate cannot see a release, so it is dashed until contract is told of it.
import { h } from '../dom.js';
import { node } from '../marks.js';
import { hidden } from '../parts.js';
import { phaseControls } from './demo.js';

const SAID = { done: 'done', now: 'under way', todo: 'to come', you: 'yours, to come', yours: 'yours, now', paused: 'paused', stopped: 'stopped', failed: 'failed', skipped: 'undone' };
const BEFORE = [['expand', 'Expand', 'new columns beside the old'], ['backfill', 'Backfill', 'fills existing rows'], ['verify', 'Verify', 'every row, by value'],
  ['release', 'Your release', 'new version out, then the old one stopped'], ['contract', 'Contract', 'drops the old columns']].map(([name, title, fact]) => ({ name, title, status: name === 'release' ? 'you' : 'todo', facts: [fact] }));

export function phases({ state, migration, stale }) {
  const look = ({ status }) => {
    if (status === 'you' && state.answers.next.level === 'you') return 'yours';
    if (status === 'failed' && migration.situation === 'lost') return 'stopped';
    // Without the database nobody knows whether it still goes on.
    if (status === 'now' && stale && !stale.link) return 'stopped';
    return status;
  };
  return (migration?.phases ?? BEFORE).map((phase) => {
    const kind = migration ? look(phase) : phase.status;
    return h('li', { key: phase.name, class: kind, 'aria-current': ['now', 'yours', 'paused', 'stopped', 'failed'].includes(kind) ? 'step' : null },
      node(kind), h('p', { class: 'name' }, phase.title, hidden(', ' + SAID[kind])), phase.facts.map((fact) => h('p', { class: 'fact' }, fact)),
      state?.demo && phase.status !== 'done' && phaseControls(state.demo, phase.name));
  });
}
