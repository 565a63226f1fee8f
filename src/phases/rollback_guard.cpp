#include "rollback_guard.hpp"

#include <fmt/format.h>

#include "contract_guard.hpp"
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
