#include "ecmigrate/fill/bottom_up_deletion.hpp"

#include <fmt/format.h>

#include <chrono>
#include <future>

#include "support/catch.hpp"
#include "support/fixtures.hpp"
#include "support/server.hpp"

namespace ecmigrate::test {

namespace {

constexpr std::string_view k_sets_city = ", \"city\" = this.\"city\" where";

constexpr const char* k_citizens =
    "create table users (id int primary key, full_name text not null, city text, note text not null default "
    "repeat('n', 300));"
    "insert into users (id, full_name, city) select i, 'Ann Lee' || i, 'city ' || i % 50 from generate_series(1, "
    "20000) i;"
    "create index users_city on users (city); analyze users";

std::string set_to_themselves(Database& database, const std::vector<std::string>& filled = {"other"}) {
  const auto connection = database.connect();
  std::string columns;
  for (const std::string& column : columns_set_to_themselves(
           *connection, std::stoll(database.value("select 't'::regclass::oid::bigint")), filled)) {
    columns += column + " ";
  }
  return columns;
}

}  // namespace

TEST_CASE("columns are set to themselves for indexes with many rows of each value, and for no others", "[version]") {
  Database database;
  database.exec(
      "create table t (id int primary key, side int, few int, many int, nearly int, \"Mixed\" int, exact numeric) with "
      "(autovacuum_enabled = false);"
      // As ANALYZE is on a large table: of the five rows of a value that stand side by side, it sees one.
      "alter table t alter side set statistics 1;"
      "insert into t select i, i / 5, i % 4000, i % 100, i / 20, i % 10, i % 10 from generate_series(1, 20000) i; "
      "analyze t");
  const auto with = [&](const std::string& indexes, const std::vector<std::string>& filled = {"other"}) {
    database.exec(indexes);
    const std::string columns = set_to_themselves(database, filled);
    database.exec("drop index i; drop index if exists j");
    return columns;
  };
  CHECK(with("create index i on t (many)") == "many ");
  CHECK(with("create index i on t (nearly)") == "nearly ");
  CHECK(with("create index i on t (\"Mixed\")") == "Mixed ");
  CHECK(with("create index i on t (many) where id > 0") == "many ");
  CHECK(with("create index i on t (many, \"Mixed\")") == "Mixed ");  // one of them is enough
  CHECK(with("create index i on t (many); create index j on t (many, \"Mixed\")") == "Mixed many ");
  CHECK(with("create index i on t (few)").empty());
  CHECK(with("create index i on t (side)").empty());
  CHECK(with("create index i on t (many, few)").empty());
  CHECK(with("create index i on t (exact)").empty());  // which no index deduplicates
  CHECK(with("create index i on t (many) include (few)").empty());
  CHECK(with("create index i on t using hash (many)").empty());
  CHECK(with("create index i on t ((many + 1))").empty());
  CHECK(with("create index i on t (many)", {"many"}).empty());
  // The other index would not be looked through any more.
  CHECK(with("create index i on t (many); create index j on t (many, id)").empty());
  CHECK(with("create index i on t (many, \"Mixed\"); create index j on t (\"Mixed\", few)") == "many ");
  CHECK(with("create index i on t (many); create unique index j on t (many, id)").empty());
  CHECK(with("create index i on t (many); create index j on t ((many + 1), id)").empty());
  CHECK(with("create index i on t (many); create index j on t (few) include (many)") == "many ");
}

TEST_CASE("a column that is not to be written is not set to itself") {
  Database database;
  database.exec(
      "create table t (id int primary key, many int, numbered int generated always as identity (maxvalue 10 cycle), "
      "twice int generated always as (many * 2) "
      "stored) with (autovacuum_enabled = false);"
      "insert into t (id, many) overriding user value select i, i % 100 from generate_series(1, 20000) i; create index "
      "i on t (many)");
  CHECK(set_to_themselves(database).empty());  // never analyzed
  database.exec("analyze t");
  CHECK(set_to_themselves(database) == "many ");
  database.exec("create index g on t (twice); create index n on t (numbered)");
  CHECK(set_to_themselves(database) == "many ");
  database.exec(
      "create function f() returns trigger language plpgsql as 'begin return new; end'; "
      "create trigger x before update of many on t for each row execute function f()");
  CHECK(set_to_themselves(database).empty());
}

TEST_CASE("a column that goes, or changes its name, while it is set to itself does not end the backfill") {
  for (const std::string change : {"alter table users rename city to town", "alter table users drop city"}) {
    INFO(change);
    Database database;
    database.exec(k_citizens);
    migrate(database, k_split, "expand");
    bool changed = false;
    int batches_with_city = 0;
    RunOptions options;
    options.pace.workers = 2;
    migrate(database, k_split, "backfill", nullptr, options, [&](pg::CallMoment moment, int, std::string_view sql) {
      if (sql.find(k_sets_city) == std::string_view::npos) {
        return;
      }
      ++batches_with_city;
      if (moment == pg::CallMoment::before && !changed) {
        changed = true;
        database.exec(change);
      }
    });
    CHECK(changed);
    CHECK(batches_with_city > 0);
    CHECK(database.value("select count(*) from users where first_name is null") == "0");
    migrate(database, k_split, "verify");
  }
}

TEST_CASE("a column that is set to itself keeps what the application writes into it meanwhile", "[superuser]") {
  std::string plan = k_split;  // nullable, or the row could not be written past the sync trigger
  for (std::size_t at = 0; (at = plan.find("nullable: false", at)) != std::string::npos;) {
    plan.replace(at, 15, "nullable: true");
  }
  Database database;
  database.exec(k_citizens);
  migrate(database, plan, "expand");
  const auto application = database.connect();
  // Past the sync trigger, so that the row still waits for its new values, and the batch writes what it reads anew.
  application->script(
      "set session_replication_role = replica; begin; update users set city = 'moved' where id in (1, 1500, 20000)");
  auto commits = std::async(std::launch::async, [&] {
    database.wait_for(fmt::format("exists (select from pg_stat_activity where {} = any (pg_blocking_pids(pid)))",
                                  application->backend_pid()));
    application->query("commit");
  });
  int batches_with_city = 0;
  RunOptions options;
  options.pace.target_batch = std::chrono::seconds(5);  // the longer it waits for the row
  migrate(database, plan, "backfill", nullptr, options, [&](pg::CallMoment moment, int, std::string_view sql) {
    batches_with_city += moment == pg::CallMoment::before && sql.find(k_sets_city) != std::string_view::npos ? 1 : 0;
  });
  CHECK_NOTHROW(commits.get());  // that the batch waited
  CHECK(batches_with_city > 0);
  CHECK(database.value("select count(*) from users where city = 'moved'") == "3");
  CHECK(database.value("select count(*) from users where city <> 'moved' and city <> 'city ' || id % 50") == "0");
  migrate(database, plan, "verify contract");
}

}  // namespace ecmigrate::test
