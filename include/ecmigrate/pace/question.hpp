#pragma once

#include <string>

#include "ecmigrate/pg/connection.hpp"

namespace ecmigrate {

/// Throws Error{plan_invalid} where a query of the user's (`name` is what he calls it) is no SELECT that the server can
/// run; an empty one is none.
void check_question(pg::Connection& connection, const std::string& name, const std::string& query);

}  // namespace ecmigrate
