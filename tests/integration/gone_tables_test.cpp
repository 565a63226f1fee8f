// Tables of a migration that somebody drops, renames or makes anew while it is under way.

#include <nlohmann/json.hpp>
#include <sstream>

#include "support/catch.hpp"
#include "support/fixtures.hpp"
#include "support/server.hpp"

using namespace ecmigrate;
using namespace ecmigrate::test;
using nlohmann::json;

namespace {

/// A table as an operator makes it again by hand, who has given it what the new version wants.
constexpr const char* k_users_anew =
    "drop table if exists users; create table users (id bigint primary key, full_name text, first_name text, last_name "
    "text, email text); create index users_email on users (email)";

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

json status_of(const Database& database) {
  std::istringstream lines(run_program(database, {"status", "--json"}).out);
  std::string first;
  std::getline(lines, first);
  return json::parse(first).at("migrations").at(0);
}

}  // namespace

TEST_CASE("a table that was dropped and made anew is not taken for the migration's") {
  Database database;
  database.exec(k_users);
  REQUIRE(run_program(database, {"expand", "PLAN"}, k_split).status == 0);
  database.exec(k_users_anew);
  const std::string anew = database.schema();

  CHECK(contains(run_program(database, {"status"}).out,
                 "users, a table of this migration, was dropped and made anew: roll back, or without its plan: "
                 "ecmigrate forget split"));
  CHECK(status_of(database).at("gone_tables") == json{"users"});
  CHECK(contains(status_of(database).at("next"), "ecmigrate rollback"));
  CHECK(contains(run_program(database, {"status"}).out, "next: ecmigrate rollback"));
  for (const char* phase : {"expand", "backfill"}) {
    INFO(phase);
    const ProgramResult refused = run_program(database, {phase, "PLAN"}, k_split);
    CHECK(refused.status == 7);
    CHECK(contains(refused.err, "users, a table of this migration, was dropped and made anew"));
    CHECK(contains(refused.err, "ecmigrate rollback"));
  }
  const std::string left = run_program(database, {"forget", "split"}).err;
  INFO(left);
  CHECK(contains(left, "users was dropped and made anew"));
  CHECK(contains(left, "drop function if exists"));
  CHECK_FALSE(contains(left, "alter table"));
  CHECK_FALSE(contains(left, "drop trigger"));

  CHECK(run_program(database, {"rollback", "PLAN"}, k_split).status == 0);
  CHECK(database.schema() == anew);
  CHECK(database.value("select state from ecmigrate.migrations") == "rolled_back");
  CHECK(database.value("select count(*) from pg_proc where pronamespace = 'ecmigrate'::regnamespace") == "0");
  CHECK(run_program(database, {"forget", "split", "--confirm", "split"}).status == 0);
}

TEST_CASE("rollback leaves an index of its name on a table that was made anew") {
  constexpr const char* k_plan =
      "name: i\noperations:\n  - create_index: { table: users, name: users_email, columns: [email] }\n";
  Database database;
  database.exec("create table users (id bigint primary key, email text)");
  REQUIRE(run_program(database, {"expand", "PLAN"}, k_plan).status == 0);
  REQUIRE(run_program(database, {"backfill", "PLAN"}, k_plan).status == 0);
  REQUIRE(database.value("select to_regclass('users_email') is not null") == "t");
  database.exec(k_users_anew);
  CHECK_FALSE(contains(run_program(database, {"forget", "i"}).err, "drop index"));
  CHECK(run_program(database, {"rollback", "PLAN"}, k_plan).status == 0);
  CHECK(database.value("select to_regclass('users_email') is not null") == "t");
}

TEST_CASE("contract does not go on upon a table that was made anew") {
  Database database;
  database.exec(k_users);
  REQUIRE(run_program(database, {"run", "PLAN"}, k_split).status == 0);
  database.exec(
      "update ecmigrate.migrations set state = 'contracting'; insert into ecmigrate.steps (migration, phase, step, "
      "done) values ('split', 'contract', 'one', true)");
  database.exec(k_users_anew);
  const std::string anew = database.schema();
  const ProgramResult refused = run_program(database, {"contract", "PLAN", "--confirm", "split"}, k_split);
  CHECK(refused.status == 7);
  CHECK(contains(refused.err, "ecmigrate forget split"));
  CHECK(status_of(database).at("next") == "ecmigrate forget split");
  CHECK(database.schema() == anew);
}

TEST_CASE("a table that was renamed is the migration's, even where another has taken its name") {
  Database database;
  database.exec(k_users);
  REQUIRE(run_program(database, {"expand", "PLAN"}, k_split).status == 0);
  database.exec("alter table users rename to people; create table users (id bigint primary key, full_name text)");
  CHECK(contains(run_program(database, {"status"}).out, "users, a table of this migration, is people now"));
  CHECK(status_of(database).at("gone_tables") == json::array());
  CHECK(status_of(database).at("renamed_tables") == json{{"users", "people"}});
  CHECK(status_of(database).at("next") == "");
  CHECK(contains(run_program(database, {"forget", "split"}).err, "users is people now"));
  for (const char* phase : {"expand", "backfill", "rollback"}) {
    INFO(phase);
    const ProgramResult refused = run_program(database, {phase, "PLAN"}, k_split);
    CHECK(refused.status == 7);
    CHECK(contains(refused.err, "users is people now: somebody renamed or moved it since expand"));
  }
  database.exec("drop table users; alter table people rename to users");
  CHECK(run_program(database, {"rollback", "PLAN"}, k_split).status == 0);
  CHECK(database.value("select count(*) from pg_trigger where not tgisinternal") == "0");
}

TEST_CASE("a table that was restored from a dump is known by its sync trigger, and one of an old journal by its name") {
  Database database;
  database.exec(k_users);
  REQUIRE(run_program(database, {"expand", "PLAN"}, k_split).status == 0);
  SECTION("restored: every oid is another one") {
    database.exec(
        "update ecmigrate.migrations set columns = (select jsonb_agg(c || '{\"oid\": 4000000000}') from "
        "jsonb_array_elements(columns) c)");
    CHECK(status_of(database).at("gone_tables") == json::array());
    CHECK(run_program(database, {"backfill", "PLAN"}, k_split).status == 0);
  }
  SECTION("restored: every oid is another relation's") {
    database.exec(
        "create table stranger (id int); update ecmigrate.migrations set columns = (select jsonb_agg(c || "
        "jsonb_build_object('oid', 'stranger'::regclass::oid::bigint)) from jsonb_array_elements(columns) c)");
    CHECK(status_of(database).at("renamed_tables") == json::object());
    CHECK(run_program(database, {"backfill", "PLAN"}, k_split).status == 0);
  }
  SECTION("no oid is on record") {
    database.exec("update ecmigrate.migrations set columns = null");
    CHECK(status_of(database).at("gone_tables") == json::array());
    database.exec("drop table users");
    CHECK(status_of(database).at("gone_tables") == json{"users"});
  }
  CHECK(run_program(database, {"rollback", "PLAN"}, k_split).status == 0);
  CHECK(database.value("select count(*) from pg_proc where pronamespace = 'ecmigrate'::regnamespace") == "0");
}
