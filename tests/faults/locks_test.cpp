#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <future>
#include <limits>
#include <random>
#include <thread>

#include "ecmigrate/base/error.hpp"
#include "ecmigrate/steps/step_runner.hpp"
#include "faults/faulty_run.hpp"
#include "support/catch.hpp"
#include "support/fixtures.hpp"

namespace ecmigrate::test {

namespace {

using std::chrono::milliseconds;

/// What a busy machine may add to a wait by the client's clock; the issue allows 100 ms on an idle one.
constexpr milliseconds k_slack{400};

/// Does something at chosen events.
class Reacting final : public Observer {
 public:
  explicit Reacting(std::function<void(const Event&)> reaction) : m_reaction(std::move(reaction)) {}
  void on(const Event& event) override {
    recorder.on(event);
    m_reaction(event);
  }
  Recorder recorder;

 private:
  std::function<void(const Event&)> m_reaction;
};

/// Another user of the table, who asks for one row again and again and remembers the longest answer.
class Reader {
 public:
  explicit Reader(const Database& database)
      : m_thread([this, session = database.connect()](const std::stop_token& stop) {
          while (!stop.stop_requested()) {
            const auto begin = std::chrono::steady_clock::now();
            session->query("select * from users limit 1");
            m_longest = std::max(m_longest.load(),
                                 std::chrono::duration_cast<milliseconds>(std::chrono::steady_clock::now() - begin));
            ++m_answers;
            std::this_thread::sleep_for(milliseconds(1));  // a client, not a load test
          }
        }) {}
  milliseconds longest() {
    m_thread.request_stop();
    m_thread.join();
    return m_longest;
  }
  [[nodiscard]] int answers() const { return m_answers; }

 private:
  std::atomic<milliseconds> m_longest{milliseconds(0)};
  std::atomic<int> m_answers{0};
  std::jthread m_thread;
};

}  // namespace

TEST_CASE("the ladder of lock timeouts begins short and never passes the longest") {
  std::vector<std::int64_t> ladder;
  for (int i = 0; i < 8; ++i) {
    ladder.push_back(lock_try_timeout(i, milliseconds(500)).count());
  }
  CHECK(ladder == std::vector<std::int64_t>{100, 100, 200, 300, 400, 500, 500, 500});
  CHECK(lock_try_timeout(0, milliseconds(50)) == milliseconds(50));
  CHECK(lock_try_timeout(5, milliseconds(250)) == milliseconds(250));
  CHECK(lock_try_timeout(100, milliseconds(900)) == milliseconds(900));
}

TEST_CASE(
    "a reader idle in transaction is named, nobody else waits longer than a try, and expand succeeds when it is gone") {
  Database database;
  database.exec(k_users);
  const auto idle = database.connect("application_name=report");
  idle->script("begin; select count(*) from users");
  const int pid = idle->backend_pid();
  Reader reader(database);
  int tries = 0;
  Reacting observer([&](const Event& event) {
    if (std::holds_alternative<event::LockTryFailed>(event) && ++tries == 5) {
      idle->query("commit");
    }
  });
  RunOptions options;
  options.lock_timeout = milliseconds(300);
  migrate_with(database, k_split, "expand", system_clock(), observer, options);
  const milliseconds longest = reader.longest();
  CHECK(longest <= options.lock_timeout + k_slack);
  CHECK(reader.answers() > 0);
  const auto failures = observer.recorder.all<event::LockTryFailed>();
  REQUIRE(failures.size() == 5);
  int named = 0;
  for (const auto& failure : failures) {
    CHECK(failure.mode == "ACCESS EXCLUSIVE");
    if (failure.blockers.empty()) {
      continue;  // a short try may end before the watch has looked
    }
    const auto blocker = std::ranges::find(failure.blockers, pid, &Blocker::pid);
    REQUIRE(blocker != failure.blockers.end());
    CHECK(blocker->application == "report");
    CHECK(blocker->state == "idle in transaction");
    ++named;
  }
  CHECK(named > 0);
  const auto steps = observer.recorder.all<event::StepFinished>();
  REQUIRE(steps.size() == 1);
  CHECK(steps[0].tries == 6);
  CHECK(steps[0].held_ms > 0);
  CHECK(steps[0].waited_ms >= 5 * 50);
  CHECK(steps[0].blocked_sessions > 0);
  CHECK(steps[0].blocked_longest_ms > 0);
  CHECK(database.value("select blocked_sessions > 0 and tries = 6 and held_ms > 0 from ecmigrate.locks") == "t");
}

TEST_CASE("a lock that is never granted ends with its own outcome, the name of the one in the way, and nothing changed",
          "[superuser]") {
  Database database;
  database.exec(k_users);
  const std::string before = database.schema();
  const auto idle = database.connect("application_name=report");
  idle->script("begin; select count(*) from users");
  RunOptions options;
  options.lock_timeout = milliseconds(500);
  options.lock_budget = milliseconds(5000);
  const Error error = error_of([&] { migrate(database, k_split, "expand", nullptr, options); });
  CHECK(error.outcome() == Outcome::lock_not_obtained);
  CHECK(outcome_row(error.outcome()).exit_code == 5);
  CHECK(
      std::string(error.what()).find(fmt::format("pid {} postgres@report, idle in transaction", idle->backend_pid())) !=
      std::string::npos);
  CHECK(database.schema() == before);
  CHECK(database.value("select state from ecmigrate.migrations") == "expanding");
  idle->query("commit");
  migrate(database, k_split, "expand backfill verify contract");
  CHECK(database.value("select state from ecmigrate.migrations") == "contracted");
}

TEST_CASE("a prepared transaction in the way is said to be one") {
  Database database;
  database.exec(k_users);
  const std::string name = database.name() + "_in_the_way";
  database.exec("begin; update users set email = 'x' where id = 1; prepare transaction '" + name + "'");
  RunOptions options;
  options.lock_timeout = milliseconds(500);
  options.lock_budget = milliseconds(5000);
  Recorder recorder;
  const Error error = error_of([&] { migrate(database, k_split, "expand", &recorder, options); });
  database.exec("rollback prepared '" + name + "'");
  CHECK(error.outcome() == Outcome::lock_not_obtained);
  CHECK(std::string(error.what()).find("prepared transaction") != std::string::npos);
  const auto failures = recorder.all<event::LockTryFailed>();
  const auto told = std::ranges::find_if(failures, [](const auto& failure) { return !failure.blockers.empty(); });
  REQUIRE(told != failures.end());
  CHECK(told->blockers[0].pid == 0);
}

TEST_CASE("rows that are locked are left for later, waited for in a second round, and filled when they are free") {
  Database database;
  database.exec(k_users);
  migrate(database, k_split, "expand");
  const auto holder = database.connect("application_name=holder");
  holder->script("begin; select from users where id in (5, 1500) for update");
  std::atomic<bool> done{false};
  std::string filled_meanwhile;
  std::jthread release([&, watcher = database.connect()] {
    while (!done &&
           watcher->query("select coalesce(bool_or(sweeping), false) from ecmigrate.windows").text(0, 0) != "t") {
      std::this_thread::sleep_for(milliseconds(5));
    }
    filled_meanwhile = watcher->query("select count(*) filter (where first_name is not null) from users").text(0, 0);
    holder->query("commit");
  });
  Recorder recorder;
  try {
    migrate(database, k_split, "backfill", &recorder);
  } catch (const std::exception& error) {
    FAIL_CHECK(error.what());
  }
  done = true;
  release.join();
  CHECK(filled_meanwhile == "3000");
  CHECK(database.value("select count(*) from users where first_name is null") == "0");
  const auto progress = recorder.all<event::Progress>();
  CHECK(std::ranges::is_sorted(progress, {}, &event::Progress::percent));
  migrate(database, k_split, "verify contract");
}

TEST_CASE("a row that stays locked ends the backfill with its own outcome and keeps the rows that are finished") {
  Database database;
  database.exec(k_users);
  migrate(database, k_split, "expand");
  const auto holder = database.connect();
  holder->script("begin; select from users where id = 1500 for update");
  RunOptions options;
  options.lock_budget = milliseconds(300);
  const Error error = error_of([&] { migrate(database, k_split, "backfill", nullptr, options); });
  CHECK(error.outcome() == Outcome::lock_not_obtained);
  CHECK(database.value("select count(*) from users where first_name is null") == "1");
  CHECK(database.value("select state from ecmigrate.migrations") == "backfilling");
  holder->query("commit");
  const std::string finished = "select md5(string_agg(xmin::text, ',' order by id)) from users where id <> 1500";
  const std::string before = database.value(finished);
  migrate(database, k_split, "backfill verify");
  CHECK(database.value(finished) == before);
}

TEST_CASE("a row that was locked in a run that ended early is filled by the next") {
  Database database;
  database.exec(
      "create table users (id int primary key, full_name text not null, note text not null default repeat('n', 300))");
  database.exec(
      "insert into users (id, full_name) select i, 'Ann Lee' || i from generate_series(1, 80000) i; analyze users");
  migrate(database, k_split, "expand");
  const auto holder = database.connect();
  holder->script("begin; select from users where id = 7 for update");
  // The first run ends when the window with the locked row is done, and another is not.
  RunOptions options;
  options.pace.workers = 1;
  const Error ended = error_of([&] {
    migrate(database, k_split, "backfill", nullptr, options, [&](pg::CallMoment moment, int, std::string_view sql) {
      if (moment == pg::CallMoment::before && fills(sql) &&
          database.value("select exists (select from ecmigrate.windows where done and skipped) and exists (select from "
                         "ecmigrate.windows where not done)") == "t") {
        throw Error(Outcome::failed, "ended early");
      }
    });
  });
  REQUIRE(std::string(ended.what()) == "ended early");
  holder->query("commit");
  migrate(database, k_split, "backfill");
  CHECK(database.value("select count(*) from users where first_name is null") == "0");
  migrate(database, k_split, "verify contract");
}

TEST_CASE("writers that lock rows in any order are never in a deadlock with the backfill") {
  Database database;
  database.exec(k_users);
  database.exec("insert into users (full_name, email) select 'Bob Ray', 'more' || i from generate_series(1, 30000) i");
  // Far more than a batch on a busy machine and a wait of the backfill's together.
  database.exec("alter database " + database.name() + " set deadlock_timeout = '5s'");
  migrate(database, k_split, "expand");
  std::atomic<int> failed{0};
  std::atomic<int> done{0};
  const auto writer = [&](unsigned seed, const std::stop_token& stop) {
    const auto session = database.connect();
    std::mt19937 random(seed);
    std::uniform_int_distribution<int> id(1, 33002);
    while (!stop.stop_requested()) {
      // Two writers never meet (odd and even ids), so that only the backfill could make a deadlock.
      const int a = id(random) * 2 + static_cast<int>(seed % 2);
      const int b = id(random) * 2 + static_cast<int>(seed % 2);
      try {
        session->script(fmt::format(
            "begin; update users set email = email where id = {}; update users set email = email where id = {}; commit",
            a, b));
        ++done;
      } catch (const pg::SqlError&) {
        ++failed;
      }
    }
  };
  {
    std::jthread one([&](const std::stop_token& stop) { writer(1, stop); });
    std::jthread two([&](const std::stop_token& stop) { writer(2, stop); });
    RunOptions options;
    options.pace.target_batch = milliseconds(200);
    migrate(database, k_split, "backfill", nullptr, options);
  }
  CHECK(failed == 0);
  CHECK(done > 0);
  CHECK(database.value("select deadlocks from pg_stat_database where datname = current_database()") == "0");
  migrate(database, k_split, "verify");
}

TEST_CASE(
    "where a writer and the backfill wait for each other, the backfill lets go before the server finds a deadlock") {
  Database database;
  database.exec(k_users);
  database.exec("alter database " + database.name() + " set deadlock_timeout = '5s'");
  migrate(database, k_split, "expand");
  const auto writer = database.connect();
  writer->script("begin; update users set email = email where id = 2");
  auto crosses = std::async(std::launch::async, [&] {
    // The batch that waits for row 2 has written row 1.
    database.wait_for(
        fmt::format("exists (select from pg_stat_activity where application_name like 'ecmigrate%' and {} = any "
                    "(pg_blocking_pids(pid)))",
                    writer->backend_pid()));
    writer->script("update users set email = email where id = 1; commit");
  });
  RunOptions options;
  options.pace.target_batch =
      std::chrono::minutes(1);  // long waits for rows must not be possible by asking for long batches
  migrate(database, k_split, "backfill", nullptr, options);
  CHECK_NOTHROW(crosses.get());
  CHECK(database.value("select deadlocks from pg_stat_database where datname = current_database()") == "0");
  migrate(database, k_split, "verify");
}

namespace {

/// A table that is migrated again and again.
class Migrated {
 public:
  explicit Migrated(int rows) {
    m_database.exec(fmt::format(
        "create table source as select i as id, 'Ann Lee' as full_name from generate_series(1, {}) i", rows));
  }

  void migrate_once() {
    m_database.exec(
        "drop schema if exists ecmigrate cascade; drop table if exists users; create table users (id int primary key, "
        "full_name text not null); "
        "insert into users select * from source; analyze users");
    Recorder recorder;
    migrate(m_database, k_split, "expand backfill verify contract", &recorder);
    double in_expand = 0;
    double in_contract = 0;
    for (const auto& step : recorder.all<event::StepFinished>()) {
      if (step.mode == "ACCESS EXCLUSIVE") {
        (step.phase == "expand" ? in_expand : in_contract) += step.held_ms;
      }
    }
    expand = std::min(expand, in_expand);
    contract = std::min(contract, in_contract);
  }

  // The shortest time that the phase held its lock.
  double expand = std::numeric_limits<double>::max();
  double contract = std::numeric_limits<double>::max();

 private:
  Database m_database;
};

}  // namespace

TEST_CASE("how long expand and contract hold their lock does not depend on the size of the table") {
  Migrated small(20'000);
  Migrated large(400'000);
  // In turns, and the shortest of each, so that what else the machine does meets both.
  for (int i = 0; i < 5; ++i) {
    small.migrate_once();
    large.migrate_once();
  }
  INFO(fmt::format("expand {:.1f} and {:.1f} ms, contract {:.1f} and {:.1f} ms", small.expand, large.expand,
                   small.contract, large.contract));
  constexpr double k_floor_ms = 5;  // a scan of the large table would take some 20 ms
  CHECK(large.expand > 0);
  CHECK(large.contract > 0);
  CHECK(large.expand < 3 * small.expand + k_floor_ms);
  CHECK(large.contract < 3 * small.contract + k_floor_ms);
}

}  // namespace ecmigrate::test
