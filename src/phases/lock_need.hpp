#pragma once

#include <optional>

#include "ecmigrate/model/recipe.hpp"
#include "ecmigrate/phases/missing.hpp"
#include "ecmigrate/session/session.hpp"

namespace ecmigrate {

/// Where a step, contract's included, would hold more locks at once than the server's table of locks has room for: one
/// for every partition, and one for everything on each that it drops. `refused`: the phase that cannot do without.
std::optional<Missing> missing_lock_room(Session& session, const Recipe& recipe, Command refused);

}  // namespace ecmigrate
