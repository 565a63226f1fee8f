#pragma once

#include <string>
#include <vector>

#include "ecmigrate/base/quote.hpp"
#include "ecmigrate/pg/connection.hpp"

namespace ecmigrate {

/// Roles that write `table` and may not use what the view pg_temp.ecmigrate_view reads or calls, each with what is
/// missing: "app may not read ref.countries". The row itself, pg_temp.this, is theirs.
std::vector<std::string> missing_lookup_rights(pg::Connection& connection, const QualifiedName& table);

}  // namespace ecmigrate
