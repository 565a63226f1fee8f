// A right that the role lacks is a refusal, wherever it is missed, and what grants it is said.

#include <fmt/format.h>

#include "support/catch.hpp"
#include "support/fixtures.hpp"
#include "support/server.hpp"

namespace ecmigrate::test {

namespace {

constexpr int k_refused = 7;

/// A role that owns the table of users and has what a migration needs.
class Owner {
 public:
  explicit Owner(Database& database) : m_database(database) {
    database.exec(k_users);
    database.exec(fmt::format(
        "do $$ begin create role test_lesser login; exception when duplicate_object then null; end $$; grant create on "
        "database {} to test_lesser; grant usage, create on schema public to test_lesser; alter table users owner to "
        "test_lesser",
        database.name()));
  }
  ~Owner() {
    try {
      m_database.exec("drop owned by test_lesser cascade");
    } catch (const std::exception&) {
    }
  }
  Owner(const Owner&) = delete;
  Owner& operator=(const Owner&) = delete;

  [[nodiscard]] ProgramResult run(std::vector<std::string> arguments, const std::string& plan = k_split) const {
    arguments.insert(arguments.end(), {"--dbname", m_database.conninfo("user=test_lesser")});
    return run_program(m_database, arguments, plan);
  }

 private:
  Database& m_database;
};

std::string add_column(const std::string& up, const std::string& type = "text") {
  return fmt::format(
      "name: more\noperations:\n  - add_column:\n      table: users\n      up: \"{}\"\n      column: {{ name: more, "
      "type: {}, nullable: true }}\n",
      up, type);
}

}  // namespace

TEST_CASE("a plan that uses what its role may not is refused, with the grant", "[superuser]") {
  Database database;
  const Owner owner(database);
  database.exec(
      "create schema other; create table public.codes (code text); create function public.code(text) returns text "
      "language sql immutable as $$ select $1 $$; revoke execute on function code(text) from public; create function "
      "other.code(text) returns text language sql immutable as $$ select $1 $$; create type public.mood as enum "
      "('good'); revoke usage on type mood from public");
  for (const auto& [plan, grant] :
       {std::pair(add_column("code(email)"), "grant execute on function code to test_lesser"),
        std::pair(add_column("other.code(email)"), "grant usage on schema other to test_lesser"),
        std::pair(add_column("(select max(code) from codes)"), "grant select, references on codes to test_lesser"),
        std::pair(add_column("'good'", "mood"), "grant usage on type mood to test_lesser"),
        std::pair(std::string("name: own\noperations:\n  - sql:\n      expand: \"delete from codes\"\n      rollback: "
                              "\"select 1\"\n"),
                  "grant select, references on codes to test_lesser")}) {
    const ProgramResult refused = owner.run({"expand", "PLAN"}, plan);
    INFO(plan << refused.err);
    CHECK(refused.status == k_refused);
    CHECK(refused.err.find(grant) != std::string::npos);
  }
  const ProgramResult asked = owner.run({"expand", "PLAN"}, std::string(k_split) +
                                                                "backfill: { pause_query: select count(*) from codes "
                                                                "}\n");
  CHECK(asked.status == k_refused);
  CHECK(asked.err.find("pause_query: permission denied for table codes") != std::string::npos);
  CHECK(asked.err.find("grant select, references on codes to test_lesser") != std::string::npos);
}

TEST_CASE("plan is whole for a role that may read the table and not alter it, and says so", "[superuser]") {
  Database database;
  const Owner owner(database);
  database.exec("alter table users owner to current_user; grant select on users to test_lesser");
  const ProgramResult shown = owner.run({"plan", "PLAN"});
  INFO(shown.out << shown.err);
  CHECK(shown.status == k_refused);
  CHECK(shown.out.find("ownership: test_lesser may not alter users") != std::string::npos);
  CHECK(shown.out.find("contract") != std::string::npos);
  CHECK(shown.err.find("ownership: test_lesser may not alter users") != std::string::npos);
  CHECK(owner.run({"plan", "PLAN", "--sql"}).status == k_refused);
  CHECK(database.value("select to_regnamespace('ecmigrate') is null") == "t");
  // Nor has such a role a part in the journal, once that is there.
  REQUIRE(
      run_program(database, {"expand", "PLAN"}, "name: other\noperations:\n  - sql: { expand: select 1 }\n").status ==
      0);
  const ProgramResult beside = owner.run({"plan", "PLAN"});
  CHECK(beside.status == k_refused);
  CHECK(
      beside.err.find("whether this migration is under way is not known: test_lesser may not write into the journal") !=
      std::string::npos);
  CHECK(beside.out.find("ownership: test_lesser may not alter users") != std::string::npos);
  database.exec("drop schema ecmigrate cascade");
  const ProgramResult refused = owner.run({"expand", "PLAN"});
  CHECK(refused.status == k_refused);
  CHECK(refused.err.find("may not alter table \"users\"") != std::string::npos);
  CHECK(database.value("select to_regnamespace('ecmigrate') is null") == "t");
}

TEST_CASE("a phase whose role has lost the table is refused", "[superuser]") {
  Database database;
  const Owner owner(database);
  const auto taken_from = [&](const std::vector<std::string>& arguments) {
    database.exec("alter table users owner to postgres; revoke all on users from test_lesser");
    const ProgramResult refused = owner.run(arguments);
    INFO(arguments.front() << ": " << refused.err);
    CHECK(refused.status == k_refused);
    CHECK(refused.err.find("hint: ") != std::string::npos);
    CHECK(refused.err.find("test_lesser") != std::string::npos);
    database.exec("alter table users owner to test_lesser");
  };
  taken_from({"expand", "PLAN"});
  CHECK(owner.run({"expand", "PLAN"}).status == 0);
  taken_from({"rollback", "PLAN"});
  CHECK(owner.run({"rollback", "PLAN"}).status == 0);
  CHECK(owner.run({"expand", "PLAN"}).status == 0);
  taken_from({"backfill", "PLAN"});
  CHECK(owner.run({"backfill", "PLAN"}).status == 0);
  taken_from({"verify", "PLAN"});
  CHECK(owner.run({"verify", "PLAN"}).status == 0);
  taken_from({"contract", "PLAN", "--confirm", "split"});
  CHECK(owner.run({"contract", "PLAN", "--confirm", "split"}).status == 0);
}

TEST_CASE("a command whose role may not use the journal is refused", "[superuser]") {
  Database database;
  const Owner owner(database);
  CHECK(run_program(database, {"expand", "PLAN"}, k_split).status == 0);
  for (const std::vector<std::string>& arguments : std::vector<std::vector<std::string>>{{"expand", "PLAN"},
                                                                                         {"backfill", "PLAN"},
                                                                                         {"verify", "PLAN"},
                                                                                         {"contract", "PLAN"},
                                                                                         {"rollback", "PLAN"},
                                                                                         {"run", "PLAN"},
                                                                                         {"plan", "PLAN"},
                                                                                         {"pause", "PLAN"},
                                                                                         {"set", "PLAN", "workers=1"},
                                                                                         {"throttle", "PLAN", "0.5"},
                                                                                         {"status"},
                                                                                         {"forget", "split"}}) {
    const ProgramResult refused = owner.run(arguments);
    INFO(arguments.front() << ": " << refused.err);
    CHECK(refused.status == k_refused);
    CHECK(refused.err.find("grant ") != std::string::npos);
  }
}

}  // namespace ecmigrate::test
