#pragma once

#include <string>

#include "ecmigrate/pg/connection.hpp"

namespace ecmigrate {

/// The migration that an argument means: that of a plan file, or by its own name where there is no such file. Who looks
/// or steers, on call perhaps, need not have the plan at hand.
struct MeantMigration {
  std::string name;
  bool by_name = false;
};
/// Throws Error{plan_invalid} where a plan file is meant that cannot be read.
MeantMigration meant_migration(const std::string& argument);

/// Throws Error{usage}, with the nearest name that is there.
[[noreturn]] void refuse_unknown_migration(pg::Connection& connection, const std::string& name);

}  // namespace ecmigrate
