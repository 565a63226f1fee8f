#pragma once

#include <cstdint>
#include <stop_token>
#include <string>
#include <utility>
#include <vector>

#include "ecmigrate/pg/connection.hpp"
#include "ecmigrate/scene/traffic.hpp"
#include "ecmigrate/store/read_model.hpp"

/// The demo's database: the table users, the journal, and in a schema of its own what the demo has to know after a
/// restart.
namespace ecmigrate::scene {

/// Whether the demo has made this database what it is.
bool is_prepared(const std::string& conninfo);
/// Makes the users where the database is empty. Throws Error{refused} where it has tables that are not the demo's.
void prepare_demo(const std::string& conninfo, std::int64_t rows, const std::stop_token& stop);
/// As it was in the beginning: the users are made again, and the journal says nothing of the migration.
void reset_demo(const std::string& conninfo, const std::stop_token& stop);

struct DemoFacts {
  std::int64_t rows = 0;           ///< that were loaded
  bool old_version_ended = false;  ///< somebody stopped the old version of the application
};
DemoFacts read_facts(pg::Connection& connection);
void write_old_version_ended(pg::Connection& connection, bool ended);

/// A copy of the users as the old version knows them, however far the migration is; instead of an earlier one.
inline constexpr const char* k_naive_table = "users_naive";
void copy_users(pg::Connection& connection);
void drop_copy(pg::Connection& connection);

/// A user that a visitor wrote, and what the database has of it: columns and values.
struct WrittenUser {
  std::string text;  ///< the statement
  std::vector<std::pair<std::string, std::optional<std::string>>> row;
};
WrittenUser write_user(pg::Connection& connection, Shape shape);

/// What the plan means for the users before it is begun.
MigrationShape planned_shape();

}  // namespace ecmigrate::scene
