#pragma once

#include <vector>

#include "ecmigrate/model/plan.hpp"

namespace ecmigrate {

/// Several `alter_column` of one column as one, in the place of the first, where they say different things of it: a
/// column goes through one copy, whatever changes. Those that contradict each other stay apart and are complained of.
std::vector<PlannedOperation> fold_alterations(const std::vector<PlannedOperation>& operations);

}  // namespace ecmigrate
