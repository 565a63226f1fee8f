#pragma once

#include <string>
#include <vector>

#include "ecmigrate/report/answers.hpp"

namespace ecmigrate::report {

/// The five phases of a migration's life, and where it is in them. `dropped`: the columns that contract drops.
std::vector<PhaseView> phases_of(const MigrationView& migration, Situation situation, Instant now,
                                 const std::vector<std::string>& dropped);

}  // namespace ecmigrate::report
