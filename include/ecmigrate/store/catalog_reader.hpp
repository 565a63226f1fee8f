#pragma once

#include "ecmigrate/model/catalog.hpp"
#include "ecmigrate/model/plan.hpp"
#include "ecmigrate/pg/connection.hpp"

namespace ecmigrate {

/// What other roles' sessions are doing, and for how long, can be seen.
bool sees_other_sessions(pg::Connection& connection);
inline constexpr std::string_view k_without_pg_monitor =
    "this role may not see what other roles' sessions are doing: who is in the way is named by pid and role alone, and "
    "replicas and the archive cannot be watched; grant pg_monitor to it to see all";

/// Throws Error{refused}, with what to grant, where the role may make none: a plan's types and expressions are tried on
/// them.
void require_temporary_tables(pg::Connection& connection);

/// A default of the column as the catalog shows it, which may have casts in it that `sql` has not.
std::string printed_default(pg::Connection& connection, const Column& column, const std::string& sql);

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
