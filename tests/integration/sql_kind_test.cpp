#include "support/plain_ddl.hpp"

namespace ecmigrate::test {

namespace {

/// What the SQL of the plan under test has done, in order.
constexpr const char* k_log = "create table log (n int generated always as identity, what text)";
constexpr const char* k_done = "select string_agg(what, ',' order by n) from log";

/// An operation whose parts each write one word.
std::string words(const std::string& parts) {
  std::string fields;
  for (std::size_t at = 0; at < parts.size();) {
    const std::size_t end = std::min(parts.find(' ', at), parts.size());
    const std::string key = parts.substr(at, end - at);
    fields += (fields.empty() ? "" : ", ") + key + ": \"insert into log (what) values ('" + key + "')\"";
    at = end + 1;
  }
  return "sql: { " + fields + " }";
}

}  // namespace

TEST_CASE("each part of sql runs in its phase, exactly once") {
  struct Case {
    std::string operation;
    const char* phases;
    const char* done;
  };
  for (const Case& one :
       {Case{words("up down"), "expand", "up"}, Case{words("up down"), "expand backfill verify contract", "up"},
        Case{words("up down"), "expand backfill rollback", "up,down"}, Case{words("up"), "expand rollback", "up"},
        Case{words("expand contract rollback"), "expand backfill verify", "expand"},
        Case{words("expand contract rollback"), "expand backfill verify contract", "expand,contract"},
        Case{words("expand contract rollback"), "expand backfill verify rollback", "expand,rollback"},
        Case{words("contract"), "expand backfill verify contract", "contract"},
        Case{"sql: { up: \"insert into log (what) values ('late')\", onComplete: true }", "expand backfill verify",
             "null"},
        Case{"sql: { up: \"insert into log (what) values ('late')\", onComplete: true }",
             "expand backfill verify contract", "late"}}) {
    INFO(one.operation << " " << one.phases);
    Database database;
    database.exec(k_log);
    std::istringstream phases(one.phases);
    for (std::string phase; phases >> phase;) {
      migrate(database, plan_of(one.operation), phase);
      migrate(database, plan_of(one.operation), phase);
    }
    CHECK(database.value(k_done) == one.done);
  }
}

TEST_CASE("several sql operations run in the plan's order and are undone in the opposite one") {
  Database database;
  database.exec(k_log);
  const std::string plan = R"yaml(
name: three
operations:
  - sql: { up: "insert into log (what) values ('a')", down: "insert into log (what) values ('-a')" }
  - sql: { up: "insert into log (what) values ('b')", down: "insert into log (what) values ('-b')" }
  - sql: { up: "insert into log (what) values ('c')", down: "insert into log (what) values ('-c')" }
)yaml";
  migrate(database, plan, "expand backfill verify rollback");
  CHECK(database.value(k_done) == "a,b,c,-c,-b,-a");
}

TEST_CASE("sql of contract may remove what needs the column that the next operation drops") {
  const std::string plan = R"yaml(
name: v_and_a
operations:
  - sql: { contract: "drop view v" }
  - drop_column: { table: t, column: a }
)yaml";
  SECTION("and it is gone before the column") {
    Database database;
    database.exec("create table t (id int primary key, a text, b text); create view v as select id, a from t");
    migrate(database, plan, "expand backfill verify contract");
    CHECK(database.value("select count(*) from pg_attribute where attrelid = 't'::regclass and attname = 'a'") == "0");
  }
  SECTION("but what it leaves still refuses, and nothing has run") {
    Database database;
    database.exec(
        "create table t (id int primary key, a text, b text); create view v as select id, a from t; create view w as "
        "select a from t");
    migrate(database, plan, "expand backfill verify");
    const Error error = error_of([&] { migrate(database, plan, "contract"); });
    CHECK(error.outcome() == Outcome::refused);
    CHECK_THAT(error.what(), Catch::Matchers::Contains("view w (needs t.a)") && !Catch::Matchers::Contains("view v"));
    CHECK(database.value("select to_regclass('v') is not null") == "t");
  }
}

TEST_CASE("an error inside sql undoes all of that sql, and the next run begins it again") {
  Database database;
  database.exec(k_log);
  const std::string plan = plan_of(
      "sql: { up: \"insert into log (what) values ('first'); create table made (); insert into ready values (1)\" }");
  const Error error = error_of([&] { migrate(database, plan, "expand"); });
  CHECK(error.outcome() == Outcome::failed);
  CHECK_THAT(error.what(), Catch::Matchers::Contains("sql of operation 1") && Catch::Matchers::Contains("ready"));
  CHECK(database.value(k_done) == "null");
  CHECK(database.value("select count(*) from pg_class where relname = 'made'") == "0");
  database.exec("create table ready (i int)");
  migrate(database, plan, "expand");
  CHECK(database.value(k_done) == "first");
  CHECK(database.value("select count(*) from ready") == "1");
}

TEST_CASE("sql is begun once even where the answer to its commit was lost") {
  Database database;
  database.exec(k_log);
  const pg::CallHook killed = [](pg::CallMoment moment, int, std::string_view sql) {
    if (moment == pg::CallMoment::after && sql.find("insert into log") != std::string_view::npos &&
        sql.find("'granted'") != std::string_view::npos) {
      throw std::runtime_error("killed");
    }
  };
  CHECK_THROWS_WITH(migrate(database, plan_of(words("up down")), "expand", nullptr, {}, killed), "killed");
  migrate(database, plan_of(words("up down")), "expand");
  CHECK(database.value(k_done) == "up");
}

TEST_CASE("sql may end in a semicolon or a comment, and may hold quotes of every sort") {
  for (const std::string sql :
       {"insert into log (what) values ('done');", "insert into log (what) values ('done') -- and that is all",
        "insert into log (what) values ('done'); /* that is all */",
        "do $x$ begin insert into log (what) values ('do' || 'ne'); end $x$",
        "insert into log (what) values (e'\\144one')"}) {
    INFO(sql);
    Database database;
    database.exec(k_log);
    migrate(database, "name: one\noperations:\n  - sql:\n      up: |\n        " + sql + "\n",
            "expand backfill verify contract");
    CHECK(database.value(k_done) == "done");
  }
}

TEST_CASE("sql that ends its own transaction is an error, as it could not be run exactly once") {
  for (const std::string sql : {"insert into log (what) values ('a'); commit; insert into log (what) values ('b')",
                                "insert into log (what) values ('a'); rollback; insert into log (what) values ('b')"}) {
    INFO(sql);
    Database database;
    database.exec(k_log);
    const Error error = error_of([&] { migrate(database, plan_of("sql: { up: \"" + sql + "\" }"), "expand"); });
    CHECK(error.outcome() == Outcome::failed);
    CHECK(database.value(k_done) == "null");
  }
}

TEST_CASE("parts of sql that exclude each other are complaints about the plan") {
  for (const std::string fields :
       {"up: select 1, contract: select 2", "down: select 1", "up: select 1, down: select 2, onComplete: true",
        "contract: select 1, rollback: select 2"}) {
    INFO(fields);
    Database database;
    const Error error = error_of([&] { migrate(database, plan_of("sql: { " + fields + " }"), "expand"); });
    CHECK(error.outcome() == Outcome::plan_invalid);
    CHECK(database.value("select count(*) from pg_namespace where nspname = 'ecmigrate'") == "0");
  }
}

TEST_CASE("sql runs where it stands among the operations, in every phase", "[version]") {
  Database database;
  database.exec(std::string(k_log) + "; create table t (id int primary key, a text)");
  const std::string columns =
      "insert into log (what) select string_agg(attname, '+' order by attnum) from pg_attribute where attrelid = "
      "'t'::regclass and attnum > 0 and not attisdropped";
  const std::string plan = "name: order\noperations:\n  - sql: { expand: \"" + columns + "\", contract: \"" + columns +
                           "\" }\n  - rename_column: { table: t, from: a, to: b }\n  - sql: { expand: \"" + columns +
                           "\", contract: \"" + columns + "\" }\n";
  migrate(database, plan, "expand backfill verify contract");
  CHECK(database.value(k_done) == "id+a,id+a+b,id+a+b,id+b");
}

TEST_CASE("an expression may use what an earlier sql makes", "[version]") {
  const std::string plan = R"yaml(
name: made
operations:
  - sql:
      expand: "create function slug(t text) returns text immutable language sql as $$ select lower(t) $$"
      rollback: "drop function slug(text)"
  - add_column: { table: t, up: "slug(title)", column: { name: slug, type: text, nullable: false } }
)yaml";
  Database database;
  database.exec("create table t (id int primary key, title text); insert into t values (1, 'One')");
  migrate(database, plan, "expand");
  database.exec("insert into t values (2, 'Two')");
  migrate(database, plan, "backfill verify rollback");
  CHECK(database.value("select count(*) from pg_proc where proname = 'slug'") == "0");
  migrate(database, plan, "expand backfill verify contract");
  CHECK(database.rows("select slug from t order by id") == "one\ntwo");
}

TEST_CASE("sql between two operations on one table is refused, as these are done together") {
  Database database;
  database.exec("create table t (id int primary key)");
  const Error error = error_of([&] {
    migrate(database, R"yaml(
name: between
operations:
  - add_column: { table: t, column: { name: a, type: text, nullable: true } }
  - sql: { expand: "select 1" }
  - add_column: { table: t, column: { name: b, type: text, nullable: true } }
)yaml",
            "expand");
  });
  CHECK(error.outcome() == Outcome::plan_invalid);
  CHECK_THAT(error.what(), Catch::Matchers::Contains("operation 2 is `sql` between operations on \"t\""));
}

}  // namespace ecmigrate::test
