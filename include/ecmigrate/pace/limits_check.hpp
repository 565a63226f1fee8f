#pragma once

#include <string>
#include <vector>

#include "ecmigrate/model/pace_limits.hpp"
#include "ecmigrate/pg/connection.hpp"
#include "ecmigrate/store/journal.hpp"

namespace ecmigrate {

/// The limits of plan and flags with what was set from outside, which wins.
PaceLimits limits_in_force(PaceLimits limits, const Journal::Steering& steering);

/// Throws Error{plan_invalid} where the server cannot make sense of a limit: a query of the user's that is not one
/// SELECT, or whose first value is neither true or false nor a number; a time zone that it does not know.
void check_limits(pg::Connection& connection, const PaceLimits& limits);

/// Something that a limit needs and that is not there.
struct UnmetNeed {
  std::string what;    ///< "max_active_sessions: shop_app may not see other users' sessions"
  std::string remedy;  ///< a sentence
};

/// Replicas that are not connected, and rights that the role lacks to see what limits watch.
std::vector<UnmetNeed> unmet_needs(pg::Connection& connection, const PaceLimits& limits);

}  // namespace ecmigrate
