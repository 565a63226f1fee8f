// `status --watch` and `--wait-for`: through restarts, and how they end.

#include <fmt/format.h>

#include <future>

#include "support/catch.hpp"
#include "support/fixtures.hpp"
#include "support/pausing.hpp"
#include "support/server.hpp"

using namespace ecmigrate;
using namespace ecmigrate::test;

namespace {

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

/// A row that cannot be filled.
std::string failing_plan() {
  std::string plan(k_split);
  plan.replace(plan.find("split_part(full_name, ' ', 1)\""), 30, "substr(full_name, 1, 1 / length(full_name) + 3)\"");
  return plan;
}

}  // namespace

TEST_CASE("status --watch and --wait-for go on through a restart of the server") {
  const OwnServer own("fsync=off");
  Database database(own.conninfo());
  expand_users(database);
  const auto start = [&](std::vector<std::string> arguments) {
    return std::async(std::launch::async,
                      [&, arguments = std::move(arguments)] { return run_program(database, arguments, k_split); });
  };
  auto watching = start({"status", "PLAN", "--watch"});
  auto waiting = start({"status", "PLAN", "--wait-for", "verified"});
  const std::string both = "(select count(*) from pg_stat_activity where application_name = 'ecmigrate status') = 2";
  database.wait_for(both);
  own.stop();
  own.start();
  migrate(database, k_split, "backfill verify");
  const ProgramResult reached = waiting.get();
  CHECK(reached.status == 0);
  CHECK(contains(reached.out, "split  verified"));
  CHECK(contains(reached.err, "the connection was lost"));
  migrate(database, k_split, "rollback");
  const ProgramResult watched = watching.get();
  CHECK(watched.status == 0);
  CHECK(contains(watched.out, "split  rolled_back"));
}

TEST_CASE("status --wait-for waits no longer than --timeout, whether or not the server is there") {
  const OwnServer own("fsync=off");
  Database database(own.conninfo());
  expand_users(database);
  const ProgramResult late =
      run_program(database, {"status", "PLAN", "--wait-for", "verified", "--timeout", "300ms"}, k_split);
  CHECK(late.status == 8);
  CHECK(contains(late.err, "\"split\" is expanded, and not verified within 300 ms"));
  CHECK(run_program(database, {"status", "PLAN", "--wait-for", "expanded", "--timeout", "0s"}, k_split).status == 0);
  CHECK(run_program(database, {"status", "PLAN", "--timeout", "1s"}, k_split).status == 2);
  CHECK(run_program(database, {"status", "PLAN", "--wait-for", "expanded", "--timeout", "soon"}, k_split).status == 2);

  auto waiting = std::async(std::launch::async, [&] {
    return run_program(database, {"status", "PLAN", "--wait-for", "verified", "--timeout", "5s"}, k_split);
  });
  database.wait_for("exists (select from pg_stat_activity where application_name = 'ecmigrate status')");
  own.stop();
  CHECK(waiting.get().status == 8);
}

TEST_CASE("status --watch ends in silence when its reader has gone") {
  Database database;
  expand_users(database);
  const std::string files = temporary_file("", "");
  for (const char* flags : {"--watch", "--watch --json"}) {
    const std::string first = shell(
        fmt::format("{{ ECMIGRATE_DATABASE_URL='{}' timeout 60 '{}' status {} 2>{}.err; echo $? >{}.status; }} | head "
                    "-n 1",
                    database.conninfo(), ECMIGRATE_PROGRAM, flags, files, files));
    CHECK_FALSE(first.empty());
    CHECK(text_of(files + ".status") == "0\n");
    CHECK(text_of(files + ".err").empty());
  }
}

TEST_CASE("status --wait-for ends when the run failed and nobody begins another") {
  Database database;
  database.exec(k_users);
  database.exec("update users set full_name = '' where id = 7");
  const std::string plan = failing_plan();
  REQUIRE(run_program(database, {"expand", "PLAN", "--check-rows", "1"}, plan).status == 0);
  auto waiting = std::async(std::launch::async, [&] {
    return run_program(database, {"status", "PLAN", "--wait-for", "verified"}, plan);
  });
  REQUIRE(run_program(database, {"backfill", "PLAN"}, plan).status == 1);
  const ProgramResult failed = waiting.get();
  CHECK(failed.status == 1);
  CHECK(contains(failed.err, "\"split\" is backfilling, and will not be verified: backfill ended with failed: "));
  CHECK(contains(failed.err, "hint: "));
}

TEST_CASE("status --wait-for waits on where the same command is to be run again") {
  Database database;
  expand_users(database);
  REQUIRE(run_program(database, {"backfill", "PLAN", "--pause-query", "select true", "--max-pause", "200ms"}, k_split)
              .status == 8);
  CHECK(run_program(database, {"status", "PLAN", "--wait-for", "verified", "--timeout", "6500ms"}, k_split).status ==
        8);
}

TEST_CASE("status --history says when it shows not all") {
  Database database;
  expand_users(database);
  database.exec(
      "delete from ecmigrate.events; insert into ecmigrate.events (migration, run, data) select 'split', 0, "
      "jsonb_build_object('v', 1, 'type', 'note', 'level', 'info', 'text', 'note ' || i) from generate_series(1, 2000) "
      "i");
  CHECK_FALSE(contains(run_program(database, {"status", "PLAN", "--history"}, k_split).out, "older ones"));
  database.exec(
      "insert into ecmigrate.events (migration, run, data) values ('split', 0, '{\"v\":1,\"type\":\"note\",\"level\":"
      "\"info\",\"text\":\"newest\"}')");
  const std::string text = run_program(database, {"status", "PLAN", "--history"}, k_split).out;
  CHECK_FALSE(contains(text, "note 1\n"));
  CHECK(contains(text, "note 2\n"));
  CHECK(contains(text, "newest\n"));
  const std::size_t at = text.find("  older ones: ");
  REQUIRE(at != std::string::npos);
  CHECK(at < text.find("note 2\n"));
  const std::size_t statement = at + std::string_view("  older ones: ").size();
  CHECK(contains(database.rows(text.substr(statement, text.find('\n', at) - statement)), "note 1"));
  const std::string lines = run_program(database, {"status", "PLAN", "--history", "--json"}, k_split).out;
  CHECK(contains(lines, "\"history_is_cut\":true"));
}
