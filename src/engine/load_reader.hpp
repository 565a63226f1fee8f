#pragma once

#include <string>

#include "ecmigrate/base/quote.hpp"
#include "ecmigrate/engine/pace.hpp"
#include "ecmigrate/engine/session.hpp"

namespace ecmigrate {

/// Asks the server, on the session's second connection, for everything that LoadJudge needs; `backends` are the runner's own. Throws what the question
/// threw: the caller takes an unreadable signal for a reason to stop.
LoadReading read_load(Session& session, const std::string& migration, const QualifiedName& relation,
                      const std::vector<int>& backends, PaceLimits& limits);

}  // namespace ecmigrate
