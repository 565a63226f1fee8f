// What somebody found who tried tables of his own: values that changed, things that vanished, requests that failed.
#include "ecmigrate/base/error.hpp"
#include "support/catch.hpp"
#include "support/fixtures.hpp"
#include "support/plain_ddl.hpp"
#include "support/server.hpp"

namespace ecmigrate::test {

TEST_CASE("a nullable column that is renamed keeps a default that is another value each time") {
  for (const std::string column : {"uuid default gen_random_uuid()", "timestamptz default clock_timestamp()",
                                   "text default md5(random()::text)", "numeric default 1"}) {
    INFO(column);
    Database expected;
    expected.exec("create table t (id int primary key, a " + column + "); alter table t rename a to b");
    Database database;
    database.exec("create table t (id int primary key, a " + column + ")");
    migrate(database, plan_of("rename_column: { table: t, from: a, to: b }"), "expand backfill verify contract");
    CHECK(difference(database.schema(), expected.schema()) == "");
  }
}

TEST_CASE("the default of a domain is nobody's value while two versions write") {
  const std::string setup =
      "create domain status as text default 'new'; create table t (id int primary key, st status, x text); insert into "
      "t values (1, 'sent', 'sent'), (2, null, null)";
  for (const std::string operation : {"rename_column: { table: t, from: st, to: state }",
                                      "alter_column: { table: t, column: x, name: state, type: status }"}) {
    INFO(operation);
    Database database;
    database.exec(setup);
    migrate(database, plan_of(operation), "expand");
    database.exec(
        "insert into t (id, st, x) values (3, 'paid', 'paid'); update t set st = 'gone', x = 'gone' where id = 1");
    migrate(database, plan_of(operation), "backfill verify contract");
    CHECK(database.rows("select id, state from t order by id") == "1|gone\n2|null\n3|paid");
    database.exec("insert into t (id) values (4)");
    CHECK(database.value("select state from t where id = 4") == "new");
  }
}

TEST_CASE("a domain over a type with a length does not cut either") {
  for (const std::string type : {"varchar(5)", "char(3)"}) {
    INFO(type);
    Database database;
    database.exec("create domain short as " + type +
                  "; create table t (id int primary key, a text, b int); insert into t values (1, 'abcdefghij', 1)");
    const std::string plan =
        "name: cut\noperations:\n  - alter_column: { table: t, column: a, type: short }\n  - alter_column: { table: t, "
        "column: b, type: bigint }\n";
    const Error error = error_of([&] { migrate(database, plan, "expand"); });
    CHECK(error.outcome() == Outcome::refused);
    CHECK_THAT(error.what(), Catch::Matchers::Contains("too long"));
  }
}

TEST_CASE("what a partition has of its own is asked for before a type change loses it") {
  for (const std::string own :
       {"create index only_here on p1 (v)", "alter table p1 add constraint only_here check (v > 0)",
        "alter table p1 add constraint only_here unique (v)", "alter table p1 alter v set default 7",
        "alter table p1 alter v set not null"}) {
    INFO(own);
    Database database;
    database.exec(
        "create table t (id int primary key, v int) partition by range (id); create table p1 partition of t for values "
        "from (0) to (100); " +
        own + "; insert into t values (1, 1)");
    const std::string plan = plan_of("alter_column: { table: t, column: v, type: bigint }");
    Recorder recorder;
    migrate(database, plan, "expand backfill verify", &recorder);
    CHECK_THAT(recorder.warnings(), Catch::Matchers::Contains("contract would also drop"));
    const Error error = error_of([&] { migrate(database, plan, "contract"); });
    CHECK(error.outcome() == Outcome::refused);
    CHECK_THAT(error.what(), Catch::Matchers::Contains("p1") || Catch::Matchers::Contains("only_here"));
  }
}

TEST_CASE("an up that raises for the old column's default is refused, whatever the rows hold") {
  Database database;
  database.exec("create table t (id int primary key, st text default 'n/a'); insert into t values (1, '5')");
  const Error error = error_of([&] {
    migrate(
        database,
        plan_of("split_column: { table: t, column: st, into: [{ name: n, type: int, nullable: true, up: \"st::int\" "
                "}], down: \"n::text\" }"),
        "expand");
  });
  CHECK(error.outcome() == Outcome::refused);
  CHECK_THAT(error.what(), Catch::Matchers::Contains("default") && Catch::Matchers::Contains("n/a"));
}

TEST_CASE("the index that is a table's replica identity does not go with its column unasked") {
  Database database;
  database.exec(
      "create table t (id int primary key, a int not null, b int); create unique index a_key on t (a); alter table t "
      "replica identity using index a_key");
  const std::string plan = plan_of("drop_column: { table: t, column: a, down: \"0\" }");
  migrate(database, plan, "expand backfill verify");
  const Error error = error_of([&] { migrate(database, plan, "contract"); });
  CHECK(error.outcome() == Outcome::refused);
  CHECK_THAT(error.what(), Catch::Matchers::Contains("a_key"));
}

TEST_CASE("a field of a composite column needs no right that the application has not") {
  Database database;
  const std::string role = database.name() + "_app";
  database.exec(
      "create type addr as (street text, zip text); create table t (id int primary key, home addr); create role " +
      role + " login; grant select, insert, update on t to " + role);
  migrate(
      database,
      plan_of("add_column: { table: t, up: \"(home).street\", column: { name: street, type: text, nullable: true } }"),
      "expand backfill verify contract");
  database.exec("drop owned by " + role + "; drop role " + role);
}

TEST_CASE("an old application that copies a whole row keeps its value, and a new one its null") {
  Database database;
  database.exec(
      "create table t (id int primary key, st text default 'new'); insert into t values (1, 'sent'); create function "
      "copy_of(a int, b int) returns void language plpgsql as $$ declare r t; begin select * into r from t where id = "
      "a; "
      "r.id := b; insert into t values (r.*); end $$");
  migrate(database, plan_of("rename_column: { table: t, from: st, to: state }"), "expand");
  database.exec("select copy_of(1, 2)");
  database.exec("insert into t (id, state) values (3, null); insert into t (id) values (4)");
  database.exec("insert into t select * from jsonb_populate_record(null::t, '{\"id\": 5, \"st\": \"paid\"}')");
  migrate(database, plan_of("rename_column: { table: t, from: st, to: state }"), "backfill verify contract");
  CHECK(database.rows("select id, state from t order by id") == "1|sent\n2|sent\n3|null\n4|new\n5|paid");
}

TEST_CASE("a table that was dropped meanwhile can be left behind, and one that was renamed is named") {
  const std::string plan =
      "name: two\noperations:\n  - rename_column: { table: a, from: v, to: w }\n  - rename_column: { table: b, from: "
      "v, "
      "to: w }\n";
  Database database;
  database.exec("create table a (id int primary key, v int); create table b (like a including all)");
  migrate(database, plan, "expand backfill");
  database.exec("alter table b rename to c");
  const Error renamed = error_of([&] { migrate(database, plan, "rollback"); });
  CHECK(renamed.outcome() == Outcome::refused);
  CHECK_THAT(renamed.what(), Catch::Matchers::Contains("b is c now"));
  database.exec("drop table c");
  for (const char* phase : {"verify", "backfill"}) {
    const Error gone = error_of([&] { migrate(database, plan, phase); });
    CHECK(gone.outcome() == Outcome::refused);
    CHECK_THAT(gone.hint(), Catch::Matchers::Contains("rollback"));
  }
  migrate(database, plan, "rollback");
  CHECK(database.value("select state from ecmigrate.migrations") == "rolled_back");
  CHECK(database.value("select count(*) from pg_trigger where not tgisinternal") == "0");
  CHECK(database.value("select count(*) from pg_proc where pronamespace = 'ecmigrate'::regnamespace") == "0");
  database.exec("create table b (like a including all)");
  migrate(database, plan, "expand backfill verify contract");
  CHECK(database.value("select count(*) from pg_proc where pronamespace = 'ecmigrate'::regnamespace") == "0");
}

TEST_CASE("a null of the old application in a column that goes is a null, where a default serves the new one") {
  Database database;
  database.exec("create table t (id int primary key, zip text default '00000'); insert into t values (1, '1')");
  const std::string plan = plan_of("drop_column: { table: t, column: zip, down: \"'none'\" }");
  Recorder recorder;
  migrate(database, plan, "expand", &recorder);
  CHECK_THAT(recorder.warnings(), Catch::Matchers::Contains("has a default"));
  database.exec("insert into t values (2, null); insert into t (id) values (3)");
  CHECK(database.rows("select id, zip from t order by id") == "1|1\n2|null\n3|00000");
}

TEST_CASE("a table that a new foreign key pointed at and that was dropped does not stop rollback") {
  const std::string plan =
      plan_of("alter_column: { table: orders, column: customer, references: { name: fk, table: people, column: id } }");
  Database database;
  database.exec("create table people (id int primary key); create table orders (id int primary key, customer int)");
  migrate(database, plan, "expand");
  database.exec("drop table people cascade");
  migrate(database, plan, "rollback");
  CHECK(database.value("select state from ecmigrate.migrations") == "rolled_back");
}

TEST_CASE("a role that has gone with its grant does not stop contract") {
  Database database;
  const std::string role = database.name() + "_old";
  const std::string plan = plan_of("rename_column: { table: t, from: a, to: b }");
  database.exec("create table t (id int primary key, a text); create role " + role + "; grant select (a) on t to " +
                role);
  migrate(database, plan, "expand backfill verify");
  database.exec("drop owned by " + role + "; drop role " + role);
  migrate(database, plan, "contract");
  CHECK(database.value("select state from ecmigrate.migrations") == "contracted");
}

TEST_CASE("a collation is not dropped from a type in silence") {
  Database database;
  database.exec("create table t (id int primary key, a text)");
  const Error error = error_of([&] {
    migrate(database,
            plan_of("add_column: { table: t, column: { name: b, type: 'text collate \"C\"', nullable: true } }"),
            "expand");
  });
  CHECK(error.outcome() == Outcome::plan_invalid);
}

}  // namespace ecmigrate::test
