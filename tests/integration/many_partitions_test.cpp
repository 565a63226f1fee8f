// A table of many partitions needs many locks at once, and the server has room for so many.

#include <fmt/format.h>

#include "ecmigrate/base/error.hpp"
#include "support/catch.hpp"
#include "support/fixtures.hpp"
#include "support/plain_ddl.hpp"

namespace ecmigrate::test {

namespace {

void make_partitions(Database& database, int number) {
  database.exec(
      "create table users (id bigint, full_name text not null default 'Ann Lee') partition by range (id); create index "
      "on "
      "users (full_name)");
  for (int i = 0; i < number; ++i) {
    database.exec(fmt::format("create table users_{0} partition of users for values from ({0}) to ({1})", i, i + 1));
  }
  database.exec(fmt::format("insert into users select i from generate_series(0, {}) i", number - 1));
}

constexpr int k_partitions = 150;
constexpr const char* k_server = "max_connections=20 max_wal_senders=0 max_worker_processes=2 wal_level=minimal";

}  // namespace

TEST_CASE("locks that contract would not get are counted by plan and expand, and the setting they ask for is enough") {
  std::string setting;
  RunOptions options;
  options.accept_drop = {"users_full_name_idx"};
  {
    const OwnServer server(fmt::format("{} max_locks_per_transaction=10", k_server));
    Database database(server.conninfo());
    make_partitions(database, k_partitions);
    const std::string before = database.schema();
    const Error error = error_of([&] { migrate(database, k_split, "expand", nullptr, options); });
    CHECK(error.outcome() == Outcome::refused);
    const std::string text = error.what();
    CHECK(text.find("max_locks_per_transaction = 10") != std::string::npos);
    CHECK(text.find("150 partitions of users") != std::string::npos);
    CHECK(database.schema() == before);
    CHECK(database.value("select to_regnamespace('ecmigrate')") == "null");
    const ProgramResult plan = run_program(database, {"plan", "PLAN"}, k_split);
    CHECK(plan.status == 7);
    CHECK(plan.out.find("missing\n  expand will be refused: contract, drop full_name: holds about ") !=
          std::string::npos);
    CHECK(plan.out.find("\n    Set max_locks_per_transaction to ") != std::string::npos);
    const std::size_t at = error.hint().find("max_locks_per_transaction to ");
    REQUIRE(at != std::string::npos);
    setting = std::to_string(std::stoi(error.hint().substr(at + 29)));
  }
  const OwnServer server(fmt::format("{} max_locks_per_transaction={}", k_server, setting));
  Database database(server.conninfo());
  make_partitions(database, k_partitions);
  migrate(database, k_split, "expand backfill verify contract", nullptr, options);
  CHECK(database.value("select count(*) from users where first_name = 'Ann'") == std::to_string(k_partitions));
}

TEST_CASE("a table of Citus is refused in words", "[superuser]") {
  Database database;
  database.exec(k_users);
  // As its extension makes it; the fact is all that is asked for.
  database.exec(
      "set allow_system_table_mods = on; create table pg_catalog.pg_dist_partition (logicalrelid regclass, partmethod "
      "\"char\"); insert into pg_catalog.pg_dist_partition values ('users', 'h'); create table other (full_name text "
      "not "
      "null)");
  const std::string before = database.schema();
  const Error error = error_of([&] { migrate(database, k_split, "expand"); });
  CHECK(error.outcome() == Outcome::refused);
  CHECK(outcome_row(error.outcome()).exit_code == 7);
  CHECK(std::string(error.what()).find("is a table of Citus") != std::string::npos);
  CHECK(database.schema() == before);
  // A table that it does not know is one like any other.
  std::string plan = k_split;
  plan.replace(plan.find("table: users"), 12, "table: other");
  CHECK_NOTHROW(migrate(database, plan, "expand"));
}

}  // namespace ecmigrate::test
