#pragma once

#include <string>

#include "ecmigrate/model/plan.hpp"

namespace ecmigrate::planfile {

/// Plan::canonical of a plan that is complete but for that. It is itself a plan that reads as the same one.
std::string canonical_text(const Plan& plan);

}  // namespace ecmigrate::planfile
