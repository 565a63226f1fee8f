// Plans that ask for something ordinary and once were turned away.

#include "support/plain_ddl.hpp"

namespace ecmigrate::test {

namespace {

constexpr const char* k_table =
    "create type st as enum ('new', 'paid'); create table t (id int primary key, a int, s text not null, v "
    "varchar(10), "
    "g int generated always as (a * 2) stored); insert into t (id, a, s, v) select i, i, case when i % 2 = 0 then "
    "'new' "
    "else 'paid' end, 'new' from generate_series(1, 100) i;";

}  // namespace

TEST_CASE("a new column with a default, or without any value, may have a check", "[version]") {
  check_as_plain(
      k_table,
      "add_column: { table: t, column: { name: ver, type: int, default: \"1\", check: { name: c, constraint: "
      "ver > 0 } } }",
      "alter table t add ver int not null default 1 constraint c check (ver > 0)");
  check_as_plain(k_table,
                 "add_column: { table: t, column: { name: ver, type: int, nullable: true, check: { name: c, "
                 "constraint: ver > a } } }",
                 "alter table t add ver int constraint c check (ver > a)");
  check_expand_refused(k_table,
                       "add_column: { table: t, column: { name: ver, type: int, default: \"1\", check: { name: c, "
                       "constraint: ver > a } } }",
                       "violates \"c\"");
}

TEST_CASE("a generated column is dropped", "[version]") {
  check_as_plain(k_table, "drop_column: { table: t, column: g }", "alter table t drop g");
  Database database;
  database.exec(k_table);
  const Error error =
      error_of([&] { migrate(database, plan_of("drop_column: { table: t, column: g, down: \"1\" }"), "expand"); });
  CHECK(error.outcome() == Outcome::plan_invalid);
}

TEST_CASE("a list of texts becomes an enum, with the check that held it", "[version]") {
  for (const std::string check : {"check (s in ('new', 'paid'))", "check (s = 'new' or s = 'paid')",
                                  "check (s <> 'gone' and a > 0)", "check (length(s) > 2)"}) {
    INFO(check);
    Database database;
    database.exec(std::string(k_table) + "alter table t add constraint c " + check +
                  "; create index i on t (a) where s = 'new'");
    migrate(database, plan_of("alter_column: { table: t, column: s, type: st }"), "expand backfill verify contract");
    CHECK(database.value("select count(*) from pg_constraint where conname = 'c' and convalidated") == "1");
    CHECK(database.value("select count(*) from pg_index where indexrelid = 'i'::regclass and indpred is not null") ==
          "1");
    database.exec("insert into t (id, a, s) values (1000, 1, 'paid')");
  }
  Database database;
  database.exec(std::string(k_table) + "alter table t add constraint c check (v in ('new', 'paid'))");
  migrate(database, plan_of("alter_column: { table: t, column: v, type: st }"), "expand backfill verify contract");
}

TEST_CASE("two operations alter one column", "[version]") {
  const auto both = [](const std::string& first, const std::string& second) {
    return "name: both\noperations:\n  - alter_column: { table: t, column: a, " + first +
           " }\n  - alter_column: { table: t, column: a, " + second + " }\n";
  };
  const std::string setup = "create table t (id int primary key, a int); insert into t values (1, 1)";
  Database expected;
  expected.exec(setup + "; alter table t alter a type bigint, alter a set not null, alter a set default 7");
  Database database;
  database.exec(setup);
  migrate(database, both("type: bigint", "nullable: false, default: \"7\""), "expand backfill verify contract");
  CHECK(difference(database.schema(), expected.schema()) == "");
  Database other;
  other.exec(setup);
  const Error error = error_of([&] { migrate(other, both("type: bigint", "type: numeric"), "expand"); });
  CHECK(error.outcome() == Outcome::plan_invalid);
  CHECK_THAT(error.what(), Catch::Matchers::Contains("changes \"a\" already"));
}

TEST_CASE("a volatile up is taken with a warning that only filled rows can be told", "[version]") {
  Database database;
  database.exec(k_table);
  Recorder recorder;
  const std::string plan = plan_of(
      "alter_column: { table: t, column: s, type: text, up: \"s || '-' || random()\", down: \"split_part(s, '-', 1)\" "
      "}");
  migrate(database, plan, "expand backfill verify contract", &recorder);
  CHECK_THAT(recorder.warnings(), Catch::Matchers::Contains("only whether rows are filled"));
}

}  // namespace ecmigrate::test
