// An expression of a plan means the same in every session, whatever its settings are.

#include <fmt/format.h>

#include <array>

#include "ecmigrate/base/error.hpp"
#include "support/catch.hpp"
#include "support/server.hpp"
#include "sync_cases.hpp"

namespace ecmigrate::test {

namespace {

constexpr const char* k_table =
    "create table t (id int primary key, at timestamp, tz timestamptz, day date, f float8, n int, a text, e interval); "
    "insert into t values (1, '2024-06-01 12:00', '2024-06-01 12:00+00', '2024-02-03', 0.1, 7, 'x', '1 day')";

std::string adds(const std::string& up, const std::string& type) {
  return fmt::format(
      "name: adds\noperations:\n  - add_column: {{ table: t, up: \"{}\", column: {{ name: v, type: {}, nullable: true "
      "}} }}\n",
      up, type);
}

bool fixes_settings(Database& database) {
  return database.value(
             "select bool_or(proconfig is not null) from pg_proc where pronamespace = 'ecmigrate'::regnamespace") ==
         "t";
}

}  // namespace

TEST_CASE("what depends on each session's time zone is refused before expand, with what to write", "[version]") {
  for (const auto& [up, type] : {std::pair<std::string, std::string>{"at", "timestamptz"},
                                 {"tz", "timestamp"},
                                 {"tz", "date"},
                                 {"tz::text", "text"},
                                 {"day", "timestamptz"},
                                 {"a", "timestamptz"},
                                 {"to_char(tz, 'YYYY')", "text"},
                                 {"date_trunc('day', tz)", "timestamptz"},
                                 {"extract(hour from tz)", "numeric"},
                                 {"tz + interval '1 day'", "timestamptz"},
                                 {"concat_ws(' ', a, tz)", "text"},
                                 {"to_jsonb(tz)", "jsonb"},
                                 {"format('%s', tz)", "text"},
                                 {"tz < at", "boolean"},
                                 {"to_timestamp(a, 'YYYY')", "timestamptz"}}) {
    INFO(up << " as " << type);
    Database database;
    database.exec(k_table);
    std::string message;
    const std::string plan =
        type == "timestamptz" && up == "a"
            ? "name: adds\noperations:\n  - alter_column: { table: t, column: a, type: timestamptz }\n"
            : adds(up, type);
    CHECK(outcome_of([&] { migrate(database, plan, "expand"); }, &message) == Outcome::refused);
    CHECK(message.find("at time zone") != std::string::npos);
    CHECK(database.value("select to_regnamespace('ecmigrate')") == "null");
  }
}

TEST_CASE("what each session answers for itself is refused before expand, with what to write", "[version]") {
  for (const auto& [up, type, hint] :
       {std::array<std::string, 3>{"to_tsvector(a)", "tsvector", "to_tsvector('pg_catalog.english', …)"},
        {"to_tsvector(a) @@ plainto_tsquery('x')", "boolean", "configuration"},
        {"a @@ 'the'", "boolean", "configuration"},
        {"a || ' by ' || current_user", "text", "deterministic: false"},
        {"ts_headline(a, to_tsquery('simple', 'x'))", "text", "configuration"},
        {"coalesce(current_setting('app.tenant', true), a)", "text", "deterministic: false"},
        {"a || current_schema()", "text", "deterministic: false"},
        {"has_table_privilege(a, 'select')", "boolean", "deterministic: false"},
        {"pg_backend_pid() + n", "int", "deterministic: false"}}) {
    INFO(up << " as " << type);
    Database database;
    database.exec(k_table);
    std::string message;
    CHECK(outcome_of([&] { migrate(database, adds(up, type), "expand"); }, &message) == Outcome::refused);
    CHECK(message.find("which each session answers for itself") != std::string::npos);
    CHECK(message.find(hint) != std::string::npos);
    CHECK(database.value("select to_regnamespace('ecmigrate')") == "null");
  }
  for (const auto& [plan, why] :
       {std::pair<std::string, std::string>{adds("to_tsvector('english', a)", "tsvector"), "named"},
        {"deterministic: false\n" + adds("coalesce(current_setting('app.tenant', true), a)", "text"), "meant"}}) {
    INFO(why);
    Database database;
    database.exec(k_table);
    CHECK_NOTHROW(migrate(database, plan, "expand"));
  }
}

TEST_CASE("what no setting changes is taken as it is, at no cost", "[version]") {
  for (const auto& [up, type] : {std::pair<std::string, std::string>{"at at time zone 'Europe/Berlin'", "timestamptz"},
                                 {"tz at time zone 'UTC'", "timestamp"},
                                 {"extract(epoch from tz)", "numeric"},
                                 {"concat_ws(' ', a, n)", "text"},
                                 {"n::text || a", "text"},
                                 {"format('%s-%s', n, a)", "text"},
                                 {"to_jsonb(a)", "jsonb"},
                                 {"at + e", "timestamp"},
                                 {"tz", "timestamptz"},
                                 {"date_trunc('day', at)", "timestamp"}}) {
    INFO(up << " as " << type);
    Database database;
    database.exec(k_table);
    migrate(database, adds(up, type), "expand");
    CHECK_FALSE(fixes_settings(database));
    migrate(database, adds(up, type), "backfill verify contract");
  }
}

TEST_CASE("texts of dates, intervals and numbers are the same whatever the client's styles are", "[version]") {
  for (const auto& [up, type] : {std::pair<std::string, std::string>{"day::text", "text"},
                                 {"e::text", "text"},
                                 {"f::text", "text"},
                                 {"concat(a, at)", "text"},
                                 {"(day + 1)::text::date", "date"},
                                 {"to_char(f, '9D99')", "text"}}) {
    INFO(up << " as " << type);
    Database database;
    database.exec(k_table);
    migrate(database, adds(up, type), "expand");
    CHECK(fixes_settings(database));
    const auto client = database.connect();
    client->script(
        "set datestyle = 'SQL, DMY'; set intervalstyle = 'sql_standard'; set extra_float_digits = -9; "
        "update t set a = a; insert into t select 2, at, tz, day, f, n, a, e from t where id = 1; "
        "insert into t (id, day, f, at, e) values (3, '05/06/2024', 1.0 / 3, '05/06/2024 10:00', '-1 2:03')");
    CHECK_NOTHROW(migrate(database, adds(up, type), "backfill verify"));
  }
}

TEST_CASE("a backslash in an expression is one, whatever standard_conforming_strings says", "[version]") {
  Database database;
  database.exec(k_table);
  const std::string plan = adds("regexp_replace(a, '\\\\s+', '\\\\t', 'g')", "text");
  migrate(database, plan, "expand");
  const auto client = database.connect();
  client->script("set standard_conforming_strings = off; insert into t (id, a) values (2, 'some spaces')");
  CHECK(database.value("select v from t where id = 2") ==
        database.value("select regexp_replace('some spaces', '\\s+', '\\t', 'g')"));
  CHECK_NOTHROW(migrate(database, plan, "backfill verify"));
}

}  // namespace ecmigrate::test
