#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "ecmigrate/store/read_model.hpp"

/// What the answers and the phases both tell of a migration.
namespace ecmigrate::report {

/// It is in the state or past it, and does not go back.
bool reached(const MigrationView& migration, State state);
/// What a phase's locks held at most, of those that stop somebody; empty where none did.
std::string held_fact(const MigrationView& migration, std::string_view phase);
/// By its backfill, in all runs.
std::int64_t rows_written(const MigrationView& migration);
/// That the newest verifications left.
std::int64_t differences(const MigrationView& migration);
/// By somebody, or at a limit that was given.
bool stopped_on_purpose(const std::string& outcome);

}  // namespace ecmigrate::report
