#pragma once

#include <string>
#include <vector>

#include "ecmigrate/model/recipe.hpp"
#include "ecmigrate/pg/connection.hpp"

namespace ecmigrate {

/// What tells one life of a trigger from another: it changes whenever the trigger of a table, or of a partition, or its
/// function is made again, replaced, switched off or on. JSON for the journal.
std::string trigger_marks(pg::Connection& connection, const std::vector<SyncTrigger>& triggers);

/// What is wrong with sync triggers, as text for people.
struct TriggerFaults {
  std::vector<std::string> broken;   ///< missing or disabled, on the table or on a partition
  std::vector<std::string> changed;  ///< in order now, but not the ones that were marked: writes may have passed
};
/// `marks`: as trigger_marks() gave them; empty: unknown.
TriggerFaults find_trigger_faults(pg::Connection& connection, const std::vector<SyncTrigger>& triggers,
                                  const std::string& marks);

/// A statement that raises where find_trigger_faults() would find anything: for a last look under the lock.
std::string trigger_guard_sql(const SyncTrigger& trigger, const std::string& marks, const std::string& hint);

}  // namespace ecmigrate
