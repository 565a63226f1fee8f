#pragma once

#include "ecmigrate/model/catalog.hpp"
#include "ecmigrate/model/plan.hpp"
#include "ecmigrate/pg/connection.hpp"

namespace ecmigrate {

/// Facts about everything a plan names: its tables, those that its foreign keys point at, its indexes and its types.
/// Reads only (types are tried on a temporary table whose transaction is rolled back); takes ACCESS SHARE at most.
Catalog read_catalog(pg::Connection& connection, const Plan& plan);

/// Whether there is a finished index of that name.
bool has_valid_index(pg::Connection& connection, const QualifiedName& name);

/// Whether the role may set session_replication_role, which keeps the user's triggers from firing.
bool may_replace_replication_role(pg::Connection& connection);
/// Whether a foreign key of the columns has been validated: from then on it has to see every write, and a replica's
/// writes it does not see.
bool has_validated_foreign_key(pg::Connection& connection, const QualifiedName& table,
                               const std::vector<std::string>& columns);

}  // namespace ecmigrate
