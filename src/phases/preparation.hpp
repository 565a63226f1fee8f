#pragma once

#include "current_run.hpp"
#include "ecmigrate/phases/missing.hpp"

namespace ecmigrate {

/// What the plan means for this database now, with everything known that can be before the first lock: warnings are
/// told. Throws what expand would throw before it begins, but for what is missing_now(). `sees_journal`: this role may
/// read it; else another migration on the same tables is not known.
Recipe look_ahead(CurrentRun& run, bool sees_journal);

/// What is left of the migration would need, or do better with, and is not there.
std::vector<Missing> missing_now(CurrentRun& run, const Recipe& recipe);

/// The same look, then the migration's beginning in the journal: its state is expanding. Throws also where what the
/// phases until `last` cannot do without is missing.
void begin_migration(CurrentRun& run, Command last);

}  // namespace ecmigrate
