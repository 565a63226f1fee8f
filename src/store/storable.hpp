#pragma once

#include <string>

#include "ecmigrate/pg/connection.hpp"

namespace ecmigrate {

/// Whether the database's encoding has every character of the text, which is UTF-8.
bool can_store(pg::Connection& connection, const std::string& text);

/// The text as the database can store it: with `?` for bytes that are not UTF-8, as names and rows of a database
/// without an encoding may have them; in one that is not UTF-8 also without our typography and, if need be, with `?`
/// for what it has no character for.
std::string storable(pg::Connection& connection, const std::string& text);

}  // namespace ecmigrate
