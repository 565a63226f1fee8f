// Values that the type's own equality would take for one another, or that have no equality at all: a change of the
// value is a change, whatever the type says.
#include <fmt/format.h>

#include "sync_cases.hpp"

namespace ecmigrate::test {

namespace {

struct ValueCase {
  std::string name;
  std::string setup;
  std::string type;  ///< of the column
  std::string before;
  std::string after;  ///< another value, which the type may take for the same
};

const std::vector<ValueCase> k_values{
    {"numeric scale", "", "numeric", "1.0", "1.00"},
    {"numeric with modifier", "", "numeric(6, 2)", "1.5", "2.5"},
    {"float zero", "", "double precision", "0", "-0"},
    {"float that differs in its last digit", "", "double precision", "0.3", "0.30000000000000004"},
    {"json without equality", "", "json", R"({"a": 1})", R"({"a":1})"},
    {"jsonb", "", "jsonb", R"({"a": 1})", R"({"a": 1.0})"},
    {"xml without equality", "", "xml", "<a/>", "<a />"},
    {"point without btree equality", "", "point", "(1,2)", "(1,2.0000001)"},
    {"interval", "", "interval", "24:00:00", "1 day"},
    {"char with trailing blanks", "", "character(5)", "ab", "abc"},
    {"array", "", "text[]", "{a,b}", "{a,B}"},
    {"array of numerics", "", "numeric[]", "{1.0}", "{1.00}"},
    {"enum", "create type mood as enum ('sad', 'ok', 'glad')", "mood", "sad", "glad"},
    {"domain", "create domain code as text check (value <> '')", "code", "a", "A"},
    {"citext", "create extension citext", "citext", "Ann", "ANN"},
    {"citext array", "create extension citext", "citext[]", "{Ann}", "{ANN}"},
    {"collation that ignores case",
     "create collation nocase (provider = icu, locale = 'und-u-ks-level2', deterministic = false)",
     "text collate nocase", "Ann", "ANN"},
    {"bytea", "", "bytea", R"(\x00)", R"(\x0000)"},
    {"range", "", "numrange", "[1.0,2)", "[1.00,2)"},
};

}  // namespace

TEST_CASE("a change of the value is seen by either shape, for types of every kind of equality", "[sync][values]") {
  const std::string plan = "name: rename\noperations:\n  - rename_column: { table: things, from: worth, to: price }\n";
  for (const ValueCase& one : k_values) {
    INFO(one.name);
    for (const std::string phases : {"expand", "expand backfill"}) {
      Database database;
      database.exec(one.setup);
      database.exec(fmt::format(
          "create table things (id bigint primary key, worth {}, note text); insert into things values (1, '{}')",
          one.type, one.before));
      migrate(database, plan, phases);
      const auto after = [&](const std::string& sql) {
        database.exec("begin");
        database.exec(sql);
        const std::string row = database.rows("select worth::text, price::text from things");
        database.exec("rollback");
        return row;
      };
      const std::string both = database.value(
          fmt::format("select concat_ws('|', worth::text, worth::text) from (select '{}'::{} as worth) t", one.after,
                      one.type.substr(0, one.type.find(" collate"))));
      CHECK(after(fmt::format("update things set worth = '{}'", one.after)) == both);
      CHECK(after(fmt::format("update things set note = 'x'; update things set price = '{}'", one.after)) == both);
      CHECK(after(fmt::format("update things set price = '{}'", one.after)) == both);
      CHECK(after(fmt::format("delete from things; insert into things (id, worth, price) values (1, '{}', '{}')",
                              one.before, one.after)) == both);
      database.exec(fmt::format("update things set price = '{}'", one.after));
      migrate(database, plan, "backfill verify");
      // Verify compares by value, too.
      database.exec(fmt::format(
          "set session_replication_role = replica; update things set worth = '{}'; reset session_replication_role",
          one.before));
      CHECK(outcome_of([&] { migrate(database, plan, "verify"); }) == Outcome::differences_found);
    }
  }
}

TEST_CASE("names that differ in case only are kept apart under a collation that ignores case", "[sync][values]") {
  const std::string plan = R"yaml(
name: split
operations:
  - split_column:
      table: users
      column: full_name
      into:
        - { name: first_name, type: text, up: "split_part(full_name collate \"C\", ' ', 1)" }
        - { name: rest, type: text, up: "substr(full_name, length(split_part(full_name collate \"C\", ' ', 1)) + 2)" }
      down: "concat_ws(' ', first_name, rest)"
)yaml";
  Database database;
  database.exec(
      "create collation nocase (provider = icu, locale = 'und-u-ks-level2', deterministic = false); "
      "create table users (id bigint primary key, full_name text collate nocase not null); insert into users values "
      "(1, 'Ann Lee')");
  migrate(database, plan, "expand");
  database.exec("update users set full_name = 'ANN LEE'");
  CHECK(database.rows("select full_name, first_name, rest from users") == "ANN LEE|ANN|LEE");
  database.exec("update users set first_name = 'Ann', rest = 'Lee'");
  CHECK(database.rows("select full_name, first_name, rest from users") == "Ann Lee|Ann|Lee");
  database.exec("update users set full_name = 'Bea LU', first_name = 'Bea', rest = 'Lu'");
  CHECK(database.rows("select full_name, first_name, rest from users") == "Bea Lu|Bea|Lu");
  migrate(database, plan, "backfill verify");
  database.exec(
      "set session_replication_role = replica; update users set full_name = 'BEA LU'; reset session_replication_role");
  CHECK(outcome_of([&] { migrate(database, plan, "verify"); }) == Outcome::differences_found);
}

TEST_CASE("a change of length keeps the collation, and a change of case is a change", "[sync][values]") {
  const std::string plan = R"yaml(
name: shorten
operations:
  - alter_column: { table: users, column: name, type: varchar(20) }
)yaml";
  Database database;
  database.exec(
      "create collation nocase (provider = icu, locale = 'und-u-ks-level2', deterministic = false); "
      "create table users (id bigint primary key, name varchar(40) collate nocase); insert into users values (1, "
      "'Ann')");
  migrate(database, plan, "expand backfill");
  const std::string copy = database.value(
      "select quote_ident(attname) from pg_attribute where attrelid = 'users'::regclass and attname like "
      "'\\_ecmigrate%'");
  database.exec("update users set " + copy + " = 'ANN'");
  CHECK(database.rows("select name, " + copy + " from users") == "ANN|ANN");
  migrate(database, plan, "verify contract");
  CHECK(database.value("select collname from pg_attribute a join pg_collation c on c.oid = a.attcollation where "
                       "attrelid = 'users'::regclass and "
                       "attname = 'name'") == "nocase");
}

TEST_CASE("every change of type carries the values of both applications", "[sync][values]") {
  struct Change {
    std::string from, to, up, down, old_value, new_value, old_seen, new_seen;
  };
  const std::vector<Change> changes{
      {"integer", "bigint", "", "", "7", "8", "7", "8"},
      {"text", "integer", "n::integer", "n::text", "07", "8", "7", "8"},
      {"text", "text[]", "string_to_array(n, ',')", "array_to_string(n, ',')", "a,b", "{c,d}", "{a,b}", "c,d"},
      {"text", "jsonb", "to_json(n)", "n #>> '{}'", "x", "\"y\"", "\"x\"", "y"},
      {"timestamp", "timestamptz", "n at time zone 'utc'", "n at time zone 'utc'", "2020-01-01 00:00:00",
       "2021-01-01 00:00:00+00", "2020-01-01 00:00:00+00", "2021-01-01 00:00:00"},
      {"numeric", "numeric(6, 2)", "", "", "1.005", "2.5", "1.01", "2.50"},
      {"boolean", "text", "case when n then 'yes' when not n then 'no' end", "n = 'yes'", "true", "no", "yes", "f"},
  };
  for (const Change& change : changes) {
    INFO(change.from << " to " << change.to);
    const std::string plan =
        fmt::format("name: retype\noperations:\n  - alter_column: {{ table: things, column: n, type: \"{}\"{}{} }}\n",
                    change.to, change.up.empty() ? "" : ", up: \"" + change.up + "\"",
                    change.down.empty() ? "" : ", down: \"" + change.down + "\"");
    Database database;
    database.exec(
        fmt::format("set timezone = 'utc'; create table things (id bigint primary key, n {}); insert into things "
                    "values (1, '{}'), (2, null)",
                    change.from, change.old_value));
    migrate(database, plan, "expand");
    const std::string copy = database.value(
        "select quote_ident(attname) from pg_attribute where attrelid = 'things'::regclass and attname like "
        "'\\_ecmigrate\\_new%'");
    database.exec(
        fmt::format("insert into things (id, n) values (3, '{}'); insert into things (id, {}) values (4, '{}')",
                    change.old_value, copy, change.new_value));
    migrate(database, plan, "backfill verify");
    CHECK(database.value(fmt::format("select n from things where id = 4")) == change.new_seen);
    CHECK(database.rows(fmt::format("select {} from things where id < 4 order by id", copy)) ==
          change.old_seen + "\nnull\n" + change.old_seen);
    migrate(database, plan, "contract");
  }
}

}  // namespace ecmigrate::test
