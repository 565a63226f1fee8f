#include "contract_guard.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "dependents.hpp"
#include "ecmigrate/base/text.hpp"
#include "ecmigrate/pg/sqlstate.hpp"
#include "ecmigrate/store/sync_triggers.hpp"
#include "ecmigrate/store/walks.hpp"

namespace ecmigrate {

namespace {

/// In relations that are still the table's: a partition that was dropped or detached took its rows along.
bool has_bad_rows(Session& session, const std::string& migration, const Recipe& recipe, std::int64_t run) {
  WalkJournal journal(session.connection(), migration, run);
  for (const SyncedTable& table : recipe.synced) {
    for (const auto& [leaf, walked] : leaves(session.connection(), migration, table.table)) {
      if (!journal.bad_rows(leaf).empty()) {
        return true;
      }
    }
  }
  return false;
}

/// The plan's own `sql` of contract that comes before the column goes.
std::vector<std::string> own_sql_before(const Recipe& recipe, const ColumnDrop& drop) {
  std::vector<std::string> statements;
  for (const Step& step : recipe.contract) {
    if (std::ranges::find(step.locks, drop.table, &LockRequest::relation) != step.locks.end()) {
      break;
    }
    if (is_plans_own_sql(step)) {
      statements.insert(statements.end(), step.sql.begin(), step.sql.end());
    }
  }
  return statements;
}

/// What is left once `statements` have run; they are rolled back. It may be the plan that drops the view.
Dependents dependents_after(Session& session, const ColumnDrop& drop, const std::vector<std::string>& statements) {
  const auto timeout = session.options().lock_timeout;
  pg::Connection& connection = session.connection();
  connection.script(
      fmt::format("begin; set local lock_timeout = {0}; set local statement_timeout = '10s'", timeout.count()));
  const auto undo = [&] { connection.query("rollback"); };
  try {
    for (const std::string& statement : statements) {
      connection.query(statement);
    }
    Dependents found = find_dependents(session, {drop});
    undo();
    return found;
  } catch (const pg::SqlError& error) {
    if (error.connection_lost()) {
      throw;
    }
    undo();
    if (error.sqlstate() == pg::sqlstate::k_lock_not_available || error.sqlstate() == pg::sqlstate::k_query_canceled) {
      throw Error(
          Outcome::lock_not_obtained,
          fmt::format(
              "the plan's own sql, which may drop what needs {}.{}, took more than 10 s, or waited {} ms for a lock",
              drop.table.display(), drop.column, timeout.count()),
          "It was only tried, and nothing was changed: run the same command again.");
    }
    throw;
  }
}

}  // namespace

std::vector<std::string> unwalked_leaves(Session& session, const std::string& migration, const Recipe& recipe) {
  std::vector<std::string> names;
  for (const SyncedTable& table : recipe.synced) {
    for (const auto& [leaf, walked] : leaves(session.connection(), migration, table.table)) {
      if (!walked) {
        names.push_back(leaf.display());
      }
    }
  }
  return names;
}

std::optional<Error> why_doubt(Session& session, const Plan& plan, const Recipe& recipe, const std::string& marks,
                               std::int64_t run) {
  const TriggerFaults faults = find_trigger_faults(session.connection(), recipe.triggers, marks);
  if (!faults.broken.empty()) {
    return Error(Outcome::refused, "the sync trigger was not there all the time:\n  " + join(faults.broken, "\n  "),
                 fmt::format("Writes may have passed it by. Run: ecmigrate expand {} (makes it again), then verify "
                             "--repair.",
                             plan.file));
  }
  if (!faults.changed.empty()) {
    return Error(Outcome::refused, "the sync trigger was not there all the time:\n  " + join(faults.changed, "\n  "),
                 fmt::format("Writes may have passed it by. Run: ecmigrate verify {}", plan.file));
  }
  if (const auto later = find_later_triggers(session, recipe.triggers); !later.empty()) {
    return Error(
        Outcome::refused,
        "these triggers run after the sync trigger, which does not see what they change:\n  " + join(later, "\n  "),
        "Rename them so that they sort before it (ALTER TRIGGER … RENAME), then verify again.");
  }
  if (const auto unwalked = unwalked_leaves(session, plan.name, recipe); !unwalked.empty()) {
    return Error(Outcome::refused,
                 "the backfill has not been through these (new partitions, or a walk that was interrupted):\n  " +
                     join(unwalked, "\n  "),
                 fmt::format("Run: ecmigrate backfill {}, then verify again.", plan.file));
  }
  // Set aside in a look that was taken after the backfill, or after verify.
  if (has_bad_rows(session, plan.name, recipe, run)) {
    return Error(Outcome::refused, "rows are set aside, as they cannot be filled (see ecmigrate.bad_rows)",
                 fmt::format("Run: ecmigrate backfill {}", plan.file));
  }
  return std::nullopt;
}

void refuse_if_columns_are_needed(Session& session, const Recipe& recipe) {
  Dependents dependents;
  for (const ColumnDrop& drop : recipe.drops) {
    Dependents found = find_dependents(session, {drop});
    const std::vector<std::string> before = own_sql_before(recipe, drop);
    if (!before.empty() && (!found.blocking.empty() || !found.lost.empty())) {
      found = dependents_after(session, drop, before);
    }
    dependents.blocking.insert(dependents.blocking.end(), found.blocking.begin(), found.blocking.end());
    dependents.lost.insert(dependents.lost.end(), found.lost.begin(), found.lost.end());
  }
  if (!dependents.blocking.empty()) {
    throw Error(Outcome::refused, "these need a column that contract drops:\n  " + join(dependents.blocking, "\n  "),
                "Drop or change them first; nothing was locked or changed.");
  }
  if (!dependents.lost.empty()) {
    throw Error(Outcome::refused,
                "these would silently go with a column that contract drops:\n  " + join(dependents.lost, "\n  "),
                "Build replacements first; name what may go with --accept-drop NAME.");
  }
}

void add_trigger_guards(std::vector<Step>& steps, const std::vector<SyncTrigger>& triggers, const std::string& marks,
                        const std::string& hint) {
  for (Step& step : steps) {
    for (const SyncTrigger& trigger : triggers) {
      // Not the steps that lock it for another's sake: by then it may be gone.
      const bool drops = std::ranges::any_of(step.sql, [&](const std::string& statement) {
        return statement.starts_with("drop trigger") && statement.ends_with(" on " + trigger.table.sql());
      });
      if (drops) {
        step.sql.insert(step.sql.begin(), trigger_guard_sql(trigger, marks, hint));
      }
    }
  }
}

std::vector<Step> guarded_contract(const Plan& plan, const Recipe& recipe, const std::string& marks,
                                   const Drift& drift) {
  std::vector<Step> steps = recipe.contract;
  for (const auto& [drop, statements] : drift.carry) {
    const std::string goes =
        fmt::format("alter table {} drop column {}", drop.first.sql(), quote_identifier(drop.second));
    for (Step& step : steps) {
      if (std::ranges::find(step.sql, goes) != step.sql.end()) {
        step.sql.insert(step.sql.begin(), statements.begin(), statements.end());
      }
    }
  }
  add_trigger_guards(steps, recipe.triggers, marks, fmt::format("Run: ecmigrate verify {}", plan.file));
  for (Step& step : steps) {
    for (const SyncedTable& table : recipe.synced) {
      if (std::ranges::find(step.locks, table.table, &LockRequest::relation) != step.locks.end()) {
        step.sql.insert(
            step.sql.begin(),
            fmt::format(
                "do $guard$ begin if {} then raise exception using message = {}; end if; end $guard$",
                unwalked_sql(plan.name, table.table),
                quote_literal(fmt::format("a partition of {} came after the backfill", table.table.display()))));
      }
    }
  }
  return steps;
}

}  // namespace ecmigrate
