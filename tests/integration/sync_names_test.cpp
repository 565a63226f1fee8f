// Any legal identifier, in every phase.
#include <fmt/format.h>

#include <algorithm>

#include "ecmigrate/base/quote.hpp"
#include "sync_cases.hpp"

namespace ecmigrate::test {

namespace {

std::string yaml(const std::string& text) {
  std::string quoted = "\"";
  for (const char c : text) {
    quoted += c == '"' || c == '\\' ? std::string("\\") + c : std::string(1, c);
  }
  return quoted + '"';
}

struct Names {
  std::string plan = "split";
  std::string table = "users";
  std::string key = "id";
  std::string old = "full_name";
  std::string first = "first_name";
  std::string last = "last_name";
  std::string greeting = "greeting";
};

std::string plan_of(const Names& names) {
  const std::string old = quote_identifier(names.old);
  const std::string first = quote_identifier(names.first);
  return fmt::format(
      R"yaml(
name: {}
operations:
  - split_column:
      table: {}
      column: {}
      into:
        - {{ name: {}, type: text, up: {} }}
        - {{ name: {}, type: text, nullable: true, up: {} }}
      down: {}
  - alter_column: {{ table: {}, column: {}, type: bigint }}
  - add_column: {{ table: {}, up: {}, column: {{ name: {}, type: text }} }}
)yaml",
      yaml(names.plan), yaml(names.table), yaml(names.old), yaml(names.first), yaml("split_part(" + old + ", ' ', 1)"),
      yaml(names.last), yaml(fmt::format("substr({}, length(split_part({}, ' ', 1)) + 2)", old, old)),
      yaml(fmt::format("concat_ws(' ', {}, {})", first, quote_identifier(names.last))), yaml(names.table),
      yaml(names.key), yaml(names.table), yaml(fmt::format("'Dear ' || {}", first)), yaml(names.greeting));
}

/// Names of everything that the migration has made, wherever.
constexpr const char* k_objects = R"(
select name from (
  select attname::text as name from pg_attribute a join pg_class c on c.oid = a.attrelid where c.relnamespace = 'public'::regnamespace and attnum > 0
  union all select tgname from pg_trigger union all select conname from pg_constraint where connamespace = 'public'::regnamespace
  union all select proname from pg_proc where pronamespace = 'ecmigrate'::regnamespace) n)";

void whole_cycle(const Names& names) {
  INFO("plan " << names.plan << " table " << names.table << " columns " << names.key << ", " << names.old << ", "
               << names.first << ", " << names.last);
  Database database;
  const std::string table = "public." + quote_identifier(names.table);
  const auto column = [](const std::string& name) { return quote_identifier(name); };
  database.exec(
      fmt::format("create table {0} ({1} integer primary key, {2} text not null, other text); insert into {0} select "
                  "i, 'Ann' || i || ' Lee' from generate_series(1, 9) i",
                  table, column(names.key), column(names.old)));
  const std::string before = database.schema();
  const std::string plan = plan_of(names);
  migrate(database, plan, "expand rollback");
  CHECK(database.schema() == before);
  migrate(database, plan, "expand");
  CHECK(database.value(fmt::format("select count(*) from ({}) o where octet_length(name) > 63", k_objects)) == "0");
  database.exec(fmt::format("update {} set {} = 'Bea Lu' where {} = 1", table, column(names.old), column(names.key)));
  database.exec(fmt::format("update {} set {} = 'Cleo' where {} = 2", table, column(names.first), column(names.key)));
  database.exec(fmt::format("insert into {} ({}, {}, {}) values (11, 'Dan', 'Ox')", table, column(names.key),
                            column(names.first), column(names.last)));
  migrate(database, plan, "backfill verify");
  database.exec(fmt::format("update {} set {} = 'Eve', {} = 'Ry' where {} = 3", table, column(names.first),
                            column(names.last), column(names.key)));
  database.exec(
      fmt::format("insert into {} ({}, {}) values (12, 'Flo Sy')", table, column(names.key), column(names.old)));
  CHECK(database.rows(fmt::format("select {0}, {1}, {2}, {3} from {4} where {5} in (1, 2, 3, 4, 11, 12) order by {5}",
                                  column(names.old), column(names.first), column(names.last), column(names.greeting),
                                  table, column(names.key))) ==
        "Bea Lu|Bea|Lu|Dear Bea\nCleo Lee|Cleo|Lee|Dear Cleo\nEve Ry|Eve|Ry|Dear Eve\nAnn4 Lee|Ann4|Lee|Dear Ann4\nDan "
        "Ox|Dan|Ox|Dear Dan\nFlo Sy|Flo|Sy|Dear Flo");
  migrate(database, plan, "verify contract");
  CHECK(database.rows(fmt::format("select {}, {}, pg_typeof({}) from {} where {} = 3", column(names.first),
                                  column(names.last), column(names.key), table, column(names.key))) == "Eve|Ry|bigint");
  CHECK(database.value("select count(*) from pg_attribute a join pg_class c on c.oid = a.attrelid where relkind = 'r' "
                       "and attname like '\\_ecmigrate%' and not attisdropped") == "0");
}

}  // namespace

TEST_CASE("tables named as the trigger's own words go through every phase", "[sync][names]") {
  for (const std::string table :
       {"new", "old", "this", "select", "follows", "found", "tg_op", "user", "order", "ecmigrate"}) {
    whole_cycle({.table = table});
  }
}

TEST_CASE("columns named as the trigger's own words go through every phase", "[sync][names]") {
  for (const std::string name : {"this", "new", "old", "follows", "select", "found", "tg_op", "value"}) {
    whole_cycle({.old = name});
    whole_cycle({.first = name});
    whole_cycle({.key = name});
  }
  whole_cycle({.table = "this", .key = "this", .old = "new", .first = "old", .last = "follows", .greeting = "select"});
  whole_cycle({.table = "new", .key = "new", .old = "this", .first = "follows", .last = "old", .greeting = "found"});
}

TEST_CASE("quotes, capitals, blanks, signs and other scripts in every name", "[sync][names][unicode]") {
  whole_cycle({.plan = "Split \"it\" 'now'",
               .table = "Customer Data",
               .key = "I D",
               .old = "Full \"Name\"",
               .first = "First 'Name'",
               .last = "last%s {} $1",
               .greeting = "GREET ing"});
  whole_cycle({.plan = "größe: 1",
               .table = "übung \"ß\"",
               .key = "番号",
               .old = "フルネーム",
               .first = "имя",
               .last = "🙂",
               .greeting = "a.b"});
  whole_cycle({.plan = "$sync$",
               .table = "$sync$",
               .key = "$guard$",
               .old = "a\\b",
               .first = "--",
               .last = "/*",
               .greeting = ";"});
}

TEST_CASE("names of 63 bytes, and names that share their first 60 bytes, stay apart", "[sync][names][unicode]") {
  const std::string stem(60, 'n');
  whole_cycle({.plan = std::string(63, 'p'),
               .table = std::string(63, 't'),
               .key = stem + "key",
               .old = stem + "old",
               .first = stem + "one",
               .last = stem + "two",
               .greeting = stem + "thr"});
  std::string characters;  // 62 bytes, of which the middle of a character falls on every cut
  for (int i = 0; i < 31; ++i) {
    characters += "ß";
  }
  whole_cycle({.plan = characters,
               .table = characters + "t",
               .key = characters + "k",
               .old = characters + "o",
               .first = characters + "1",
               .last = characters + "2",
               .greeting = characters + "g"});
}

TEST_CASE("unique constraints and indexes of columns that share their first 60 bytes do not collide", "[sync][names]") {
  const std::string stem(60, 'n');
  const std::string plan = fmt::format(R"yaml(
name: long
operations:
  - add_column: {{ table: {0}, up: "id", column: {{ name: {1}one, type: bigint, unique: true }} }}
  - add_column: {{ table: {0}, up: "id + 1", column: {{ name: {1}two, type: bigint, unique: true }} }}
  - alter_column: {{ table: {0}, column: {1}old, type: bigint }}
)yaml",
                                       std::string(63, 't'), stem);
  Database database;
  database.exec(
      fmt::format("create table {0} (id bigint primary key, {1}old integer unique); insert into {0} select i, i from "
                  "generate_series(1, 50) i",
                  std::string(63, 't'), stem));
  const std::string before = database.schema();
  migrate(database, plan, "expand backfill verify rollback");
  CHECK(database.schema() == before);
  migrate(database, plan, "expand backfill verify contract");
  CHECK(database.value(
            "select count(*) from pg_constraint where contype = 'u' and connamespace = 'public'::regnamespace") == "3");
}

TEST_CASE("two plans on two tables of the same name in two schemas have triggers and functions of their own",
          "[sync][names]") {
  Database database;
  database.exec(
      "create schema crm; create table crm.users (id bigint primary key, a text); create table users (id bigint "
      "primary key, a text); "
      "insert into crm.users values (1, 'x'); insert into users values (1, 'y')");
  const auto plan = [](const std::string& name, const std::string& schema) {
    return fmt::format("name: {}\nschema: {}\noperations:\n  - rename_column: {{ table: users, from: a, to: b }}\n",
                       name, schema);
  };
  migrate(database, plan("one", "public"), "expand");
  migrate(database, plan("two", "crm"), "expand");
  database.exec("update users set a = 'y2'; update crm.users set b = 'x2'");
  CHECK(database.rows("select u.a, u.b, c.a, c.b from users u, crm.users c") == "y2|y2|x2|x2");
  migrate(database, plan("one", "public"), "backfill verify contract");
  database.exec("update crm.users set a = 'x3'");
  CHECK(database.rows("select b from crm.users") == "x3");
  migrate(database, plan("two", "crm"), "backfill verify contract");
}

}  // namespace ecmigrate::test
