#pragma once

#include <string>

#include "ecmigrate/session/session.hpp"

namespace ecmigrate {

/// Whoever runs the command has to say the migration's name, by --confirm or at the terminal, to have `what` done.
/// Throws Error{refused} if not; `instead`: sentences that say what else could be done.
void confirm(const RunOptions& options, const std::string& migration, const std::string& what,
             const std::string& instead = {});

}  // namespace ecmigrate
