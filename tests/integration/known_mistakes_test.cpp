// Mistakes of expand-contract scripts and demonstrations that were seen to lose data or to stop an application; each
// test shows that a migration here does not make it. Order of phases, rollback and the whole workload have tests of
// their own (phases_test, tests/faults).

#include <atomic>
#include <set>
#include <thread>

#include "ecmigrate/base/error.hpp"
#include "support/catch.hpp"
#include "support/fixtures.hpp"
#include "support/server.hpp"

namespace ecmigrate::test {

TEST_CASE("after contract the new application writes", "[version]") {
  Database database;
  database.exec(k_users);
  migrate(database, k_split, "expand backfill verify contract");
  database.exec(
      "insert into users (first_name, last_name, email) values ('Bo', 'Derek', 'bo@example.com'); "
      "update users set last_name = 'Didley' where email = 'bo@example.com'");
  CHECK(database.value("select first_name || last_name from users where email = 'bo@example.com'") == "BoDidley");
}

TEST_CASE("an update of the old column after its row was filled is not lost", "[version]") {
  Database database;
  database.exec(k_users);
  migrate(database, k_split, "expand backfill");
  database.exec("update users set full_name = 'Bea Kim' where id = 7");
  migrate(database, k_split, "verify contract");
  CHECK(database.rows("select first_name, last_name from users where id = 7") == "Bea|Kim");
}

TEST_CASE("rows written at any moment between the phases need no second backfill", "[version]") {
  Database database;
  database.exec(k_users);
  for (const std::string phase : {"expand", "backfill", "verify"}) {
    migrate(database, k_split, phase);
    database.exec("insert into users (full_name, email) values ('Gap Row', '" + phase + "@example.com')");
  }
  migrate(database, k_split, "contract");
  CHECK(database.value("select count(*) from users where first_name = 'Gap' and last_name = 'Row'") == "3");
}

TEST_CASE("values are compared, in every column, and not only nulls counted", "[version]") {
  Database database;
  database.exec(k_users);
  migrate(database, k_split, "expand backfill");
  // Past the trigger, as a restore or a replica would write: the row looks filled, and is stale.
  database.exec(
      "begin; set local session_replication_role = replica; update users set last_name = 'Wrong' where id = 9; commit");
  Recorder recorder;
  CHECK_THROWS_AS(migrate(database, k_split, "verify", &recorder), Error);
  REQUIRE(recorder.all<event::Difference>().size() == 1);
  CHECK(recorder.all<event::Difference>()[0].key == "id=9");
  CHECK(recorder.all<event::Difference>()[0].new_values.find("'Wrong'") != std::string::npos);
  CHECK_THROWS_AS(migrate(database, k_split, "contract"), Error);
  CHECK(database.value("select full_name from users where id = 9") == "Ann9 Lee9");
}

TEST_CASE("a row whose source is null does not keep the backfill busy for ever", "[version]") {
  Database database;
  database.exec(k_users);
  database.exec(
      "alter table users alter column full_name drop not null; insert into users (full_name, email) values (null, "
      "'null@example.com')");
  std::string plan = k_split;
  for (std::size_t at = 0; (at = plan.find("nullable: false", at)) != std::string::npos;) {
    plan.replace(at, 15, "nullable: true");
  }
  Recorder recorder;
  migrate(database, plan, "expand backfill verify", &recorder);
  for (const event::Progress& progress : recorder.all<event::Progress>()) {
    CHECK(progress.percent <= 100);
  }
  migrate(database, plan, "contract");
  CHECK(database.rows("select first_name, last_name from users where email = 'null@example.com'") == "null|null");
}

TEST_CASE("a value that does not fit the new column is found before anything is changed", "[version]") {
  Database database;
  database.exec(k_users);
  database.exec("insert into users (full_name, email) values ('Al ' || repeat('x', 200), 'long@example.com')");
  std::string plan = k_split;
  const std::string type = "last_name, type: text";
  plan.replace(plan.find(type), type.size(), "last_name, type: varchar(127)");
  const std::string before = database.schema();
  try {
    migrate(database, plan, "expand");
    FAIL("not refused");
  } catch (const Error& error) {
    CHECK(error.outcome() == Outcome::refused);
    CHECK(std::string(error.what()).find("id=3003") != std::string::npos);
    CHECK(std::string(error.what()).find("too long") != std::string::npos);
  }
  CHECK(database.schema() == before);
  CHECK(database.value("select to_regnamespace('ecmigrate')") == "null");
}

TEST_CASE("rows that come in during the backfill do not push the percent past 100 or back", "[version]") {
  Database database;
  database.exec(k_users);
  migrate(database, k_split, "expand");
  std::atomic<bool> stop{false};
  std::thread writer([&] {
    const auto connection = database.connect();
    for (int i = 0; !stop && i < 5000; ++i) {
      connection->query("insert into users (full_name, email) values ('New Row', $1)",
                        {"new" + std::to_string(i) + "@example.com"});
    }
  });
  Recorder recorder;
  RunOptions slow;
  slow.pace.target_batch = std::chrono::milliseconds(10);
  migrate(database, k_split, "backfill verify", &recorder, slow);
  stop = true;
  writer.join();
  double percent = 0;
  for (const event::Progress& progress : recorder.all<event::Progress>()) {
    if (progress.phase == "backfill") {
      CHECK(progress.percent >= percent);
      CHECK(progress.percent <= 100);
      percent = progress.percent;
    }
  }
  CHECK(percent == 100);
}

TEST_CASE("many writers of both versions at once, and none fails", "[version]") {
  Database database;
  database.exec(k_users);
  migrate(database, k_split, "expand");
  std::atomic<int> failed{0};
  std::vector<std::thread> writers;
  for (int writer = 0; writer < 8; ++writer) {
    writers.emplace_back([&, writer] {
      const auto connection = database.connect();
      for (int i = 0; i < 25; ++i) {
        const std::string email = std::to_string(writer) + "-" + std::to_string(i) + "@example.com";
        try {
          connection->query(writer % 2 == 0
                                ? "insert into users (full_name, email) values ('Old App', $1)"
                                : "insert into users (first_name, last_name, email) values ('New', 'App', $1)",
                            {email});
        } catch (const Error&) {
          ++failed;
        }
      }
    });
  }
  for (std::thread& writer : writers) {
    writer.join();
  }
  CHECK(failed == 0);
  CHECK(database.value("select count(*) from users where (full_name, first_name, last_name) in (('Old App', 'Old', "
                       "'App'), ('New App', 'New', 'App'))") == "200");
}

TEST_CASE("status tells the truth after contract, when the old column is gone", "[version]") {
  Database database;
  database.exec(k_users);
  migrate(database, k_split, "expand backfill verify contract");
  const ProgramResult status = run_program(database, {"status", "PLAN"}, k_split);
  CHECK(status.status == 0);
  CHECK(status.out.find("contracted") != std::string::npos);
  CHECK(status.out.find("3,002 rows, 0 differences") != std::string::npos);
}

TEST_CASE("a backfill that is run again changes no row", "[version]") {
  Database database;
  database.exec(k_users);
  migrate(database, k_split, "expand backfill");
  const std::string before = database.value("select sum(xmin::text::bigint) from users");
  migrate(database, k_split, "backfill verify verify");
  CHECK(database.value("select sum(xmin::text::bigint) from users") == before);
}

}  // namespace ecmigrate::test
