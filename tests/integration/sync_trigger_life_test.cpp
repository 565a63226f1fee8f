#include "support/plain_ddl.hpp"

namespace ecmigrate::test {

namespace {

constexpr const char* k_table =
    "create table t (id int primary key, a int); insert into t select i, i from generate_series(1, 20) i";
constexpr const char* k_parts =
    "create table t (id int, a int, primary key (id)) partition by range (id);"
    "create table t1 partition of t for values from (0) to (11); create table t2 partition of t for values from (11) "
    "to "
    "(100); insert into t select i, i from generate_series(1, 20) i";
constexpr const char* k_plan = R"yaml(
name: one
operations:
  - alter_column: { table: t, column: a, name: b, type: bigint, up: "a * 10", down: "b / 10" }
)yaml";

RunOptions repair(RunOptions::Side side) {
  RunOptions options;
  options.repair_pending = true;
  options.repair = side;
  return options;
}

std::string state(Database& database) {
  return database.value("select state from ecmigrate.migrations");
}

/// All triggers of the migration, by what `action` does to each: `%s` is the relation, then the trigger.
std::string for_triggers(const std::string& action, const std::string& relations = "true") {
  return "do $$ declare r record; begin for r in select tgrelid::regclass as t, tgname from pg_trigger where not "
         "tgisinternal and tgname like '%ecmigrate%' and (" +
         relations + ") and tgparentid = 0 loop execute format('" + action + "', r.t, r.tgname); end loop; end $$";
}

}  // namespace

TEST_CASE("rollback does not drop what the new version wrote past a trigger that is off", "[version]") {
  Database database;
  database.exec(k_table);
  migrate(database, k_plan, "expand backfill verify");
  const bool again = GENERATE(false, true);  // or was off for a while
  database.exec(for_triggers("alter table %s disable trigger %I"));
  database.exec("update t set b = 7770 where id = 7");
  if (again) {
    database.exec(for_triggers("alter table %s enable trigger %I"));
  }
  const Error error = error_of([&] { migrate(database, k_plan, "rollback"); });
  CHECK(error.outcome() == Outcome::refused);
  CHECK_THAT(error.what(), Catch::Matchers::Contains("verify --repair=new"));
  CHECK_THAT(error.hint(), Catch::Matchers::Contains("--confirm one"));
  CHECK(state(database) == "verified");
  if (!again) {
    migrate(database, k_plan, "expand");  // makes it again
  }
  migrate(database, k_plan, "verify", nullptr, repair(RunOptions::Side::new_columns));
  migrate(database, k_plan, "rollback");
  CHECK(database.value("select a from t where id = 7") == "777");
  CHECK(state(database) == "rolled_back");
}

TEST_CASE("rollback past a trigger that is off is possible where it is meant") {
  Database database;
  database.exec(k_table);
  const std::string before = database.schema();
  migrate(database, k_plan, "expand backfill");
  database.exec(for_triggers("drop trigger %2$I on %1$s"));
  CHECK_THROWS_AS(migrate(database, k_plan, "rollback"), Error);
  RunOptions options;
  options.confirmed = "one";
  migrate(database, k_plan, "rollback", nullptr, options);
  CHECK(database.value("select count(*) from pg_attribute where attrelid = 't'::regclass and attname = 'b' and not "
                       "attisdropped") == "0");
  database.exec("drop schema ecmigrate cascade");
  CHECK(database.schema() == before);
}

TEST_CASE("a trigger that was off for a while between verify and contract is seen, and one verify mends it",
          "[version]") {
  Database database;
  database.exec(k_table);
  migrate(database, k_plan, "expand backfill verify");
  database.exec(for_triggers("alter table %s disable trigger %I"));
  database.exec("update t set a = 5000 where id = 5");
  database.exec(for_triggers("alter table %s enable trigger %I"));
  const Error error = error_of([&] { migrate(database, k_plan, "contract"); });
  CHECK(error.outcome() == Outcome::refused);
  CHECK_THAT(error.hint(), Catch::Matchers::Contains("ecmigrate verify"));
  CHECK(state(database) == "backfilled");
  CHECK(error_of([&] { migrate(database, k_plan, "verify"); }).outcome() == Outcome::differences_found);
  migrate(database, k_plan, "verify", nullptr, repair(RunOptions::Side::old_columns));
  migrate(database, k_plan, "contract");
  CHECK(database.value("select b from t where id = 5") == "50000");
}

TEST_CASE("a trigger or its function that somebody removed or replaced is made again by expand", "[version]") {
  Database database;
  database.exec(k_table);
  migrate(database, k_plan, "expand backfill verify");
  database.exec(for_triggers("drop trigger %2$I on %1$s"));
  database.exec("insert into t (id, a) values (30, 30)");
  const Error error = error_of([&] { migrate(database, k_plan, "contract"); });
  CHECK_THAT(error.hint(), Catch::Matchers::Contains("ecmigrate expand"));
  migrate(database, k_plan, "expand");
  CHECK(state(database) == "backfilled");
  migrate(database, k_plan, "verify", nullptr, repair(RunOptions::Side::none));
  database.exec("insert into t (id, a) values (31, 31)");
  migrate(database, k_plan, "contract");
  CHECK(database.value("select string_agg(b::text, ' ' order by id) from t where id >= 30") == "300 310");
}

TEST_CASE("a trigger that is off on one partition alone stops contract, at its last look too", "[version]") {
  Database database;
  database.exec(k_parts);
  migrate(database, k_plan, "expand backfill verify");
  const std::string off =
      "do $$ declare r record; begin for r in select tgname from pg_trigger where tgrelid = 't2'::regclass and tgname "
      "like "
      "'%ecmigrate%' loop execute format('alter table t2 disable trigger %I', r.tgname); end loop; end $$";
  const bool late = GENERATE(false, true);
  if (!late) {
    database.exec(off);
  }
  bool done = false;
  const std::unique_ptr<pg::Connection> other = database.connect();
  const Error error = error_of([&] {
    migrate(database, k_plan, "contract", nullptr, {}, [&](pg::CallMoment moment, int, std::string_view sql) {
      if (late && !done && moment == pg::CallMoment::before && sql.find("lock table") != std::string_view::npos) {
        done = true;
        other->script(off);
      }
    });
  });
  CHECK_THAT(error.what(),
             Catch::Matchers::Contains(late ? "missing, disabled, or was made again" : "on t2 is disabled"));
  CHECK(database.value("select count(*) from pg_attribute where attrelid = 't'::regclass and attname = 'a' and not "
                       "attisdropped") == "1");
  // No circle: expand makes it again, verify looks, contract ends.
  migrate(database, k_plan, "expand verify contract");
}

TEST_CASE("a partition that took another's name has never been filled", "[version]") {
  Database database;
  database.exec(k_parts);
  migrate(database, k_plan, "expand backfill verify");
  database.exec(
      "alter table t detach partition t2; alter table t2 rename to t2_old; create table t2 (like t including all); "
      "insert into t2 (id, a) select i, i from generate_series(11, 30) i; alter table t attach partition t2 for values "
      "from "
      "(11) to (100)");
  const Error error = error_of([&] { migrate(database, k_plan, "contract"); });
  CHECK(error.outcome() == Outcome::refused);
  CHECK_THAT(error.hint(), Catch::Matchers::Contains("ecmigrate backfill"));
  migrate(database, k_plan, "backfill verify contract");
  CHECK(database.value("select count(*) from t where b is distinct from id * 10") == "0");
}

TEST_CASE("a partition that was renamed is still the one that was filled") {
  Database database;
  database.exec(k_parts);
  migrate(database, k_plan, "expand backfill verify");
  database.exec("alter table t2 rename to t_two");
  migrate(database, k_plan, "contract");
}

TEST_CASE("a migration that is begun again does not keep the verification of its former life") {
  Database database;
  database.exec(k_table);
  migrate(database, k_plan, "expand backfill verify");
  CHECK(database.value("select count(*) from ecmigrate.verifications") == "1");
  migrate(database, k_plan, "rollback expand");
  CHECK(database.value("select count(*) from ecmigrate.verifications") == "0");
}

}  // namespace ecmigrate::test
