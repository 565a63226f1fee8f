#pragma once

#include <optional>
#include <string>

#include "ecmigrate/pg/connection.hpp"

namespace ecmigrate::pg {

/// What the server's parser says against a text of statements, none of which runs: whether the things that they name
/// are there it does not look. The error's position counts in the text; nothing where it has no fault. A transaction
/// that is open is rolled back.
std::optional<SqlError> syntax_error(Connection& connection, const std::string& statements);

}  // namespace ecmigrate::pg
