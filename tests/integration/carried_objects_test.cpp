// What hangs on a column that is renamed or gets another type: indexes, constraints and privileges of every sort.

#include <filesystem>

#include "support/plain_ddl.hpp"

namespace ecmigrate::test {

namespace {

const std::string k_to_bigint = "alter_column: { table: t, column: a, type: bigint }";
const std::string k_rename = "rename_column: { table: t, from: a, to: b }";

/// How many unique indexes the copy of a column has, by the copy's name.
std::string unique_on_copies(Database& database) {
  return database.value(
      "select count(*) from pg_index x join pg_attribute a on a.attrelid = x.indrelid and a.attnum = any(x.indkey) "
      "where "
      "x.indrelid = 't'::regclass and x.indisunique and (a.attname = 'b' or a.attname like '\\_ecmigrate%')");
}

}  // namespace

TEST_CASE("a foreign key that sets some of its columns null is carried to a new type") {
  Database database;
  if (database.value("select current_setting('server_version_num')::int >= 150000") == "t") {
    check_as_plain(
        "create table r (x int, y int, primary key (x, y)); insert into r values (1, 1); create table t (id int "
        "primary "
        "key, a int, c int, constraint k foreign key (a, c) references r on delete set null (a)); insert into t values "
        "(1, 1, 1)",
        k_to_bigint, "alter table t alter a type bigint");
    check_as_plain(
        "create table r (x int, y int, primary key (x, y)); create table t (id int primary key, a int default 1, c "
        "int, "
        "constraint k foreign key (c, a) references r match simple on update cascade on delete set default (a, c) "
        "deferrable initially deferred)",
        k_to_bigint, "alter table t alter a type bigint");
  }
  check_as_plain(
      "create table r (x int, y int, primary key (x, y)); create table t (id int primary key, a int, c int, constraint "
      "k "
      "foreign key (a, c) references r match full on update set null on delete restrict)",
      k_to_bigint, "alter table t alter a type bigint");
}

TEST_CASE("an index keeps its tablespace through a change of type", "[version]") {
  OwnServer own("allow_in_place_tablespaces=on");
  Database database(own.conninfo());
  if (database.value("select current_setting('server_version_num')::int < 150000") == "t") {
    return;
  }
  database.exec("create tablespace test_space location ''");
  database.exec(
      "create table t (id int primary key, a int not null, note text); create index i on t (a) tablespace test_space; "
      "create index j on t (a, note) with (fillfactor = 70) tablespace test_space where note <> ' WHERE (' and a > 0; "
      "alter table t add constraint k unique (a) using index tablespace test_space; insert into t select i, i, 'x' "
      "from "
      "generate_series(1, 100) i");
  migrate(database, plan_of(k_to_bigint), "expand backfill verify contract");
  CHECK(database.rows("select indexname, tablespace from pg_indexes where tablename = 't' order by 1") ==
        "i|test_space\nj|test_space\nk|test_space\nt_pkey|null");
}

TEST_CASE("an index that is invalid is not copied") {
  for (const std::string& operation : {k_rename, k_to_bigint}) {
    Database database;
    database.exec(
        "create table t (id int primary key, a int not null); insert into t select i, i % 90 from "
        "generate_series(1, 100) i");
    CHECK_THROWS_AS(database.exec("create unique index concurrently t_a on t (a)"), Error);
    Recorder recorder;
    migrate(database, plan_of(operation), "expand backfill verify contract", &recorder);
    CHECK_THAT(recorder.warnings(), Catch::Matchers::Contains("\"t_a\" is invalid"));
  }
}

TEST_CASE("privileges given on the new name while both are there are not lost with its column", "[version]") {
  Database database;
  database.exec(
      "do $$ begin create role test_reader; exception when duplicate_object then null; end $$; create table t (id int "
      "primary key, a text); insert into t values (1, 'x')");
  migrate(database, plan_of(k_rename), "expand");
  database.exec(
      "grant select (id, b), update (b) on t to test_reader; grant references (b) on t to test_reader with grant "
      "option");
  migrate(database, plan_of(k_rename), "backfill verify contract");
  database.exec("set role test_reader; update t set b = 'y' where id = 1; reset role");
  CHECK(database.value("select attacl::text from pg_attribute where attrelid = 't'::regclass and attname = 'b'")
            .find("test_reader=rwx*/") != std::string::npos);
}

TEST_CASE("the copy of a deferrable constraint stops no swap that the constraint allows", "[version]") {
  const std::string swap =
      "begin; update t set a = 2 where id = 1; update t set a = 1 where id = 2; commit; begin; update t set a = 1 "
      "where "
      "id = 1; update t set a = 2 where id = 2; commit";
  for (const std::string& operation :
       {k_to_bigint, k_rename, std::string("alter_column: { table: t, column: a, name: b, type: bigint }")}) {
    INFO(operation);
    Database database;
    database.exec(
        "create table t (id int primary key, a int not null, constraint k unique (a) deferrable initially deferred); "
        "insert into t select i, i from generate_series(1, 100) i");
    for (const char* phase : {"expand", "backfill", "verify"}) {
      migrate(database, plan_of(operation), phase);
      CHECK_NOTHROW(database.exec(swap));
    }
    migrate(database, plan_of(operation), "contract");
    CHECK(database.value("select condeferrable and condeferred from pg_constraint where conname = 'k'") == "t");
  }
}

TEST_CASE("the unique index of a copy that nobody names is built when contract begins", "[version]") {
  Database database;
  database.exec(
      "create table t (id int primary key, a int not null unique); insert into t select i, i from "
      "generate_series(1, 100) i");
  Recorder recorder;
  migrate(database, plan_of(k_to_bigint), "expand backfill verify", &recorder);
  CHECK(unique_on_copies(database) == "0");
  CHECK(recorder.warnings().find("ON CONFLICT") == std::string::npos);
  migrate(database, plan_of(k_to_bigint), "contract");
  CHECK(database.value("select count(*) from pg_index where indrelid = 't'::regclass and indisunique") == "2");
}

TEST_CASE("what contract builds first and cannot leaves the way back open", "[version]") {
  Database database;
  database.exec(
      "create extension if not exists citext; create table t (id int primary key, a text not null unique); "
      "insert into t select i, 'v' || i from generate_series(1, 100) i");
  const std::string start = database.schema();
  const std::string plan = plan_of("alter_column: { table: t, column: a, type: citext }");
  migrate(database, plan, "expand backfill verify");
  database.exec("insert into t values (101, 'V7')");
  CHECK_THROWS_AS(migrate(database, plan, "contract"), Error);
  CHECK(database.value("select count(*) from pg_index where not indisvalid") == "0");
  migrate(database, plan, "rollback");
  CHECK(database.schema() == start);
}

TEST_CASE("two unique indexes of one value are named to those who use ON CONFLICT") {
  Database database;
  database.exec("create table t (id int primary key, a int not null unique)");
  Recorder recorder;
  migrate(database, plan_of(k_rename), "expand", &recorder);
  CHECK_THAT(recorder.warnings(), Catch::Matchers::Contains("ON CONFLICT (a)"));
  CHECK_THAT(recorder.warnings(), Catch::Matchers::Contains("\"t_a_key\""));
}

TEST_CASE("a default may end in a comment") {
  check_as_plain("create table t (id int primary key, a int)",
                 "alter_column: { table: t, column: a, default: \"5 -- five\" }",
                 "alter table t alter a set default 5");
  check_as_plain("create table t (id int primary key, a int)",
                 "alter_column: { table: t, column: a, type: bigint, default: \"5 -- five\" }",
                 "alter table t alter a type bigint, alter a set default 5");
}

}  // namespace ecmigrate::test
