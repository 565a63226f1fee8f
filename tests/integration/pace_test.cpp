#include "support/catch.hpp"
#include "support/fixtures.hpp"
#include "support/pausing.hpp"
#include "support/server.hpp"

namespace ecmigrate::test {

TEST_CASE("a backfill that is paused says by whom, and goes on when it is told to", "[version]") {
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
  migrate(database, k_split, "expand");
  RunOptions options;
  options.pace.pause_query = "select count(*) from busy";
  CHECK(backfill_pauses_for(database, "cannot be read", options, [&] { database.exec("create table busy (n integer)"); }));
}

TEST_CASE("a replica that should be there and is not pauses the backfill, until the limit is changed from outside", "[version]") {
  Database database;
  database.exec(k_users);
  migrate(database, k_split, "expand");
  RunOptions options;
  options.pace.replicas = 1;
  CHECK(backfill_pauses_for(database, "0 of 1 replicas are connected", options,
                            [&] { CHECK(run_program(database, {"set", "PLAN", "replicas=0"}, k_split).status == 0); }));
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
  migrate(database, k_split, "expand");
  RunOptions options;
  options.pace.max_rows_rate = 4000;
  Recorder recorder;
  migrate(database, k_split, "backfill", &recorder, options);
  // The last batch is not waited for, and a quarter of a second may be saved up: without a budget it is a hundred times faster.
  const event::WalkFinished finished = recorder.all<event::WalkFinished>().at(0);
  CHECK(static_cast<double>(finished.rows) / (finished.duration_ms / 1000) < 2.5 * 4000);
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

}  // namespace ecmigrate::test
