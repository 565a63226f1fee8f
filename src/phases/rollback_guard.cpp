#include "rollback_guard.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "contract_guard.hpp"
#include "dependents.hpp"
#include "ecmigrate/base/error.hpp"
#include "ecmigrate/base/text.hpp"
#include "ecmigrate/phases/undo.hpp"
#include "ecmigrate/session/confirm.hpp"
#include "ecmigrate/store/sync_triggers.hpp"

namespace ecmigrate {

void check_nothing_is_lost(Session& session, const Plan& plan, const MigrationRecord& record,
                           const std::vector<TableFate>& fates) {
  if (record.trigger_marks.empty() && record.state == State::expanding) {
    return;  // nothing to write to was ever complete
  }
  std::vector<SyncTrigger> triggers = record.recipe.triggers;
  std::erase_if(triggers, [&](const SyncTrigger& trigger) { return is_gone(fates, trigger.table); });
  const TriggerFaults faults = find_trigger_faults(session.connection(), triggers, record.trigger_marks);
  if (faults.broken.empty() && faults.changed.empty()) {
    return;
  }
  std::vector<std::string> lines = faults.broken;
  lines.insert(lines.end(), faults.changed.begin(), faults.changed.end());
  confirm(session.options(), record.name,
          fmt::format("the sync trigger was not there all the time:\n  {}\nwhat the new version wrote past it would be "
                      "lost with the new columns; {}`ecmigrate verify --repair=new {}` brings it over",
                      join(lines, "\n  "),
                      faults.broken.empty() ? "" : fmt::format("`ecmigrate expand {}` makes it again, ", plan.file),
                      plan.file));
}

void refuse_if_news_are_needed(Session& session, const Recipe& recipe, const std::vector<TableFate>& fates) {
  const bool own_sql = std::ranges::any_of(
      recipe.expand, [](const Step& step) { return is_plans_own_sql(step) && step.undo.has_value(); });
  if (own_sql) {
    return;  // it may remove what is in the way
  }
  std::vector<ColumnDrop> drops;
  for (const AddedObjects& added : recipe.added) {
    if (is_gone(fates, added.table)) {
      continue;
    }
    for (const std::string& column : added.columns) {
      ColumnDrop& drop = drops.emplace_back(ColumnDrop{added.table, column, added.columns});
      drop.replaced.insert(drop.replaced.end(), added.constraints.begin(), added.constraints.end());
      drop.replaced.insert(drop.replaced.end(), added.indexes.begin(), added.indexes.end());
    }
  }
  if (const Dependents found = find_dependents(session, drops); !found.blocking.empty()) {
    throw Error(Outcome::refused, "these need a column that rollback drops:\n  " + join(found.blocking, "\n  "),
                "Point them back at the old columns, or drop them, and run the same command again; nothing was locked "
                "or changed.");
  }
}

std::vector<Step> guarded_rollback(Session& session, const MigrationRecord& record,
                                   const std::vector<TableFate>& fates) {
  std::vector<Step> steps = begun_undos(session.connection(), record, fates);
  if (!record.trigger_marks.empty() && session.options().confirmed != record.name) {
    add_trigger_guards(steps, record.recipe.triggers, record.trigger_marks,
                       fmt::format("Writes of the new version may have passed it by. To drop them, give --confirm {}.",
                                   shell_quote(record.name)));
  }
  return steps;
}

}  // namespace ecmigrate
