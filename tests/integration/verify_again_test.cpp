// What verify says after a repair, and how the repair goes about it.
#include <fmt/format.h>

#include <set>

#include "ecmigrate/base/error.hpp"
#include "support/catch.hpp"
#include "support/server.hpp"

namespace ecmigrate::test {

namespace {

constexpr const char* k_rename = R"yaml(
name: rp
operations:
  - rename_column: { table: t, from: a, to: b }
)yaml";

void make_rows(Database& database, int rows) {
  database.exec(
      fmt::format("create table t (id int primary key, a text not null, n int default 0) with (autovacuum_enabled = "
                  "false); insert into t select i, 'x' || i from generate_series(1, {}) i; analyze t",
                  rows));
}

/// Rows that the trigger has not seen.
void load_behind_its_back(Database& database, int from, int to) {
  database.exec(
      fmt::format("set session_replication_role = replica; insert into t (id, a) select i, 'bulk' || i from "
                  "generate_series({}, {}) i; reset session_replication_role",
                  from, to));
}

RunOptions repair(RunOptions::Side side = RunOptions::Side::none) {
  RunOptions options;
  options.repair_pending = true;
  options.repair = side;
  return options;
}

bool repairs(std::string_view sql) {
  return sql.starts_with("begin; set local ecmigrate.fill");
}

/// How the phase ended.
std::string ends(const std::function<void()>& act) {
  try {
    act();
  } catch (const Error& error) {
    return error.what();
  }
  return "well";
}

}  // namespace

TEST_CASE("rows that still differ after a repair are not verified", "[repair]") {
  Database database;
  make_rows(database, 100);
  migrate(database, k_rename, "expand backfill");
  const auto spoil = [&] {
    database.exec(
        "set session_replication_role = replica; update t set a = a || '!' where id <= 50; reset "
        "session_replication_role");
  };
  spoil();
  Recorder recorder;
  CHECK(ends([&] {
          migrate(database, k_rename, "verify", &recorder, repair(RunOptions::Side::old_columns),
                  [&](pg::CallMoment moment, int, std::string_view sql) {
                    if (moment == pg::CallMoment::after && repairs(sql)) {
                      spoil();  // as a trigger of the table may, which changes what was written
                    }
                  });
        }) == "50 rows differ");
  const auto finished = recorder.all<event::VerifyFinished>();
  REQUIRE(finished.size() == 1);
  CHECK(finished.back().rows == 100);
  CHECK(finished.back().inconsistent == 50);
  CHECK(finished.back().repaired == 0);
  CHECK(database.value("select state from ecmigrate.migrations") == "backfilled");
}

TEST_CASE("rows that clients fill while verify repairs are no differences", "[repair]") {
  Database database;
  make_rows(database, 100);
  migrate(database, k_rename, "expand backfill");
  load_behind_its_back(database, 101, 103);
  bool filled = false;
  Recorder recorder;
  CHECK(ends([&] {
          migrate(database, k_rename, "verify", &recorder, repair(),
                  [&](pg::CallMoment moment, int, std::string_view sql) {
                    if (!filled && moment == pg::CallMoment::before && sql.find("update") != std::string_view::npos &&
                        sql.find("ecmigrate.fill") != std::string_view::npos) {
                      filled = true;
                      database.exec("update t set n = 1 where id in (101, 102)");
                    }
                  });
        }) == "well");
  CHECK(filled);
  const auto finished = recorder.all<event::VerifyFinished>().back();
  CHECK(finished.repaired == 1);
  CHECK(finished.pending == 1);
  CHECK(database.value("select count(*) from t where a is distinct from b") == "0");
}

TEST_CASE("what verify shows is what it counted", "[repair]") {
  Database database;
  make_rows(database, 100);
  migrate(database, k_rename, "expand backfill");
  load_behind_its_back(database, 101, 103);
  Recorder recorder;
  CHECK(ends([&] {
          migrate(database, k_rename, "verify", &recorder, {}, [&](pg::CallMoment moment, int, std::string_view sql) {
            if (moment == pg::CallMoment::before && sql.find("quote_literal") != std::string_view::npos) {
              database.exec("update t set n = 1 where id in (101, 102)");
            }
          });
        }) == "3 rows differ");
  CHECK(recorder.all<event::Difference>().size() == 3);
  migrate(database, k_rename, "verify", nullptr, repair());
}

TEST_CASE("a repair has batches as short as the backfill's, from a page on", "[repair]") {
  Database database;
  make_rows(database, 100);
  migrate(database, k_rename, "expand backfill");
  load_behind_its_back(database, 101, 60'000);
  Recorder recorder;
  std::string first;
  migrate(database, k_rename, "verify", &recorder, repair(), [&](pg::CallMoment, int, std::string_view sql) {
    if (repairs(sql) && first.empty()) {
      first = sql;
    }
  });
  CHECK(recorder.all<event::VerifyFinished>().back().repaired == 59'900);
  CHECK(std::stoi(database.value("select count(distinct xmin::text) from t where id > 100")) > 5);
  CHECK(first.find("this.ctid < '(1,0)'") != std::string::npos);
}

TEST_CASE("a batch of a repair that takes too long is given up and tried smaller", "[repair]") {
  Database database;
  make_rows(database, 100);
  database.exec(
      "create function slowly(text) returns text language plpgsql immutable as $$ begin perform "
      "pg_catalog.pg_sleep(0.005); return upper($1); end $$");
  const std::string plan = R"yaml(
name: slow
operations:
  - add_column: { table: t, up: slowly(a), column: { name: b, type: text, nullable: true } }
)yaml";
  RunOptions options = repair();
  options.check_rows = 1;
  migrate(database, plan, "expand backfill", nullptr, options);
  load_behind_its_back(database, 101, 300);
  int begun = 0;
  int done = 0;
  migrate(database, plan, "verify", nullptr, options, [&](pg::CallMoment moment, int, std::string_view sql) {
    if (repairs(sql)) {
      (moment == pg::CallMoment::before ? begun : done) += 1;
    }
  });
  CHECK(done > 1);
  CHECK(begun > done);
  CHECK(database.value("select count(*) from t where b is distinct from upper(a)") == "0");
}

TEST_CASE("a row that somebody holds is tried again by the repair", "[repair]") {
  Database database;
  make_rows(database, 100);
  migrate(database, k_rename, "expand backfill");
  load_behind_its_back(database, 101, 103);
  const auto holder = database.connect();
  holder->script("begin; select from t where id = 102 for update");
  int tries = 0;
  CHECK(ends([&] {
          migrate(database, k_rename, "verify", nullptr, repair(),
                  [&](pg::CallMoment moment, int, std::string_view sql) {
                    if (sql.find("ecmigrate.fill") != std::string_view::npos && moment == pg::CallMoment::before &&
                        ++tries == 4) {
                      // A page without any, the batch, and what of it nobody holds: the others do not wait for it.
                      CHECK(database.value("select count(*) from t where b is null") == "1");
                      holder->script("rollback");
                    }
                  });
        }) == "well");
  CHECK(tries >= 4);
  CHECK(database.value("select count(*) from t where a is distinct from b") == "0");
}

TEST_CASE("a repair gives a row up that stays locked for longer than the lock budget", "[repair]") {
  Database database;
  make_rows(database, 100);
  migrate(database, k_rename, "expand backfill");
  load_behind_its_back(database, 101, 103);
  const auto holder = database.connect();
  holder->script("begin; select from t where id = 102 for update");
  RunOptions options = repair();
  options.lock_budget = std::chrono::milliseconds(300);
  const std::string end = ends([&] { migrate(database, k_rename, "verify", nullptr, options); });
  CHECK(end.find("and after stays locked") != std::string::npos);
}

}  // namespace ecmigrate::test
