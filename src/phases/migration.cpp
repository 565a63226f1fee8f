#include "ecmigrate/phases/migration.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "before_contract.hpp"
#include "contract_guard.hpp"
#include "current_run.hpp"
#include "ecmigrate/base/error.hpp"
#include "ecmigrate/base/text.hpp"
#include "ecmigrate/fill/upkeep.hpp"
#include "ecmigrate/model/lifecycle.hpp"
#include "ecmigrate/phases/old_use.hpp"
#include "ecmigrate/store/journal.hpp"
#include "ecmigrate/store/sync_triggers.hpp"
#include "plan_change.hpp"
#include "preparation.hpp"
#include "rollback_guard.hpp"
#include "row_work.hpp"
#include "table_guard.hpp"

namespace ecmigrate {

namespace {

/// Sync triggers that are missing or off are made again. What was written meanwhile, verify has to find.
bool remake_triggers(CurrentRun& run) {
  const std::vector<SyncTrigger>& all = run.record->recipe.triggers;
  std::vector<Step> steps;
  for (const SyncTrigger& trigger : all) {
    std::vector<OldShape> shapes = run.record->recipe.old_shapes;
    std::erase_if(shapes, [&](const OldShape& shape) { return shape.table != trigger.table; });
    if (!trigger.make.empty() && (notes_are_missing(run.session.connection(), shapes) ||
                                  !find_trigger_faults(run.session.connection(), {trigger}, {}).broken.empty())) {
      Step& step = steps.emplace_back();
      step.id = fmt::format("{}.sync trigger in run {}", trigger.table.display(), run.id);
      step.title = "make the sync trigger of " + trigger.table.display() + " again";
      step.locks = {{trigger.table, LockMode::access_exclusive}};
      step.sql = trigger.make;
      step.cost = "catalogue only";
    }
  }
  if (steps.empty()) {
    return false;
  }
  run.run_steps("expand", steps);
  run.set_state(std::min(run.record->state, State::backfilled));
  run.session.warn(
      "writes may have passed the sync trigger by: `verify --repair` finds and mends what they left, "
      "`--repair=new` where the new version wrote");
  return true;
}

/// Who only looks, a reviewer perhaps, may have no part in the journal.
std::optional<Error> why_journal_is_not_seen(Journal& journal) {
  try {
    journal.check_trusted();
    return std::nullopt;
  } catch (const pg::SqlError&) {
    throw;
  } catch (const Error& error) {
    return error;
  }
}

/// What the plan would mean if this migration was not under way, which this role cannot know.
Recipe look_without_journal(CurrentRun& run, const Error& unseen) {
  run.session.report(event::Note{event::Note::Level::info,
                                 fmt::format("whether this migration is under way is not known: {}", unseen.what())});
  try {
    return look_ahead(run, false);
  } catch (const Error& error) {
    if (error.outcome() != Outcome::plan_invalid) {
      throw;
    }
    // It may be, and what the plan adds be there already.
    throw Error(unseen.outcome(), fmt::format("{}\nand without it: {}", unseen.what(), error.what()), unseen.hint());
  }
}

void expand_until(CurrentRun& run, Command last) {
  run.open(Command::expand);
  const State state = run.standing();
  const bool synced = state >= State::expanded && state < State::contracting;
  if (synced || state == State::expanding) {
    run.refuse_if_gone();
  }
  if ((synced && remake_triggers(run)) || !run.is_turn(Command::expand)) {
    return;
  }
  if (!run.record || run.record->state == State::rolled_back) {
    begin_migration(run, last);
  }
  run.run_steps("expand", run.record->recipe.expand);
  run.journal.record_columns(run.plan.name, run.record->recipe.tables, true);
  if (run.record->trigger_marks.empty()) {
    run.journal.record_trigger_marks(run.plan.name,
                                     trigger_marks(run.session.connection(), run.record->recipe.triggers));
  }
  run.look_at_old_use("expand");
  run.set_state(State::expanded);
}

void backfill_rows(CurrentRun& run, bool look_again) {
  run.open(Command::backfill);
  const State state = run.standing();
  if (state >= State::expanded && state < State::contracting) {
    run.refuse_if_gone();
  }
  const bool filled = state == State::backfilled || state == State::verified;
  // A partition that came since has rows that nobody has filled.
  const bool more_to_fill = filled && !unwalked_leaves(run.session, run.plan.name, run.record->recipe).empty();
  if (!more_to_fill &&
      !run.is_turn(Command::backfill, filled && look_again ? "looking at every row once more" : "nothing to do")) {
    if (filled && look_again) {
      check_may_fill(run);
      const Filled filled_again = fill_tables(run, true);
      if (filled_again.wrote || !filled_again.set_aside.empty()) {
        run.set_state(State::backfilled);  // what was verified is no longer known
      }
      refuse_set_aside(filled_again.set_aside);
    }
    return;
  }
  check_may_fill(run);
  run.set_state(State::backfilling);
  refuse_set_aside(fill_tables(run, false).set_aside);
  run.run_steps("after_fill", run.record->recipe.after_fill);
  run.set_state(State::backfilled);
}

}  // namespace

Migration::Migration(Session& session, const Plan& plan, std::string command)
    : m_run(std::make_unique<CurrentRun>(session, plan, std::move(command))) {}

Migration::~Migration() = default;

bool Migration::changed() const {
  return m_run->changed;
}

std::optional<State> Migration::state() {
  if (m_run->record) {
    return m_run->record->state;
  }
  return std::nullopt;
}

Recipe Migration::compile() {
  CurrentRun& run = *m_run;
  run.session.require_writable();  // a trial makes tables, if only to take them back
  if (const auto unseen = why_journal_is_not_seen(run.journal)) {
    return look_without_journal(run, *unseen);
  }
  if (run.journal.installed()) {
    run.record = run.journal.find(run.plan.name);
    if (run.record && run.record->state != State::rolled_back) {
      if (!run.plan_differs()) {
        return run.record->recipe;
      }
      const PlanChange change = read_change(run.session.connection(), run.plan, *run.record);
      run.session.report(
          event::Note{event::Note::Level::info, "the plan has changed since expand:\n  " + join(change.texts, "\n  ")});
      return change.recipe;
    }
  }
  return look_ahead(run, true);
}

std::vector<Missing> Migration::missing(const Recipe& recipe) {
  return missing_now(*m_run, recipe);
}

std::int64_t Migration::run_id() const {
  return m_run->id;
}

void Migration::end(const RunEnd& end) {
  if (m_run->id != 0) {
    m_run->journal.end_run(m_run->id, end);
  }
}

void Migration::expand() {
  expand_until(*m_run, Command::expand);
}

void Migration::expand_to_fill() {
  expand_until(*m_run, Command::backfill);
}

void Migration::backfill() {
  backfill_rows(*m_run, true);
}

void Migration::backfill_if_needed() {
  backfill_rows(*m_run, false);
}

void Migration::verify() {
  CurrentRun& run = *m_run;
  run.open(Command::verify);
  if (!run.is_turn(Command::verify)) {
    return;
  }
  run.refuse_if_gone();
  check_still_true(run, {});
  const std::string marks = trigger_marks(run.session.connection(), run.record->recipe.triggers);
  const std::int64_t differences = compare_tables(run);
  if (differences > 0) {
    run.set_state(State::backfilled);
    throw Error(Outcome::differences_found, fmt::format("{} rows differ", with_thousands(differences)),
                "`verify --repair` fills pending rows; --repair=old or --repair=new also says which side is right "
                "where both are filled.");
  }
  run.run_steps("verify", run.record->recipe.validate);
  for (const SyncedTable& table : run.record->recipe.synced) {
    analyze_new_columns(run.session, table);
  }
  run.journal.record_trigger_marks(run.plan.name, marks);
  run.look_at_old_use("verify");
  run.set_state(State::verified);
}

void Migration::contract() {
  CurrentRun& run = *m_run;
  run.open(Command::contract);
  if (!run.is_turn(Command::contract)) {
    return;
  }
  run.refuse_if_gone();
  if (run.standing() == State::verified) {
    prepare_contract(run);
    run.set_state(State::contracting);
  }
  try {
    run.run_steps("contract",
                  guarded_contract(run.plan, run.record->recipe, run.record->trigger_marks, drift_since_expand(run)));
  } catch (const pg::SqlError& error) {
    if (!error.connection_lost()) {
      run.take_contract_back();
    }
    throw;
  } catch (const Error& error) {
    // Of any other the run lock, and with it the migration, may be somebody else's by now.
    if (error.outcome() == Outcome::lock_not_obtained) {
      run.take_contract_back();
    }
    throw;
  }
  run.set_state(State::contracted);
}

void Migration::rollback() {
  CurrentRun& run = *m_run;
  run.open(Command::rollback);
  const State state = run.standing();
  if (state == State::contracting || state == State::contracted) {
    throw Error(
        Outcome::refused, fmt::format("\"{}\" is {}: the old columns are gone", run.plan.name, state_words(state)),
        state == State::contracted
            ? "Write a plan that goes the other way."
            : fmt::format("Run: ecmigrate contract {}. A statement of it that fails may be changed in the plan.",
                          run.plan.file));
  }
  if (!run.is_turn(Command::rollback)) {
    return;
  }
  const std::vector<TableFate> fates = fates_unless_renamed(run.session.connection(), *run.record);
  for (const TableFate& fate : fates) {
    if (fate.gone()) {
      run.session.warn(
          fmt::format("{} {}: nothing is left to take back there", fate.table.display(), fate_words(fate)));
    }
  }
  if (run.record->state != State::rolling_back) {
    refuse_if_news_are_needed(run.session, run.record->recipe, fates);
    check_nothing_is_lost(run.session, run.plan, *run.record, fates);
  }
  const std::vector<Step> steps = guarded_rollback(run.session, *run.record, fates);
  run.set_state(State::rolling_back);
  run.run_steps("rollback", steps);
  run.set_state(State::rolled_back);
}

}  // namespace ecmigrate
