#include "before_contract.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "contract_guard.hpp"
#include "ddl_trial.hpp"
#include "ecmigrate/base/error.hpp"
#include "ecmigrate/base/text.hpp"
#include "ecmigrate/op/row_readers.hpp"
#include "ecmigrate/phases/old_use.hpp"
#include "ecmigrate/phases/what_goes.hpp"
#include "ecmigrate/store/catalog_reader.hpp"
#include "preparation.hpp"

namespace ecmigrate {

namespace {

void refuse_lost(const Plan& plan, const Drift& drift) {
  if (!drift.lost.empty()) {
    throw Error(
        Outcome::refused,
        "somebody changed these since expand, and contract would lose the change:\n  " + join(drift.lost, "\n  "),
        fmt::format("Put it back, contract, and change it again on the new column; --accept-drop NAME lets "
                    "go what would go. Or go back, and begin again from what is there now: ecmigrate "
                    "rollback {}",
                    plan.file));
  }
}

/// A name in --accept-drop that nothing has is a slip; the right one would still stand in the way.
void check_accepted_names(Session& session) {
  for (const std::string& name : session.options().accept_drop) {
    const bool known =
        session.connection()
            .query(
                "select exists (select from pg_catalog.pg_class where relname = $1) or exists (select from "
                "pg_catalog.pg_constraint where conname = $1) or exists (select from pg_catalog.pg_statistic_ext "
                "where stxname = $1) or exists (select from pg_catalog.pg_policy where polname = $1) or exists "
                "(select from pg_catalog.pg_trigger where tgname = $1) or exists (select from "
                "pg_catalog.pg_publication where pubname = $1) or exists (select from pg_catalog.pg_proc where "
                "proname = $1) or exists (select from pg_catalog.pg_attribute where attname = $1)",
                {name})
            .boolean(0, 0);
    if (!known) {
      throw Error(Outcome::usage, fmt::format("--accept-drop \"{}\": nothing has that name", name),
                  "Give the names that contract's refusal lists.");
    }
  }
}

void refuse_recent_use(CurrentRun& run, const std::vector<event::OldUse>& uses, const std::vector<OldUseLook>& looks) {
  const std::chrono::milliseconds quiet_for = run.session.options().quiet_for;
  if (const std::vector<std::string> recent = uses_within(quiet_for, uses, looks); !recent.empty()) {
    throw Error(Outcome::refused,
                fmt::format("the old columns have not been out of use for {}:\n  {}",
                            format_milliseconds(static_cast<double>(quiet_for.count())), join(recent, "\n  ")),
                "Roll out the new version, wait, and run the same command again; ecmigrate status shows their "
                "use. Nothing was changed.");
  }
}

/// Triggers of the application whose functions read a name that goes: every write would fail.
std::vector<std::string> broken_triggers(CurrentRun& run) {
  std::vector<std::string> broken;
  const Tables now = read_catalog(run.session.connection(), run.plan).tables;
  for (const OldShape& shape : run.record->recipe.old_shapes) {
    const auto table = now.find(shape.table);
    if (table == now.end()) {
      continue;
    }
    for (const Trigger& trigger : table->second.triggers) {
      const bool ours = std::ranges::any_of(run.record->recipe.triggers, [&](const SyncTrigger& sync) {
        return std::ranges::find(sync.names, trigger.name) != sync.names.end();
      });
      for (const std::string& column : shape.columns) {
        if (!ours && reads_new_column(trigger, column)) {
          broken.push_back(fmt::format("trigger {} on {} reads \"{}\"", trigger.name, shape.table.display(), column));
        }
      }
    }
  }
  return broken;
}

/// The old names that somebody has written a moment ago.
std::vector<std::string> lately_written(const std::vector<event::OldUse>& uses) {
  constexpr double k_lately_ms = 60'000;
  std::vector<std::string> lines;
  for (const event::OldUse& use : uses) {
    if (use.last_write_ms && *use.last_write_ms < k_lately_ms) {
      lines.push_back(fmt::format("{}, written {} ago{}", use.shape(), format_milliseconds(*use.last_write_ms),
                                  use.by.empty() ? "" : " by " + join(use.by, ", ")));
    }
  }
  return lines;
}

/// Once nothing else stands in contract's way. Of a rename nothing goes but a name: who runs it is asked only where
/// that is in use.
void confirm_contract(CurrentRun& run, const std::vector<event::OldUse>& uses) {
  if (!run.session.options().confirm_contract) {
    return;
  }
  std::string text;
  const auto list = [&](const std::string& what, const std::vector<std::string>& lines) {
    text += lines.empty() ? "" : what + ":\n  " + join(lines, "\n  ") + "\n";
  };
  list("contract takes away for good", what_goes(run.session, run.record->recipe));
  list("the old version is at work", lately_written(uses));
  list("every write fails from contract on, until these functions are changed", broken_triggers(run));
  if (text.empty()) {
    return;
  }
  text += "connected now: " + connected_now(run.session) +
          "\nWhere an instance of the old version still runs, it fails from then on";
  if (run.session.options().confirmed == run.plan.name) {
    run.session.report(event::Note{event::Note::Level::info, text});
  }
  run.confirm(text);
}

/// Indexes of ours that somebody dropped: contract would look for them in vain, each time anew.
void rebuild_dropped_indexes(CurrentRun& run) {
  const Recipe& recipe = run.record->recipe;
  for (const auto& [phase, all] : {std::pair("expand", &recipe.expand), std::pair("after_fill", &recipe.after_fill),
                                   std::pair("before_contract", &recipe.before_contract)}) {
    const std::vector<std::string> done = run.journal.done_steps(run.plan.name, phase);
    std::vector<Step> dropped = *all;
    std::erase_if(dropped, [&](const Step& step) {
      return step.kind != Action::Kind::index_build || std::ranges::find(done, step.id) == done.end() ||
             has_valid_index(run.session.connection(), *step.index);
    });
    for (const Step& step : dropped) {
      run.session.warn(fmt::format("{} was dropped by somebody, and is built again", step.index->display()));
      run.journal.record_step(run.plan.name, phase, step.id, false);
    }
    run.run_steps(phase, dropped);
  }
}

}  // namespace

void check_still_true(CurrentRun& run, const std::string& marks) {
  if (const auto doubt = why_doubt(run.session, run.plan, run.record->recipe, marks, run.id)) {
    run.set_state(State::backfilled);
    throw Error(*doubt);
  }
}

Drift drift_since_expand(CurrentRun& run) {
  if (!run.record->tables) {
    return {};
  }
  const Tables now = read_catalog(run.session.connection(), run.plan).tables;
  Recipe recipe = run.record->recipe;
  for (ColumnDrop& drop : recipe.drops) {
    const auto table = now.find(drop.table);
    const Column* going = table == now.end() ? nullptr : table->second.find_column(drop.column);
    if (going != nullptr && !drop.interim_default.empty()) {
      drop.interim_default = printed_default(run.session.connection(), *going, drop.interim_default);
    }
  }
  return find_drift(recipe, *run.record->tables, now, run.session.options().accept_drop);
}

void prepare_contract(CurrentRun& run) {
  const Recipe& recipe = run.record->recipe;
  check_still_true(run, run.record->trigger_marks);
  refuse_if_columns_are_needed(run.session, recipe);
  refuse_lost(run.plan, drift_since_expand(run));
  check_accepted_names(run.session);
  const auto looks = run.journal.old_use_looks(run.plan.name);
  const std::vector<event::OldUse> uses = run.look_at_old_use("contract");
  refuse_recent_use(run, uses, looks);
  confirm_contract(run, uses);
  rebuild_dropped_indexes(run);
  // Before the state says that there is no way back: what cannot be built ends here.
  run.run_steps("before_contract", recipe.before_contract);
  refuse_long_work(try_steps(run.session, recipe, {"contract"}));
  refuse_missing(missing_now(run, recipe), Command::contract);
}

}  // namespace ecmigrate
