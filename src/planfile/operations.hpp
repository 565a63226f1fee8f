#pragma once

#include "complaints.hpp"
#include "ecmigrate/model/plan.hpp"

namespace ecmigrate::planfile {

/// Complains of operations that contradict themselves or each other in every database, by the kinds' own rules. The
/// plan's fields have to be right.
void check_operations(const Plan& plan, Complaints& complaints);

}  // namespace ecmigrate::planfile
