#include "before_contract.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "contract_guard.hpp"
#include "ddl_trial.hpp"
#include "ecmigrate/base/error.hpp"
#include "ecmigrate/base/text.hpp"
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

void refuse_recent_use(CurrentRun& run) {
  const auto looks = run.journal.old_use_looks(run.plan.name);
  const std::vector<event::OldUse> uses = run.look_at_old_use("contract");
  const std::chrono::milliseconds quiet_for = run.session.options().quiet_for;
  if (const std::vector<std::string> recent = uses_within(quiet_for, uses, looks); !recent.empty()) {
    throw Error(Outcome::refused,
                fmt::format("the old columns have not been out of use for {}:\n  {}",
                            format_milliseconds(static_cast<double>(quiet_for.count())), join(recent, "\n  ")),
                "Roll out the new version, wait, and run the same command again; ecmigrate status shows their "
                "use. Nothing was changed.");
  }
}

/// Once nothing else stands in contract's way.
void confirm_contract(CurrentRun& run) {
  const std::vector<std::string> going =
      run.session.options().confirm_contract ? what_goes(run.session, run.record->recipe) : std::vector<std::string>();
  if (!going.empty()) {
    run.confirm("contract takes away for good:\n  " + join(going, "\n  ") +
                "\nconnected now: " + connected_now(run.session) +
                "\nWhere an instance of the old version still runs, it fails from then on");
  }
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
  refuse_recent_use(run);
  confirm_contract(run);
  rebuild_dropped_indexes(run);
  // Before the state says that there is no way back: what cannot be built ends here.
  run.run_steps("before_contract", recipe.before_contract);
  refuse_long_work(try_steps(run.session, recipe, {"contract"}));
  refuse_missing(missing_now(run, recipe), Command::contract);
}

}  // namespace ecmigrate
