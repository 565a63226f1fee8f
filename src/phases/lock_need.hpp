#pragma once

#include "ecmigrate/model/recipe.hpp"
#include "ecmigrate/session/session.hpp"

namespace ecmigrate {

/// Throws Error{refused} when a step, contract's included, would hold more locks at once than the server's table of
/// locks has room for: one for every partition, and one for everything on each that it drops.
void refuse_without_lock_room(Session& session, const Recipe& recipe);

}  // namespace ecmigrate
