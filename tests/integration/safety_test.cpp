// Ways in which a migration could say that all is well and lose something, or stop somebody, all the same.

#include <thread>

#include "ecmigrate/base/error.hpp"
#include "support/catch.hpp"
#include "support/fixtures.hpp"
#include "support/plain_ddl.hpp"
#include "support/server.hpp"

namespace ecmigrate::test {

namespace {

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

constexpr const char* k_split_log = R"yaml(
name: split
operations:
  - split_column:
      table: log
      column: full_name
      into:
        - { name: first_name, type: text, nullable: true, up: "split_part(full_name, ' ', 1)" }
        - { name: last_name, type: text, nullable: true, up: "nullif(substr(full_name, length(split_part(full_name, ' ', 1)) + 2), '')" }
      down: "nullif(concat_ws(' ', first_name, last_name), '')"
)yaml";

}  // namespace

TEST_CASE("a table with children by INHERITS is refused: their rows would be lost", "[version]") {
  Database database;
  database.exec(
      "create table log (id bigint primary key, full_name text); create table log_1 () inherits (log); insert into "
      "log_1 values (1, 'Ann Lee')");
  const std::string before = database.schema();
  const Error error = error_of([&] { migrate(database, k_split_log, "expand"); });
  CHECK(error.outcome() == Outcome::refused);
  CHECK(contains(error.what(), "INHERITS"));
  CHECK(database.schema() == before);
}

TEST_CASE("a typed table is refused before expand") {
  Database database;
  database.exec(
      "create type entry as (id bigint, full_name text); create table log of entry (primary key (id)); insert into log "
      "values (1, 'Ann Lee')");
  const Error error = error_of([&] { migrate(database, k_split_log, "expand"); });
  CHECK(error.outcome() == Outcome::refused);
  CHECK(contains(error.what(), "\"log\" is a typed table"));
  CHECK(contains(error.what(), "NOT OF"));
  CHECK(database.value("select to_regnamespace('ecmigrate')") == "null");
}

TEST_CASE("a role whose transactions are read only is told so, and not of the plan") {
  Database database;
  database.exec("create table log (id bigint primary key, full_name text)");
  database.exec("alter database " + database.name() + " set default_transaction_read_only = on");
  for (const std::string command : {"plan", "expand"}) {
    const ProgramResult ran = run_program(database, {command, "PLAN"}, k_split_log);
    CHECK(ran.status == 7);
    CHECK(contains(ran.err, "are read only (default_transaction_read_only)"));
    CHECK(contains(ran.err, "PGOPTIONS"));
  }
}

TEST_CASE("rows of a partition that is attached late are not lost", "[version]") {
  const std::string phases = GENERATE(as<std::string>{}, "expand", "expand backfill", "expand backfill verify");
  INFO(phases);
  Database database;
  database.exec(
      "create table log (id bigint, full_name text) partition by range (id); "
      "create table log_1 partition of log for values from (0) to (10); insert into log values (1, 'Ann Lee')");
  migrate(database, k_split_log, phases);
  // As one loads a partition: on its own, so without the trigger, and then attached.
  database.exec(
      "create table log_2 (like log including all); insert into log_2 (id, full_name) values (11, 'Old Name'); "
      "alter table log attach partition log_2 for values from (10) to (20)");
  if (phases != "expand") {
    for (const std::string phase : {"contract", "verify"}) {
      const Error error = error_of([&] { migrate(database, k_split_log, phase); });
      CHECK(error.outcome() == Outcome::refused);
      CHECK((contains(error.what(), "log_2") || contains(error.hint(), "verify")));
    }
  }
  migrate(database, k_split_log, "backfill verify contract");
  CHECK(database.rows("select id, first_name, last_name from log order by id") == "1|Ann|Lee\n11|Old|Name");
}

TEST_CASE("another schema is another plan, and never contracts the first", "[version]") {
  Database database;
  database.exec(
      "create schema one; create schema two; create table one.acc (id bigint primary key, email text); "
      "create table two.acc (like one.acc including all); insert into one.acc values (1, 'a@x'); insert into two.acc "
      "values (1, 'b@x')");
  const std::string plan = "name: mail\noperations: [{rename_column: {table: acc, from: email, to: mail}}]\n";
  CHECK(run_program(database, {"run", "PLAN", "--schema", "one"}, plan).status == 0);
  const ProgramResult other = run_program(database, {"run", "PLAN", "--schema", "two"}, plan);
  CHECK(other.status == 7);
  CHECK(contains(other.err, "was started with another plan"));
  CHECK(run_program(database, {"contract", "PLAN", "--schema", "two", "--confirm", "mail"}, plan).status == 7);
  CHECK(database.value("select string_agg(attname, ',' order by attnum) from pg_attribute where attrelid = "
                       "'one.acc'::regclass and attnum > 0 "
                       "and not attisdropped") == "id,email,mail");
}

TEST_CASE("a row that violates a new constraint is found before its clients fail on it", "[version]") {
  const std::string change =
      GENERATE(as<std::string>{}, "nullable: false",
               "check: {name: long_phone, constraint: \"length(phone) > 2 and phone is not null\"}");
  INFO(change);
  Database database;
  database.exec(
      "create table person (id bigint primary key, phone text, hits int default 0); "
      "insert into person (id, phone) select i, '123' from generate_series(1, 50000) i; insert into person values "
      "(50001, null)");
  const std::string before = database.schema();
  const std::string plan =
      "name: strict\noperations: [{alter_column: {table: person, column: phone, " + change + "}}]\n";
  const Error error = error_of([&] { migrate(database, plan, "expand"); });
  CHECK(error.outcome() == Outcome::refused);
  CHECK(contains(error.what(), "id=50001"));
  CHECK(database.schema() == before);
  database.exec("update person set phone = '456' where id = 50001");
  migrate(database, plan, "expand backfill verify contract");
}

TEST_CASE("a null that the application writes on purpose does not become the old column's default", "[version]") {
  Database database;
  database.exec("create table person (id bigint primary key, age int default 18)");
  const std::string plan = "name: wide\noperations: [{alter_column: {table: person, column: age, type: bigint}}]\n";
  migrate(database, plan, "expand");
  database.exec("insert into person values (1, null); insert into person (id) values (2)");
  migrate(database, plan, "backfill verify contract");
  CHECK(database.rows("select id, age from person order by id") == "1|null\n2|18");
}

TEST_CASE("two changes that share an index are refused at expand, not at contract", "[version]") {
  Database database;
  database.exec("create table item (o int, n int, primary key (o, n))");
  const Error error = error_of([&] {
    migrate(database,
            "name: wide\noperations:\n  - alter_column: {table: item, column: o, type: bigint}\n  - alter_column: "
            "{table: item, column: n, type: bigint}\n",
            "expand");
  });
  CHECK(error.outcome() == Outcome::refused);
  CHECK(contains(error.what(), "item_pkey"));
}

TEST_CASE("a repair is held to foreign keys", "[version]") {
  Database database;
  database.exec(
      "create table parent (id bigint primary key); create table child (id bigint primary key, pid bigint references "
      "parent); "
      "insert into parent values (1); insert into child values (1, 1)");
  const std::string plan = "name: ref\noperations: [{rename_column: {table: child, from: pid, to: parent_id}}]\n";
  migrate(database, plan, "expand backfill verify");
  database.exec("begin; set local session_replication_role = replica; update child set parent_id = 99; commit");
  RunOptions repair;
  repair.repair_pending = true;
  repair.repair = RunOptions::Side::new_columns;
  CHECK_THROWS_AS(migrate(database, plan, "verify", nullptr, repair), Error);
  CHECK(database.value("select pid from child") == "1");
}

TEST_CASE("the partitions of a table together do not make a try at its lock longer", "[version]") {
  Database database;
  database.exec("create table log (id bigint, full_name text) partition by range (id)");
  for (int i = 0; i < 8; ++i) {
    database.exec("create table log_" + std::to_string(i) + " partition of log for values from (" +
                  std::to_string(i * 10) + ") to (" + std::to_string(i * 10 + 10) + ")");
  }
  std::vector<std::unique_ptr<pg::Connection>> holders;
  for (int i = 0; i < 8; ++i) {
    holders.push_back(database.connect());
    holders.back()->script("begin; lock table log_" + std::to_string(i) + " in share update exclusive mode");
  }
  // Each holder lets its partition go when somebody has waited for it for a while: the wait for one is shorter than a
  // try may take, and only their sum is long.
  std::thread releases([&] {
    const auto look = database.connect();
    for (int i = 0; i < 8; ++i) {
      const std::string waits = "select count(*) from pg_locks where relation = 'log_" + std::to_string(i) +
                                "'::regclass and not granted and waitstart < clock_timestamp() - interval '80 ms'";
      const auto deadline = std::chrono::steady_clock::now() + std::chrono::minutes(1);
      while (look->query(waits).integer(0, 0) == 0 && std::chrono::steady_clock::now() < deadline) {
        std::this_thread::sleep_for(std::chrono::milliseconds(2));
      }
      holders[static_cast<std::size_t>(i)].reset();
    }
  });
  RunOptions options;
  options.lock_timeout = std::chrono::milliseconds(100);
  Recorder recorder;
  migrate(database, k_split_log, "expand", &recorder, options);
  releases.join();
  // What a busy machine may add is less than the eight waits would be together.
  double sum = 0;
  for (const auto& failed : recorder.all<event::LockTryFailed>()) {
    CHECK(failed.waited_ms < 6 * 100);
    sum += failed.waited_ms;
  }
  CHECK(recorder.all<event::StepFinished>().at(0).waited_ms - sum < 6 * 100);
}

}  // namespace ecmigrate::test
