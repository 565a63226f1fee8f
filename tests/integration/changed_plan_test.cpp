#include <algorithm>

#include "support/plain_ddl.hpp"

namespace ecmigrate::test {

namespace {

constexpr const char* k_tables =
    "create table t (id int primary key, a text, b text); insert into t values (1, 'x', 'y')";

/// A plan over `t`; `more` is further operations.
std::string plan_with(const std::string& more) {
  return "name: one\noperations:\n  - rename_column: { table: t, from: a, to: c }\n" + more;
}

std::string sql_operation(const std::string& fields) {
  return "  - sql: { " + fields + " }\n";
}

RunOptions confirmed() {
  RunOptions options;
  options.confirmed = "one";
  return options;
}

std::string notes(const Recorder& recorder) {
  std::string text;
  for (const event::Note& note : recorder.all<event::Note>()) {
    text += note.text + "\n";
  }
  return text;
}

std::string state(Database& database) {
  return database.value("select state from ecmigrate.migrations where name = 'one'");
}

}  // namespace

TEST_CASE("a statement of contract that fails is changed in the plan, and contract ends", "[version]") {
  Database database;
  database.exec(k_tables);
  const std::string wrong = plan_with(sql_operation("contract: drop function clean_up()"));
  const std::string right = plan_with(sql_operation("contract: create table cleaned ()"));
  migrate(database, wrong, "expand backfill verify");
  const Error failed = error_of([&] { migrate(database, wrong, "contract"); });
  CHECK(failed.outcome() == Outcome::failed);
  CHECK_THAT(failed.hint(), Catch::Matchers::Contains("change the statement in the plan"));
  CHECK_THAT(failed.hint(), !Catch::Matchers::Contains("rollback"));
  CHECK(state(database) == "contracting");
  // What it drops is gone, so there is no way back, and this says which way there is.
  const Error back = error_of([&] { migrate(database, wrong, "rollback"); });
  CHECK_THAT(back.hint(), Catch::Matchers::Contains("may be changed in the plan"));

  // Shown, and asked for.
  const Error asked = error_of([&] { migrate(database, right, "contract"); });
  CHECK(asked.outcome() == Outcome::refused);
  CHECK_THAT(asked.what(), Catch::Matchers::Contains("drop function clean_up()") &&
                               Catch::Matchers::Contains("create table cleaned ()"));
  CHECK_THAT(asked.hint(), Catch::Matchers::Contains("--confirm one"));
  migrate(database, right, "contract", nullptr, confirmed());
  CHECK(state(database) == "contracted");
  CHECK(database.value("select to_regclass('cleaned')") == "cleaned");
  CHECK(
      database.value("select string_agg(attname, ' ' order by attnum) from pg_attribute where attrelid = 't'::regclass "
                     "and attnum > 0 and not attisdropped") == "id c b");
}

TEST_CASE("a statement of rollback that fails is changed in the plan, and rollback ends", "[version]") {
  Database database;
  database.exec(k_tables);
  const std::string before = database.schema();
  const std::string wrong = plan_with(sql_operation("expand: create table note (), rollback: drop table notes"));
  migrate(database, wrong, "expand");
  const Error failed = error_of([&] { migrate(database, wrong, "rollback"); });
  CHECK_THAT(failed.hint(), Catch::Matchers::Contains("change the statement in the plan"));
  CHECK(state(database) == "rolling_back");
  // An undo may be mended at once; that none is left must be meant.
  const std::string none = plan_with(sql_operation("expand: create table note ()"));
  const Error asked = error_of([&] { migrate(database, none, "rollback"); });
  CHECK(asked.outcome() == Outcome::refused);
  CHECK_THAT(asked.what(), Catch::Matchers::Contains("would no longer be undone"));
  Recorder recorder;
  migrate(database, plan_with(sql_operation("expand: create table note (), rollback: drop table note")), "rollback",
          &recorder);
  CHECK_THAT(notes(recorder), Catch::Matchers::Contains("drop table note"));
  CHECK(state(database) == "rolled_back");
  CHECK(database.schema() == before);
}

TEST_CASE("a contract whose first step failed has done nothing, and goes back to verified", "[version]") {
  Database database;
  database.exec(k_tables);
  const std::string before = database.schema();
  const std::string plan =
      "name: one\noperations:\n  - add_column: { table: t, column: { name: d, type: int, nullable: "
      "true } }\n" +
      sql_operation("contract: drop function clean_up()");
  migrate(database, plan, "expand backfill verify");
  const Error failed = error_of([&] { migrate(database, plan, "contract"); });
  CHECK_THAT(failed.hint(), Catch::Matchers::Contains("ecmigrate rollback"));
  CHECK(state(database) == "verified");
  migrate(database, plan, "rollback");
  CHECK(database.schema() == before);
}

TEST_CASE("a statement of expand that fails is changed in the plan, in another place than the first too") {
  Database database;
  database.exec(k_tables);
  const std::string wrong = plan_with(sql_operation("expand: create table nowhere.note (), rollback: drop table note"));
  const std::string right = plan_with(sql_operation("expand: create table note (), rollback: drop table note"));
  const Error failed = error_of([&] { migrate(database, wrong, "expand"); });
  CHECK_THAT(failed.hint(), Catch::Matchers::Contains("ecmigrate rollback"));
  CHECK_THROWS_AS(migrate(database, right, "expand"), Error);  // not asked for
  migrate(database, right, "expand", nullptr, confirmed());
  CHECK(state(database) == "expanded");
  CHECK(database.value("select to_regclass('note')") == "note");
  migrate(database, right, "backfill verify contract");
}

TEST_CASE("what has run may not change, but rollback goes by what ran") {
  Database database;
  database.exec(k_tables);
  const std::string before = database.schema();
  migrate(database, plan_with(sql_operation("expand: create table note (), rollback: drop table note")), "expand");
  for (const std::string& other :
       {std::string("name: one\noperations:\n  - rename_column: { table: t, from: a, to: other }\n"),
        plan_with(sql_operation("expand: create table notes (), rollback: drop table note")), plan_with("")}) {
    INFO(other);
    const Error error = error_of([&] { migrate(database, other, "backfill", nullptr, confirmed()); });
    CHECK(error.outcome() == Outcome::refused);
    CHECK_THAT(error.what(), Catch::Matchers::Contains("was started with another plan, and what differs has run"));
    CHECK(state(database) == "expanded");
    const Error back = error_of([&] { migrate(database, other, "rollback"); });
    CHECK_THAT(back.hint(), Catch::Matchers::Contains("--confirm one"));
  }
  migrate(database, plan_with(""), "rollback", nullptr, confirmed());
  CHECK(database.schema() == before);
}

TEST_CASE("a step added to a phase that is over brings the migration back to that phase") {
  Database database;
  database.exec(k_tables);
  migrate(database, plan_with(""), "expand backfill verify");
  const std::string more = plan_with("  - create_index: { table: t, name: t_b, columns: [b] }\n");
  const Error turn = error_of([&] { migrate(database, more, "contract", nullptr, confirmed()); });
  CHECK_THAT(turn.hint(), Catch::Matchers::Contains("ecmigrate expand"));
  migrate(database, more, "expand backfill verify contract");
  CHECK(database.value("select to_regclass('t_b')") == "t_b");
}

TEST_CASE("what only contract does may change until it runs, and plan shows what would be") {
  const auto with_default = [](const std::string& value) {
    return "name: one\noperations:\n  - alter_column: { table: t, column: b, default: \"'" + value + "'\" }\n";
  };
  Database database;
  database.exec(k_tables);
  migrate(database, with_default("old"), "expand backfill verify");
  CHECK(run_program(database, {"plan", "PLAN", "--sql"}, with_default("new")).out.find("'new'") != std::string::npos);
  CHECK(database.value("select plan like '%old%' from ecmigrate.migrations") == "t");
  migrate(database, with_default("new"), "contract", nullptr, confirmed());
  CHECK(database.value("select pg_get_expr(adbin, adrelid) from pg_attrdef where adrelid = 't'::regclass") ==
        "'new'::text");
}

TEST_CASE("a changed plan that names a table of another migration is refused") {
  Database database;
  database.exec(k_tables);
  database.exec("create table u (id int primary key, a text)");
  migrate(database, plan_with(""), "expand");
  migrate(database, "name: two\noperations:\n  - rename_column: { table: u, from: a, to: c }\n", "expand");
  const Error error = error_of([&] {
    migrate(database, plan_with("  - drop_column: { table: u, column: a }\n"), "backfill", nullptr, confirmed());
  });
  CHECK_THAT(error.what(), Catch::Matchers::Contains("\"two\" is under way"));
}

}  // namespace ecmigrate::test
