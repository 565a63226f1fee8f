#pragma once

#include <string>

namespace ecmigrate::pg {

/// What would grant a role the right that it lacks by the server's message, as far as that tells; where it does not, or
/// is in another language than English, where to look.
std::string how_to_grant(const std::string& message, const std::string& role);

}  // namespace ecmigrate::pg
