#pragma once

#include <optional>
#include <string>
#include <vector>

#include "ecmigrate/base/error.hpp"
#include "ecmigrate/model/lifecycle.hpp"
#include "ecmigrate/model/pace_limits.hpp"
#include "ecmigrate/model/recipe.hpp"
#include "ecmigrate/model/state.hpp"
#include "ecmigrate/session/session.hpp"

namespace ecmigrate {

/// A right of the role, a setting of the server or a replica that what is left of a migration needs, or would do better
/// with, and that is not there.
struct Missing {
  std::string what;
  std::string remedy;              ///< a sentence, or several
  std::optional<Command> refused;  ///< the phase that cannot do without; nothing: it goes on without
  Outcome outcome = Outcome::refused;
};

/// For a backfill with these limits.
std::vector<Missing> unmet_limits(pg::Connection& connection, const PaceLimits& limits);

/// Of a migration that stands in that state, with these limits in force. What it cannot do without comes first, in the
/// order of the phases.
std::vector<Missing> what_is_missing(Session& session, const Recipe& recipe, const PaceLimits& limits, State state);

/// Throws what a phase, or one before it, cannot do without, if that is missing.
void refuse_missing(const std::vector<Missing>& missing, Command phase);

}  // namespace ecmigrate
