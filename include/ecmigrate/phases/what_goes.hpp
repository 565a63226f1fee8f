#pragma once

#include <string>
#include <vector>

#include "ecmigrate/model/recipe.hpp"
#include "ecmigrate/session/session.hpp"

namespace ecmigrate {

/// What contract takes away for good, a line each: every column that it drops, with about how many rows have a value
/// there and what these take, by the server's statistics; and that it runs SQL of the plan's own. Empty: nothing.
std::vector<std::string> what_goes(Session& session, const Recipe& recipe);

}  // namespace ecmigrate
