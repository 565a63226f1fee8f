#pragma once

#include <string>
#include <vector>

#include "ecmigrate/model/recipe.hpp"
#include "ecmigrate/session/session.hpp"

namespace ecmigrate {

/// What contract takes away for good, a line each: every column that it drops, with about how many rows have a value
/// there and what these take, by the server's statistics; and that it runs SQL of the plan's own. Empty: nothing.
std::vector<std::string> what_goes(Session& session, const Recipe& recipe);

/// The clients of the database at this moment, by application_name, with how many sessions each has, ours aside:
/// "shop-v1 (12), metabase (1)". Whether an old version is among them is for a person to see.
std::string connected_now(Session& session);

}  // namespace ecmigrate
