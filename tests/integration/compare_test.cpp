#include "ecmigrate/scene/compare.hpp"

#include <fmt/format.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>
#include <thread>

#include "support/catch.hpp"
#include "support/fixtures.hpp"
#include "support/server.hpp"

namespace ecmigrate::test {

namespace {

namespace fs = std::filesystem;
using nlohmann::json;

const std::string k_split_plan = ECMIGRATE_SOURCE_DIR "/plans/split-full-name.yaml";

/// A plan of which no naive way can be derived.
constexpr const char* k_audited =
    "name: audited\noperations:\n  - sql: { expand: \"create table audit_note (id bigint)\", rollback: \"drop table "
    "audit_note\" }\n"
    "  - drop_column: { table: users, column: newsletter }\n";

std::string text_of(const fs::path& path) {
  std::ifstream file(path);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

/// A folder for temporary files of its own, so that no other comparison on this machine is in the way.
class TemporaryFolder {
 public:
  explicit TemporaryFolder(const std::string& name) : m_path(fs::path(temporary_file("", ".x")).parent_path() / name) {
    fs::create_directory(m_path);
    fs::permissions(m_path, fs::perms::all);
  }
  [[nodiscard]] const fs::path& path() const { return m_path; }
  [[nodiscard]] bool empty() const { return fs::is_empty(m_path); }

 private:
  fs::path m_path;
};

/// Runs `ecmigrate compare` with these words.
ProgramResult run_compare(const TemporaryFolder& folder, const std::string& words) {
  const std::string out = temporary_file("", ".out");
  const std::string err = temporary_file("", ".err");
  const int status = std::system(fmt::format("TMPDIR={} {} compare {} </dev/null >{} 2>{}", folder.path().string(),
                                             ECMIGRATE_PROGRAM, words, out, err)
                                     .c_str());
  return {WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status), text_of(out), text_of(err)};
}

/// The line of the output that is the comparison.
json comparison_of(const ProgramResult& result) {
  INFO(result.out << result.err);
  REQUIRE(result.status == 0);
  std::istringstream lines(result.out);
  for (std::string line; std::getline(lines, line);) {
    if (json parsed = json::parse(line); parsed["type"] == "comparison") {
      parsed.erase("seq");
      parsed.erase("ts");
      return parsed;
    }
  }
  FAIL("no comparison");
  return {};
}

/// A database that nobody is connected to, as it has to be for being copied.
class IdleDatabase {
 public:
  explicit IdleDatabase(const std::string& sql) : m_name(fmt::format("idle_{}", getpid())) {
    maintenance("create database " + m_name);
    pg::Connection({conninfo(), "test", nullptr}).script(sql);
  }
  ~IdleDatabase() {
    try {
      maintenance("drop database if exists " + m_name + " with (force)");
    } catch (const std::exception&) {
      // The server goes with the run anyway.
    }
  }
  IdleDatabase(const IdleDatabase&) = delete;
  IdleDatabase& operator=(const IdleDatabase&) = delete;

  [[nodiscard]] std::string conninfo() const { return server() + " dbname=" + m_name; }

 private:
  static void maintenance(const std::string& sql) {
    pg::Connection({server() + " dbname=postgres", "test", nullptr}).query(sql);
  }
  std::string m_name;
};

std::vector<std::string> members(const json& object) {
  std::vector<std::string> names;
  for (const auto& [name, value] : object.items()) {
    names.push_back(name);
  }
  return names;
}

void has_members(const json& object, const std::vector<std::string>& names) {
  for (const std::string& name : names) {
    INFO(name);
    CHECK(object.contains(name));
  }
}

}  // namespace

TEST_CASE("compare: the naive way stops the application for as long as it takes, expand-contract does not") {
  const TemporaryFolder folder("cmp-split");
  const std::string file = temporary_file("", ".json");
  const ProgramResult result = run_compare(folder, k_split_plan + " --rows 5k,20k --json --out " + file);
  const json comparison = comparison_of(result);
  CHECK(json::parse(text_of(file)) == comparison);
  CHECK(folder.empty());

  has_members(comparison, {"v", "at", "server", "plan", "table", "rows", "requests_per_second",
                           "application_timeout_ms", "kindest", "expand_contract", "naive", "lock_queue", "sizes"});
  CHECK(comparison["plan"] == "split-full-name");
  CHECK(comparison["table"] == "users");
  CHECK(comparison["rows"] == 20'000);
  REQUIRE(comparison["sizes"].size() == 2);
  CHECK(members(comparison["sizes"][0]) ==
        std::vector<std::string>{"contract_held_ms", "expand_held_ms", "naive_held_ms", "rows"});
  CHECK(comparison["sizes"][0]["rows"] == 5'000);
  for (const json& scene : {comparison, comparison["lock_queue"]}) {
    for (const char* side : {"expand_contract", "naive"}) {
      has_members(scene[side],
                  {"requests", "failed", "p50_ms", "p99_ms", "max_ms", "longest_gap_ms", "locks",
                   "longest_stopping_lock_ms", "sessions_blocked", "duration_ms", "rows_per_second", "wal_bytes",
                   "table_bytes_before", "table_bytes_after", "index_bytes_before", "index_bytes_after", "errors"});
      for (const json& lock : scene[side]["locks"]) {
        has_members(lock, {"phase", "step", "relation", "mode", "stops", "tries", "waited_ms", "held_ms",
                           "blocked_sessions", "blocked_longest_ms", "at"});
      }
    }
  }

  const json& ours = comparison["expand_contract"];
  const json& naive = comparison["naive"];
  INFO(comparison.dump(1));
  CHECK(ours["failed"] == 0);
  CHECK(ours["errors"].empty());
  CHECK(ours["requests"] > 0);
  REQUIRE(naive["locks"].size() == 1);
  CHECK(naive["locks"][0]["stops"] == "reads and writes");
  CHECK(naive["locks"][0]["blocked_sessions"] > 0);
  CHECK(naive["statements"].size() == 5);
  CHECK(naive["longest_stopping_lock_ms"].get<double>() > 2 * ours["longest_stopping_lock_ms"].get<double>());
  CHECK(naive["longest_gap_ms"].get<double>() > ours["longest_gap_ms"].get<double>());
  // The requests that wait when the naive way commits were made by the old version, and meet a table without its
  // column.
  CHECK(naive["failed"] > 0);
  CHECK(naive["table_bytes_after"].get<double>() > 1.8 * naive["table_bytes_before"].get<double>());
  CHECK(ours["table_bytes_after"].get<double>() < naive["table_bytes_after"].get<double>());
  CHECK(ours["wal_bytes"].get<double>() > 0);

  const json& queued = comparison["lock_queue"];
  CHECK(queued["rows"] == 5'000);
  CHECK(queued["expand_contract"]["failed"] == 0);
  CHECK(queued["naive"]["failed"] > 100);
  CHECK(queued["naive"]["longest_gap_ms"].get<double>() > queued["reader_ms"].get<double>() * 0.9);
  CHECK(queued["naive"]["longest_gap_ms"].get<double>() >
        2 * queued["expand_contract"]["longest_gap_ms"].get<double>());
  int tries = 0;
  for (const json& lock : queued["expand_contract"]["locks"]) {
    tries = std::max(tries, lock["tries"].get<int>());
  }
  CHECK(tries > 1);
}

TEST_CASE("compare: tables of a database that is meant for it are copied as they are, and the result is recorded") {
  const TemporaryFolder folder("cmp-scratch");
  // What makes a table hard to write to: a unique column, a generated one, other tables that point here, a check of two
  // columns.
  const IdleDatabase database(R"(
    create table customers (code text primary key, email text not null unique, upper_email text generated always as (upper(email)) stored,
      born int not null, died int, check (died > born));
    insert into customers (code, email, born, died) select 'c''' || i, 'e' || i || '@x', 1900 + i % 50, 1980 + i % 50 from generate_series(1, 3000) i;
    create table orders (id int primary key, customer text references customers);
    insert into orders select i, 'c''' || i from generate_series(1, 3000) i)");
  const std::string plan = temporary_file(
      "name: customers\noperations:\n  - alter_column: { table: customers, column: born, type: bigint }\n", ".yaml");
  const ProgramResult result =
      run_compare(folder, fmt::format("{} --json --scratch --record -d '{}'", plan, database.conninfo()));
  const json comparison = comparison_of(result);
  CHECK(folder.empty());
  INFO(comparison.dump(1));
  CHECK(comparison["rows"] == 3'000);
  CHECK(comparison["table"] == "customers");
  CHECK(comparison["expand_contract"]["errors"].empty());
  CHECK(comparison["expand_contract"]["failed"] == 0);
  CHECK(comparison["naive"]["statements"][0]["statement"] == "alter column \"born\" type bigint");
  pg::Connection connection({database.conninfo(), "test", nullptr});
  CHECK(connection.query("select count(*) from customers where pg_typeof(born) = 'integer'::regtype").integer(0, 0) ==
        3'000);
  CHECK(json::parse(
            connection.query("select data from ecmigrate.comparisons where migration = 'customers' and rows = 3000")
                .text(0, 0)) == comparison);
  CHECK(connection.query("select count(*) from pg_database where datname like 'ecmigrate%'").integer(0, 0) == 0);

  // Somebody who is connected keeps it from being copied.
  const ProgramResult connected = run_compare(folder, fmt::format("{} --scratch -d '{}'", plan, database.conninfo()));
  CHECK(connected.status == 7);
  CHECK(connected.err.find("cannot be copied while others are connected") != std::string::npos);
}

TEST_CASE("compare: a migration that is under way keeps a database from being used") {
  const TemporaryFolder folder("cmp-busy");
  Database database;
  database.exec(k_users);
  migrate(database, k_split, "expand");
  const ProgramResult result =
      run_compare(folder, fmt::format("{} --scratch -d '{}'", k_split_plan, database.conninfo()));
  CHECK(result.status == 7);
  CHECK(result.err.find("\"split\" is under way") != std::string::npos);
}

TEST_CASE("compare: what it would do harm to, or cannot do, is refused before anything is started") {
  const TemporaryFolder folder("cmp-refused");
  const auto refused = [&](const std::string& words, const std::string& text) {
    const ProgramResult result = run_compare(folder, words);
    INFO(words << "\n" << result.err);
    CHECK(result.status == 2);
    CHECK(result.err.find(text) != std::string::npos);
    CHECK(folder.empty());
  };
  refused(k_split_plan + " -d 'host=/nowhere dbname=shop'", "needs --scratch");
  refused(k_split_plan + " --scratch", "--dbname");
  refused(k_split_plan + " --rows many", "not a number of rows");
  refused(k_split_plan + " --rows 0", "not a number of rows");
  refused(k_split_plan + " --rate 0", "--rate");
  refused(k_split_plan + " --out /nowhere/x.json", "cannot be written");
}

TEST_CASE("compare: where the naive way cannot be derived it says so, and measures the other") {
  const TemporaryFolder folder("cmp-sql");
  const json comparison = comparison_of(run_compare(folder, temporary_file(k_audited, ".yaml") + " --rows 1k --json"));
  CHECK(comparison["naive"].is_null());
  CHECK(comparison["lock_queue"].is_null());
  CHECK(comparison["no_naive"] == "operation 1 is sql, which is not analysed");
  CHECK(comparison["expand_contract"]["failed"] == 0);
  CHECK(comparison["sizes"][0]["naive_held_ms"].is_null());

  const std::string alone =
      temporary_file("name: note\noperations:\n  - sql: { up: \"create table audit_note (id bigint)\" }\n", ".yaml");
  const ProgramResult nothing = run_compare(folder, alone + " --rows 1k");
  CHECK(nothing.status == 7);
  CHECK(nothing.err.find("nothing to compare") != std::string::npos);
  CHECK(folder.empty());
}

TEST_CASE("compare: ended by a signal it leaves nothing, and after a kill the next one takes over") {
  const TemporaryFolder folder("cmp-signal");
  std::string log;
  const auto begin = [&] {
    log = temporary_file("", ".log");
    std::fflush(nullptr);
    const pid_t child = fork();
    if (child == 0) {
      setenv("TMPDIR", folder.path().c_str(), 1);
      std::ignore = std::freopen(log.c_str(), "w", stderr);
      std::ignore = std::freopen("/dev/null", "w", stdout);
      execl(ECMIGRATE_PROGRAM, ECMIGRATE_PROGRAM, "compare", k_split_plan.c_str(), "--rows", "20k", nullptr);
      _exit(127);
    }
    return child;
  };
  const auto wait_for_text = [&](const std::string& text) {
    for (int i = 0; i < 6'000 && text_of(log).find(text) == std::string::npos; ++i) {
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    REQUIRE(text_of(log).find(text) != std::string::npos);
  };
  int status = 0;
  pid_t child = begin();
  wait_for_text("the naive way under the same requests");
  kill(child, SIGTERM);
  waitpid(child, &status, 0);
  CHECK(WEXITSTATUS(status) == 143);
  CHECK(folder.empty());

  child = begin();
  wait_for_text("starting a PostgreSQL server");
  kill(child, SIGKILL);
  waitpid(child, &status, 0);

  child = begin();
  wait_for_text("verify, contract");
  const ProgramResult busy = run_compare(folder, k_split_plan + " --rows 1k");
  CHECK(busy.status == 6);
  CHECK(busy.err.find("in use by another ecmigrate") != std::string::npos);
  kill(child, SIGKILL);
  waitpid(child, &status, 0);
  CHECK_FALSE(folder.empty());
  const ProgramResult next = run_compare(folder, temporary_file(k_audited, ".yaml") + " --rows 1k");
  INFO(next.err);
  CHECK(next.status == 0);
  CHECK(next.out.find("expand-contract") != std::string::npos);
  CHECK(folder.empty());
}

}  // namespace ecmigrate::test
