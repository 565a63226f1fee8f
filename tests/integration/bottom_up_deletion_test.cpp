#include "ecmigrate/engine/bottom_up_deletion.hpp"

#include <fmt/format.h>

#include <atomic>
#include <chrono>
#include <thread>

#include "support/catch.hpp"
#include "support/fixtures.hpp"
#include "support/server.hpp"

namespace ecmigrate::test {

namespace {

constexpr const char* k_citizens =
    "create table users (id int primary key, full_name text not null, city text, note text not null default repeat('n', 300));"
    "insert into users (id, full_name, city) select i, 'Ann Lee' || i, 'city ' || i % 50 from generate_series(1, 3000) i;"
    "create index users_city on users (city); analyze users";

std::string set_to_themselves(Database& database, const std::vector<std::string>& filled = {"other"}) {
  const auto connection = database.connect();
  std::string columns;
  for (const std::string& column : columns_set_to_themselves(*connection, std::stoll(database.value("select 't'::regclass::oid::bigint")), filled)) {
    columns += column + " ";
  }
  return columns;
}

}  // namespace

TEST_CASE("columns are set to themselves for indexes with many rows of each value, and for no others") {
  Database database;
  database.exec(
      "create table t (id int primary key, few int, many int, nearly int, \"Mixed\" int, part int, gone int) with (autovacuum_enabled = false);"
      "insert into t select i, i / 5, i % 100, i / 20, i % 10, i % 10, null from generate_series(1, 2000) i");
  const auto with = [&](const std::string& index, const std::vector<std::string>& filled = {"other"}) {
    database.exec("create " + index + "; analyze t");
    const std::string columns = set_to_themselves(database, filled);
    database.exec("drop index i");
    return columns;
  };
  CHECK(with("index i on t (many)") == "many ");
  CHECK(with("index i on t (nearly)") == "nearly ");
  CHECK(with("index i on t (\"Mixed\") include (few)") == "Mixed ");
  CHECK(with("index i on t (part) where many > 0") == "part ");
  CHECK(with("index i on t (part, \"Mixed\")") == "Mixed ");  // one of them is enough
  CHECK(with("index i on t (few)").empty());
  CHECK(with("index i on t (many, few)").empty());
  CHECK(with("index i on t (gone)").empty());                  // no statistics of values
  CHECK(with("index i on t (many) where few < 20").empty());   // a hundred rows
  CHECK(with("index i on t using hash (many)").empty());
  CHECK(with("index i on t ((many + 1))").empty());
  CHECK(with("unique index i on t (many, id)").empty());
  CHECK(with("index i on t (many)", {"many"}).empty());
}

TEST_CASE("a column that is not to be written is not set to itself") {
  Database database;
  database.exec(
      "create table t (id int primary key, many int, numbered int generated always as identity (maxvalue 10 cycle), twice int generated always as (many * 2) stored) "
      "with (autovacuum_enabled = false);"
      "insert into t (id, many) overriding user value select i, i % 100 from generate_series(1, 2000) i;"
      "create index i on t (many)");
  CHECK(set_to_themselves(database).empty());  // never analyzed
  database.exec("analyze t");
  CHECK(set_to_themselves(database) == "many ");
  database.exec("create index g on t (twice); create index n on t (numbered); analyze t");
  CHECK(set_to_themselves(database) == "many ");
  database.exec("create unique index u on t (id, many)");
  CHECK(set_to_themselves(database).empty());
  database.exec("drop index u; create function f() returns trigger language plpgsql as 'begin return new; end'; "
                "create trigger x before update of many on t for each row execute function f()");
  CHECK(set_to_themselves(database).empty());
}

TEST_CASE("a column that is set to itself keeps what the application writes into it meanwhile") {
  Database database;
  database.exec(k_citizens);
  migrate(database, k_split, "expand");
  const auto application = database.connect();
  application->script("begin; update users set city = 'moved' where id in (1, 1500, 3000)");
  std::atomic<bool> done{false};
  std::atomic<bool> waited{false};
  std::jthread commits([&, watcher = database.connect()] {
    const std::string waits = fmt::format("select exists (select from pg_locks l where not l.granted and {} = any (pg_blocking_pids(l.pid)))", application->backend_pid());
    while (!done && !waited) {
      waited = watcher->query(waits).text(0, 0) == "t";
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    application->query("commit");
  });
  int batches_with_city = 0;
  RunOptions options;
  options.pace.target_batch = std::chrono::seconds(5);  // the longer it waits for the row
  migrate(database, k_split, "backfill", nullptr, options, [&](pg::CallMoment moment, int, std::string_view sql) {
    batches_with_city += moment == pg::CallMoment::before && sql.find("update only \"public\".\"users\" as this set") != std::string_view::npos &&
                                 sql.find(", \"city\" = this.\"city\" where") != std::string_view::npos
                             ? 1
                             : 0;
  });
  done = true;
  commits.join();
  CHECK(waited);
  CHECK(batches_with_city > 0);
  CHECK(database.value("select count(*) from users where city = 'moved'") == "3");
  CHECK(database.value("select count(*) from users where city <> 'moved' and city <> 'city ' || id % 50") == "0");
  migrate(database, k_split, "verify contract");
}

}  // namespace ecmigrate::test
