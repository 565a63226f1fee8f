#pragma once

#include <string>

#include "current_run.hpp"
#include "drift.hpp"

namespace ecmigrate {

/// Throws where something written or changed since verify, or the sync trigger's absence, means that old and new data
/// may differ: then the migration is no longer verified. `marks`: see why_doubt().
void check_still_true(CurrentRun& run, const std::string& marks);

/// What somebody changed since expand on what contract replaces. Nothing where an older program began the migration:
/// then what was there is not known.
Drift drift_since_expand(CurrentRun& run);

/// Of a verified migration: everything that could stand in contract's way, the question to who runs it, and the work
/// that needs no lock which stops anybody. Throws where contract must not begin.
void prepare_contract(CurrentRun& run);

}  // namespace ecmigrate
