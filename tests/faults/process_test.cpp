#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <random>
#include <thread>

#include "faults/faulty_run.hpp"
#include "support/catch.hpp"
#include "support/fixtures.hpp"

namespace ecmigrate::test {

namespace {

/// The real program, running beside the test.
class Program {
 public:
  Program(const Database& database, const std::string& command, const std::string& plan,
          const std::vector<std::string>& more = {}) {
    std::vector<std::string> words{ECMIGRATE_PROGRAM, command, temporary_file(plan, ".yaml"), "--dbname",
                                   database.conninfo()};
    words.insert(words.end(), more.begin(), more.end());
    std::vector<char*> arguments;
    for (std::string& word : words) {
      arguments.push_back(word.data());
    }
    arguments.push_back(nullptr);
    const std::string err = temporary_file("", ".err");
    m_pid = fork();
    if (m_pid == 0) {
      ::dup2(::open("/dev/null", O_WRONLY), STDOUT_FILENO);
      ::dup2(::open(err.c_str(), O_WRONLY | O_TRUNC), STDERR_FILENO);
      execv(arguments[0], arguments.data());
      _exit(99);
    }
  }
  ~Program() {
    if (m_pid > 0) {
      ::kill(m_pid, SIGKILL);
      ::waitpid(m_pid, nullptr, 0);
    }
  }
  Program(const Program&) = delete;
  Program& operator=(const Program&) = delete;

  void signal(int number) const { ::kill(m_pid, number); }
  /// Exit status, or 128 plus the signal that ended it.
  int wait() {
    int status = 0;
    ::waitpid(m_pid, &status, 0);
    m_pid = -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  }

 private:
  pid_t m_pid = -1;
};

/// Asks until the answer is "t"; fails the test after a minute.
void wait_for(Database& database, const std::string& condition) {
  for (int i = 0; i < 12'000; ++i) {
    if (database.value("select " + condition) == "t") {
      return;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  FAIL("never came true: " << condition);
}

// Small batches, and a rate at which all rows take four seconds on the fastest machine: a signal always finds it at
// work.
constexpr int k_rows = 80'000;
const std::vector<std::string> k_small_batches{"--target-batch", "1ms", "--max-rows-rate", "20000/s"};

void make_many_users(Database& database) {
  database.exec(
      "create table users (id int primary key, full_name text not null, note text not null default repeat('n', 300))");
  database.exec(fmt::format(
      "insert into users (id, full_name) select i, 'Ann Lee' || i from generate_series(1, {}) i; analyze users",
      k_rows));
}

std::string batches_are(int batches) {
  return fmt::format("coalesce((select sum(batches) from ecmigrate.windows), 0) >= {}", batches);
}

const std::string k_nobody_runs =
    "not exists (select from pg_stat_activity where datname = current_database() and application_name like "
    "'ecmigrate%')";

/// Keeps the row version of every row that is filled, so that a later look tells which were written again.
void remember_filled(Database& database) {
  database.exec(
      "create table if not exists filled (id int primary key, version text); insert into filled select id, xmin::text "
      "from users "
      "where first_name is not null on conflict do nothing");
}

std::string written_again(Database& database) {
  return database.value("select count(*) from filled join users using (id) where version <> users.xmin::text");
}

}  // namespace

TEST_CASE("a backfill that is killed again and again goes on without writing a finished row twice") {
  Database database;
  make_many_users(database);
  migrate(database, k_split, "expand");
  int killed = 0;
  for (const int batches : {1, 5, 20, 60}) {
    Program program(database, "backfill", k_split, k_small_batches);
    wait_for(database, batches_are(batches));
    program.signal(SIGKILL);
    killed += program.wait() == 128 + SIGKILL ? 1 : 0;
    wait_for(database, k_nobody_runs);
    remember_filled(database);
    CHECK(database.value("select count(*) > 0 from filled") == "t");
  }
  CHECK(killed == 4);
  CHECK(database.value("select count(*) > 0 from users where first_name is null") == "t");
  Program program(database, "backfill", k_split);
  CHECK(program.wait() == 0);
  CHECK(written_again(database) == "0");
  CHECK(database.value("select sum(rows) from ecmigrate.windows") == std::to_string(k_rows));
  migrate(database, k_split, "verify contract");
}

TEST_CASE(
    "two workers that are killed twenty times beside writers write no finished row twice, and the result verifies "
    "clean") {
  Database database;
  make_many_users(database);
  migrate(database, k_split, "expand");
  std::atomic<int> writes{0};
  std::jthread writer([&](const std::stop_token& stop) {
    const auto session = database.connect();
    std::mt19937 random(1);
    std::uniform_int_distribution<int> tenth(1, k_rows / 10);
    for (; !stop.stop_requested(); ++writes) {
      const int id = 10 * tenth(random);  // every tenth row is the writer's, in either shape
      session->query(
          writes % 2 == 0
              ? fmt::format("update users set full_name = 'Old W{}' where id = {}", writes.load(), id)
              : fmt::format("update users set first_name = 'New', last_name = 'W{}' where id = {}", writes.load(), id));
    }
  });
  std::mt19937 random(2);
  std::uniform_int_distribution<int> more(1, 25);
  int killed = 0;
  // Each run has a quarter of a second's rows to begin with; those of all runs must be few.
  const std::vector<std::string> slowly{"--target-batch", "1ms", "--max-rows-rate", "2000/s", "--workers", "2"};
  for (int i = 0; i < 20; ++i) {
    const int batches = std::stoi(database.value("select coalesce(sum(batches), 0) from ecmigrate.windows"));
    Program program(database, "backfill", k_split, slowly);
    wait_for(database, batches_are(batches + more(random)));
    program.signal(SIGKILL);
    killed += program.wait() == 128 + SIGKILL ? 1 : 0;
    wait_for(database, k_nobody_runs);
    remember_filled(database);
  }
  CHECK(killed == 20);
  CHECK(database.value("select count(*) > 1000 from filled") == "t");
  CHECK(database.value("select count(*) > 0 from users where first_name is null") == "t");
  CHECK(Program(database, "backfill", k_split, {"--workers", "2"}).wait() == 0);
  writer.request_stop();
  writer.join();
  CHECK(writes > 100);
  CHECK(database.value(
            "select count(*) from filled join users using (id) where id % 10 <> 0 and version <> users.xmin::text") ==
        "0");
  CHECK(Program(database, "verify", k_split).wait() == 0);
  migrate(database, k_split, "contract");
}

TEST_CASE("status tells a run that is at work from one whose runner is gone") {
  Database database;
  make_many_users(database);
  migrate(database, k_split, "expand");
  const auto status = [&] { return run_program(database, {"status"}).out; };
  const auto lost_in_json = [&] {
    return run_program(database, {"status", "--json"}).out.find(R"("lost":true)") != std::string::npos;
  };
  Program program(database, "backfill", k_split, {"--target-batch", "1ms", "--max-rows-rate", "1000/s"});
  wait_for(database, batches_are(1));
  CHECK(status().find("  running: backfill on ") != std::string::npos);
  wait_for(database, "exists (select from ecmigrate.progress)");
  CHECK(status().find("  users  ") != std::string::npos);
  CHECK(status().find(" rows/s  batch p50 ") != std::string::npos);
  CHECK(run_program(database, {"status", "--json"})
            .out.find(R"("progress":[{"v":1,"type":"progress","phase":"backfill","relation":"users","percent":)") !=
        std::string::npos);
  CHECK_FALSE(lost_in_json());
  // A runner that stands still holds its lock, but gives no sign of life.
  program.signal(SIGSTOP);
  // A heartbeat that it had sent before may be carried out at any later time: the trigger lets none be seen.
  database.exec(
      "create function unseen() returns trigger language plpgsql as $$ begin new.seen_at := clock_timestamp() - "
      "interval '1 minute'; return new; end $$; "
      "create trigger unseen before update on ecmigrate.runs for each row execute function unseen(); "
      "update ecmigrate.runs set seen_at = null");
  CHECK(status().find("  lost: backfill on ") != std::string::npos);
  CHECK(lost_in_json());
  database.exec("drop trigger unseen on ecmigrate.runs");
  program.signal(SIGCONT);
  wait_for(database, "max(seen_at) > clock_timestamp() - interval '30 seconds' from ecmigrate.runs");
  CHECK_FALSE(lost_in_json());
  program.signal(SIGKILL);
  program.wait();
  wait_for(database, k_nobody_runs);
  CHECK(status().find("  lost: backfill on ") != std::string::npos);
  CHECK(lost_in_json());
  CHECK(Program(database, "backfill", k_split).wait() == 0);
  CHECK(status().find("lost") == std::string::npos);
  CHECK_FALSE(lost_in_json());
}

TEST_CASE("a signal ends the backfill at a checkpoint, and the next run goes on from it") {
  for (const auto& [number, status, outcome] :
       {std::tuple(SIGINT, 130, "interrupted"), std::tuple(SIGTERM, 143, "terminated"),
        std::tuple(SIGHUP, 143, "terminated")}) {
    Database database;
    make_many_users(database);
    migrate(database, k_split, "expand");
    Program program(database, "backfill", k_split, k_small_batches);
    wait_for(database, batches_are(5));
    program.signal(number);
    CHECK(program.wait() == status);
    CHECK(database.value("select outcome from ecmigrate.runs order by id desc limit 1") == outcome);
    CHECK(database.value("select state from ecmigrate.migrations") == "backfilling");
    CHECK(database.value("select count(*) > 0 from users where first_name is null") == "t");
    wait_for(database, k_nobody_runs);
    // What the journal counts is what is in the table: the checkpoint is exact.
    CHECK(database.value(
              "select sum(rows) = (select count(*) from users where first_name is not null) from ecmigrate.windows") ==
          "t");
    remember_filled(database);
    CHECK(Program(database, "backfill", k_split).wait() == 0);
    CHECK(written_again(database) == "0");
    CHECK(Program(database, "verify", k_split).wait() == 0);
  }
}

TEST_CASE("a signal while expand waits for its lock ends it with nothing changed") {
  Database database;
  database.exec(k_users);
  const std::string before = database.schema();
  const auto holder = database.connect();
  holder->script("begin; lock table users in access share mode");
  Program program(database, "expand", k_split, {"--lock-timeout", "60s"});
  const std::string waits =
      "exists (select from pg_stat_activity where datname = current_database() and application_name like 'ecmigrate%' "
      "and wait_event_type = 'Lock')";
  wait_for(database, waits);
  program.signal(SIGINT);
  // The holder stays: only the signal can have ended it.
  CHECK(program.wait() == 130);
  CHECK(database.schema() == before);
  holder->query("commit");
  CHECK(Program(database, "expand", k_split).wait() == 0);
}

TEST_CASE("a signal while a concurrent index waits for an old transaction leaves what the next run cleans up") {
  const std::string plan = R"yaml(
name: index
operations:
  - create_index: { table: users, name: users_full_name, columns: [ { column: full_name } ] }
)yaml";
  Database database;
  database.exec(k_users);
  const auto holder = database.connect();
  holder->script("begin; update users set email = email where id = 1");
  Program program(database, "expand", plan);
  wait_for(database,
           "exists (select from pg_index where indexrelid = to_regclass('users_full_name') and not indisvalid) and "
           "exists (select from pg_stat_activity where datname = current_database() and query ilike 'create index "
           "concurrently%' and wait_event_type = 'Lock')");
  program.signal(SIGINT);
  CHECK(program.wait() == 130);
  CHECK(database.value("select indisvalid from pg_index where indexrelid = 'users_full_name'::regclass") == "f");
  CHECK(database.value("select done from ecmigrate.steps") == "f");
  holder->query("commit");
  CHECK(Program(database, "expand", plan).wait() == 0);
  CHECK(database.value("select indisvalid from pg_index where indexrelid = 'users_full_name'::regclass") == "t");
  CHECK(database.value("select count(*) from pg_index where not indisvalid") == "0");
  CHECK(database.value("select done from ecmigrate.steps") == "t");
}

}  // namespace ecmigrate::test
