#include "support/catch.hpp"
#include "support/fixtures.hpp"
#include "support/pausing.hpp"
#include "support/server.hpp"

namespace ecmigrate::test {

TEST_CASE("a backfill that is paused says by whom, and goes on when it is told to", "[version][superuser]") {
  Database database;
  database.exec(k_users);
  migrate(database, k_split, "expand");
  CHECK(run_program(database, {"pause", "PLAN"}, k_split).status == 0);
  CHECK(backfill_pauses_for(database, "paused by postgres", {}, [&] {
    CHECK(database.value("select count(*) from users where first_name is not null") == "0");
    CHECK(run_program(database, {"resume", "PLAN"}, k_split).status == 0);
  }));
  migrate(database, k_split, "verify");
}

TEST_CASE("a query of the user's pauses the backfill", "[version]") {
  Database database;
  database.exec(k_users);
  database.exec("create table busy (n integer); insert into busy values (3)");
  migrate(database, k_split, "expand");
  RunOptions options;
  options.pace.pause_query = "select count(*) from busy";
  CHECK(backfill_pauses_for(database, "pause_query", options, [&] { database.exec("delete from busy"); }));
}

TEST_CASE("a query that cannot be read is a reason to stop, not to go on", "[version]") {
  Database database;
  database.exec(k_users);
  database.exec("create table busy (n integer); insert into busy values (0)");
  migrate(database, k_split, "expand");
  RunOptions options;
  options.pace.pause_query = "select -1 / n from busy";
  CHECK(backfill_pauses_for(database, "cannot be read", options, [&] { database.exec("update busy set n = 1"); }));
}

TEST_CASE("a query of the user's has to give something that can say stop", "[version]") {
  Database database;
  expand_users(database);
  for (const std::string query : {"select email from users", "select now() - now()", "select", "select 1; select 2",
                                  "select true) as x, (select 1"}) {
    for (const std::string flag : {"--pause-query", "--abort-query"}) {
      const ProgramResult refused = run_program(database, {"backfill", "PLAN", flag, query}, k_split);
      INFO(query << ": " << refused.err);
      CHECK(refused.status == 3);
      CHECK(refused.err.find(flag == "--pause-query" ? "pause_query: " : "abort_query: ") != std::string::npos);
      CHECK(refused.err.find("true, or a number above 0") != std::string::npos);
    }
  }
  CHECK(database.value("select state from ecmigrate.migrations") == "expanded");
  for (const std::string query : {"select false", "select 0::numeric, 7", "select null::float where false -- none"}) {
    CHECK(run_program(database, {"backfill", "PLAN", "--pause-query", query}, k_split).status == 0);
  }
}

TEST_CASE("a replica that should be there and is not is refused at the start") {
  Database database;
  expand_users(database);
  const ProgramResult refused = run_program(database, {"backfill", "PLAN", "--replicas", "1"}, k_split);
  CHECK(refused.status == 3);
  CHECK(refused.err.find("replicas: 0 of 1 are connected") != std::string::npos);
  CHECK(database.value("select state from ecmigrate.migrations") == "expanded");
}

TEST_CASE("a limit that is set from outside holds until it is taken back", "[version]") {
  Database database;
  expand_users(database);
  RunOptions options;
  options.max_duration = std::chrono::minutes(2);
  options.pace.max_rows_rate = 1'000;  // so that it lasts
  ActsOn begun("kept to max_rows_rate", [&] {
    CHECK(run_program(database, {"set", "PLAN", "replicas=1"}, k_split).status == 0);
  });
  std::string told;
  ActsOn paused("0 of 1 replicas are connected", [&] {
    const ProgramResult back = run_program(database, {"set", "PLAN", "replicas=default", "workers=1"}, k_split);
    CHECK(back.status == 0);
    told = back.out;
  });
  Both both(begun, paused);
  backfill(database.conninfo(), options, both);
  CHECK(paused.seen());
  CHECK(told.find("unset replicas, set workers=1") != std::string::npos);
  check_all_filled(database);
  CHECK(database.value("select limits from ecmigrate.steering") == R"({"workers": "1"})");
  CHECK(run_program(database, {"set", "PLAN", "nosuch=default"}, k_split).status == 2);
}

TEST_CASE("wrong limits are refused before any is stored", "[version]") {
  Database database;
  database.exec(k_users);
  migrate(database, k_split, "expand");
  const ProgramResult result = run_program(database, {"set", "PLAN", "replicas=1", "max_wal_rate=fast"}, k_split);
  CHECK(result.status == 2);
  CHECK(result.err.find("max_wal_rate: \"fast\" is not a rate") != std::string::npos);
  CHECK(database.value("select count(*) from ecmigrate.steering") == "0");
}

TEST_CASE("a budget of rows is kept", "[version]") {
  Database database;
  database.exec(k_users);
  database.exec("insert into users (full_name, email) select 'Bob Ray', 'more' || i from generate_series(1, 9000) i");
  migrate(database, k_split, "expand");
  RunOptions options;
  options.pace.max_rows_rate = 12'000;
  Recorder recorder;
  migrate(database, k_split, "backfill", &recorder, options);
  // The last batch is not waited for, and a quarter of a second may be saved up: without a budget it is a hundred times
  // faster.
  const event::WalkFinished finished = recorder.all<event::WalkFinished>().at(0);
  CHECK(static_cast<double>(finished.rows) / (finished.duration_ms / 1000) < 2.5 * 12'000);
}

TEST_CASE("after --max-duration the backfill ends at a checkpoint with exit status 8 and goes on later", "[version]") {
  Database database;
  database.exec(k_users);
  migrate(database, k_split, "expand");
  CHECK(run_program(database, {"pause", "PLAN"}, k_split).status == 0);
  const ProgramResult stopped = run_program(database, {"backfill", "PLAN", "--max-duration", "200ms"}, k_split);
  CHECK(stopped.status == 8);
  CHECK(stopped.err.find("stopped at a checkpoint") != std::string::npos);
  CHECK(run_program(database, {"resume", "PLAN"}, k_split).status == 0);
  migrate(database, k_split, "backfill verify");
}

TEST_CASE("a pause by a signal has an end, one by hand has none") {
  Database database;
  expand_users(database);
  const ProgramResult ended =
      run_program(database, {"backfill", "PLAN", "--pause-query", "select true", "--max-pause", "300ms"}, k_split);
  CHECK(ended.status == 8);
  CHECK(ended.err.find("stopped at a checkpoint: paused for 300 ms (max_pause): pause_query says so") !=
        std::string::npos);
  CHECK(database.value("select state from ecmigrate.migrations") == "backfilling");

  CHECK(run_program(database, {"pause", "PLAN"}, k_split).status == 0);
  const ProgramResult by_hand =
      run_program(database,
                  {"backfill", "PLAN", "--pause-query", "select true", "--max-pause", "100ms", "--abort-query",
                   "select extract(epoch from clock_timestamp() - started_at) > 2 from "
                   "ecmigrate.runs order by id desc limit 1"},
                  k_split);
  CHECK(by_hand.status == 8);
  CHECK(by_hand.err.find("stopped at a checkpoint: abort_query says so") != std::string::npos);
}

TEST_CASE("a query of the user's ends the backfill") {
  Database database;
  expand_users(database);
  const ProgramResult ended = run_program(database, {"backfill", "PLAN", "--abort-query", "select true"}, k_split);
  CHECK(ended.status == 8);
  CHECK(ended.err.find("stopped at a checkpoint: abort_query says so") != std::string::npos);
  CHECK(database.value("select outcome from ecmigrate.runs order by id desc limit 1") == "work_remains");
}

TEST_CASE("a throttled backfill rests, says by whose word, and goes on at once when told to", "[version][superuser]") {
  Database database;
  expand_wide_users(database);
  CHECK(run_program(database, {"throttle", "PLAN", "0.99", "for", "2h"}, k_split).status == 0);
  CHECK(backfill_pauses_for(database, "rests 99 % of the time, set by postgres until ", {}, [&] {
    CHECK(run_program(database, {"throttle", "PLAN", "0"}, k_split).status == 0);
  }));
  check_all_filled(database);
}

TEST_CASE("a throttle keeps its share of the time, and ends by itself", "[version]") {
  Database database;
  expand_wide_users(database, 1000);
  CHECK(run_program(database, {"throttle", "PLAN", "0.9"}, k_split).status == 0);
  CHECK(database.value("select throttle_until is null from ecmigrate.steering") == "t");
  RunOptions options;
  options.pace.target_batch = std::chrono::milliseconds(5);
  Recorder recorder;
  migrate(database, k_split, "backfill", &recorder, options);
  const event::WalkFinished finished = recorder.all<event::WalkFinished>().at(0);
  // Half of the batches took at least the median, and each is a tenth of its time at most. The last is not followed by
  // a rest.
  CHECK(finished.duration_ms >= 10 * finished.batch_p50_ms * static_cast<double>(finished.batches - 1) / 2);
  database.exec("update ecmigrate.steering set throttle_until = now()");
  Recorder second;
  migrate(database, k_split, "backfill", &second);
  for (const event::Progress& progress : second.all<event::Progress>()) {
    CHECK(progress.slow_because.find("throttled") == std::string::npos);
  }
}

TEST_CASE("status shows what was set from outside", "[version][superuser]") {
  Database database;
  expand_users(database);
  for (const std::vector<std::string>& steer : {std::vector<std::string>{"pause", "PLAN"},
                                                {"throttle", "PLAN", "0.25", "for", "1h"},
                                                {"set", "PLAN", "max_wal_rate=8MB/s"}}) {
    CHECK(run_program(database, steer, k_split).status == 0);
  }
  const std::string text = run_program(database, {"status"}).out;
  CHECK(text.find("  paused by postgres\n  rests 25 % of the time, set by postgres until ") != std::string::npos);
  CHECK(text.find("  set: max_wal_rate=8MB/s\n") != std::string::npos);
  CHECK(run_program(database, {"status", "--json"})
            .out.find(R"("paused":true,"throttle":0.25,"limits":{"max_wal_rate":"8MB/s"})") != std::string::npos);
  CHECK(run_program(database, {"resume", "PLAN"}, k_split).status == 0);
  CHECK(run_program(database, {"throttle", "PLAN", "0"}, k_split).status == 0);
  CHECK(run_program(database, {"status"}).out.find(" by postgres") == std::string::npos);
}

TEST_CASE("a wrong throttle is refused", "[version]") {
  Database database;
  expand_users(database);
  for (const std::string ratio : {"1", "1.5", "half", "nan", "0.5x"}) {
    CHECK(run_program(database, {"throttle", "PLAN", ratio}, k_split).status == 2);
  }
  CHECK(run_program(database, {"throttle", "PLAN", "0.5", "2h"}, k_split).status == 2);
  CHECK(run_program(database, {"throttle", "PLAN", "0.5", "for", "ever"}, k_split).status == 2);
  CHECK(database.value("select count(*) from ecmigrate.steering") == "0");
}

}  // namespace ecmigrate::test
