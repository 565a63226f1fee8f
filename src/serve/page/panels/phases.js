// The fourth phase is the user's: ecmigrate cannot see a release, so it is dashed until contract is told of it.
import { h } from '../dom.js';
import { node } from '../marks.js';
import { hidden } from '../parts.js';
import { phaseControls } from './demo.js';

const SAID = { done: 'done', now: 'under way', todo: 'to come', you: 'yours, to come', yours: 'yours, now', paused: 'paused', stopped: 'stopped', failed: 'failed', skipped: 'undone' };
const CURRENT = ['now', 'yours', 'paused', 'stopped', 'failed'];
const BEFORE = Object.entries({ Expand: 'new columns beside the old', Backfill: 'fills existing rows', Verify: 'every row, by value', 'Your release': 'new version out, then the old one stopped', Contract: 'drops the old columns' })
  .map(([title, fact]) => ({ name: title, title, status: title === 'Your release' ? 'you' : 'todo', facts: [fact] }));

// Without the database nobody knows whether a phase still goes on.
function look({ status }, { migration, stale }) {
  if (status === 'you' && migration.phases[2].status === 'done') return 'yours';
  if (status === 'failed' && migration.situation === 'lost') return 'stopped';
  return status === 'now' && stale && !stale.link ? 'stopped' : status;
}

export const phases = (v) => h('section.steps', { key: 'steps', 'aria-labelledby': 'h-steps' }, h('h2.hidden', { id: 'h-steps' }, 'Phases'), h('ol.stepper', (v.migration?.phases ?? BEFORE).map((phase) => {
  const kind = v.migration ? look(phase, v) : phase.status;
  return h('li', { key: phase.name, class: kind, 'aria-current': CURRENT.includes(kind) && 'step' }, node(kind), h('p.name', phase.title, hidden(', ' + SAID[kind])), phase.facts.map((fact) => h('p.fact', fact)),
    v.state?.demo && phase.status !== 'done' && phaseControls(v.state.demo, phase.name));
})));
