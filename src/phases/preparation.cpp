#include "preparation.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <ranges>
#include <utility>

#include "compile_plan.hpp"
#include "ddl_trial.hpp"
#include "dependents.hpp"
#include "ecmigrate/base/error.hpp"
#include "ecmigrate/pace/limits_check.hpp"
#include "ecmigrate/phases/old_use.hpp"
#include "ecmigrate/phases/plan_summary.hpp"
#include "ecmigrate/store/catalog_reader.hpp"
#include "trial.hpp"

namespace ecmigrate {

namespace {

struct Compiled {
  Tables tables;  ///< that the recipe was compiled from
  Recipe recipe;
  Dependents dependents;
};

/// Once, and not wherever something of another role's session cannot be seen.
void name_missing_right(Session& session) {
  if (!sees_other_sessions(session.connection())) {
    session.report(event::Note{event::Note::Level::info, std::string(k_without_pg_monitor)});
  }
}

/// What contract cannot do as long as there are things that somebody has to see to first.
std::vector<LongWork> try_all_steps(Session& session, const Recipe& recipe, bool contract_too) {
  std::vector<std::string> phases{"expand", "backfill", "verify"};
  if (contract_too) {
    phases.emplace_back("before_contract");
    phases.emplace_back("contract");
  }
  return try_steps(session, recipe, phases);
}

/// The recipe, and what contract would meet. Where a type cannot change in place without long work under the lock, it
/// changes through a copy.
Compiled compile_and_try(CurrentRun& run, bool begins) {
  require_temporary_tables(run.session.connection());
  Catalog catalog = read_catalog(run.session.connection(), run.plan);
  if (!begins) {
    // Who only looks, a reviewer perhaps, need not be the one who will run it: `missing` names the right.
    for (Table& table : catalog.tables | std::views::values) {
      table.owned = true;
      table.may_create_beside = true;
    }
  }
  bool told = false;
  for (;;) {
    Recipe recipe = compile_plan(run.session.connection(), run.plan, catalog);
    if (begins && !std::exchange(told, true)) {
      run.journal.check_may_install();
      name_missing_right(run.session);
    }
    Dependents dependents = find_dependents(run.session, recipe.drops);
    const std::vector<LongWork> work = try_all_steps(run.session, recipe, dependents.blocking.empty());
    bool other_way = false;
    for (const LongWork& one : work) {
      for (const ColumnDrop& change : recipe.drops) {
        Table& table = catalog.tables.at(change.table);
        // A copy in a partitioned table would get no indexes.
        if (change.type_change && !table.partitioned && changes_type(one, change)) {
          std::ranges::find(table.columns, change.column, &Column::name)->costly_in_place = true;
          other_way = true;
          run.session.report(event::Note{event::Note::Level::info,
                                         fmt::format("{}.{} changes its type through a copy: in place, contract {}",
                                                     change.table.display(), change.column, one.what)});
        }
      }
    }
    if (!other_way) {
      refuse_long_work(work);
      return {std::move(catalog.tables), std::move(recipe), std::move(dependents)};
    }
  }
}

/// `last`: the last phase that is to run now; nothing: it only looks, and says itself what is missing.
Compiled prepare(CurrentRun& run, std::optional<Command> last, bool sees_journal = true) {
  check_limits(run.session.connection(), run.limits_now());
  const bool begins = last.has_value();
  Compiled compiled = compile_and_try(run, begins);
  const Recipe& recipe = compiled.recipe;
  const bool installed = sees_journal && run.journal.installed();
  if (const auto other = installed ? run.journal.other_on(run.plan.name, recipe.tables) : std::nullopt) {
    refuse_beside(*other);
  }
  const std::vector<Missing> lacking = missing_now(run, recipe);
  if (last) {
    refuse_missing(lacking, *last);
  }
  for (const Trial& trial : recipe.trials) {
    try_on_rows(run.session, trial);
  }
  std::vector<std::string> warnings = recipe.warnings;
  const bool own_sql = std::ranges::any_of(recipe.contract, [](const Step& step) { return is_plans_own_sql(step); });
  for (const std::string& text : compiled.dependents.blocking) {
    warnings.push_back(fmt::format("contract will be refused as long as there is {}{}", text,
                                   own_sql ? ", unless the plan's own sql of contract removes it first" : ""));
  }
  for (const std::string& text : compiled.dependents.lost) {
    warnings.push_back(fmt::format("contract would also drop {}, and will ask for --accept-drop", text));
  }
  // `plan` lists what is missing, and warns of it only where that counts.
  const bool warns = begins || run.session.options().strict;
  for (const Missing& one : lacking) {
    if (warns && one.refused == Command::backfill) {
      warnings.push_back(fmt::format("backfill will be refused: {}. {}", one.what, one.remedy));
    }
  }
  const bool may_replace_role = may_replace_replication_role(run.session.connection());
  for (const SyncedTable& table : recipe.synced) {
    if (table.user_update_triggers && warns && !may_replace_role) {
      warnings.push_back(
          fmt::format("the triggers of {} will fire for every row of the backfill: this role may not set "
                      "session_replication_role",
                      table.table.display()));
    }
  }
  for (const std::string& warning : warnings) {
    run.session.warn(warning);
  }
  if (run.session.options().strict && !warnings.empty()) {
    throw Error(Outcome::refused, "there are warnings, and --strict was given", "Nothing was changed.");
  }
  return compiled;
}

}  // namespace

Recipe look_ahead(CurrentRun& run, bool sees_journal) {
  return prepare(run, std::nullopt, sees_journal).recipe;
}

std::vector<Missing> missing_now(CurrentRun& run, const Recipe& recipe) {
  return what_is_missing(run.session, recipe, run.limits_now(), run.record ? run.record->state : State::planned);
}

void begin_migration(CurrentRun& run, Command last) {
  const Compiled compiled = prepare(run, last);
  const Recipe& recipe = compiled.recipe;
  const State before = run.record ? run.record->state : State::planned;
  run.journal.install();
  let_writers_note(run.session.connection(), run.plan.name, recipe.old_shapes);
  if (const auto other = run.journal.begin(run.plan, recipe, compiled.tables)) {
    refuse_beside(*other);
  }
  run.record = run.journal.find(run.plan.name);
  run.begin(Command::expand);
  const BackfillEstimate estimate =
      estimate_backfill(facts_of_tables(run.session, recipe), expected_workers(run.session));
  if (const std::string words = estimate_words(estimate); !words.empty()) {
    run.session.report(event::Note{event::Note::Level::info, "  estimate: the backfill writes " + words});
  }
  run.session.report(event::StateChanged{run.plan.name, std::string(state_name(before)), "expanding"});
}

}  // namespace ecmigrate
