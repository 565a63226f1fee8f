#include "support/server.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <mutex>
#include <sstream>
#include <stdexcept>
#include <thread>

#include "ecmigrate/pg/sqlstate.hpp"
#include "ecmigrate/phases/migration.hpp"
#include "ecmigrate/planfile/planfile.hpp"
#include "support/program.hpp"

namespace ecmigrate::test {

namespace {

/// What the programs print is compared here: in UTF-8, whatever the machine's locale.
const bool k_speaks_utf8 = setenv("LC_ALL", "C.UTF-8", 1) == 0;

constexpr const char* k_postgres = ECMIGRATE_SOURCE_DIR "/scripts/postgres.sh";

/// Removes the run's servers and folder when this process ends, however it does: it reads a pipe that only we write to.
class Reaper {
 public:
  explicit Reaper(const std::string& folder) {
    std::array<int, 2> ends{};
    if (pipe2(ends.data(), O_CLOEXEC) != 0) {
      throw std::runtime_error("no pipe");
    }
    m_child = fork();
    if (m_child == 0) {
      setsid();  // an interrupt is for the tests
      dup2(ends[0], STDIN_FILENO);
      execl("/bin/sh", "sh", "-c",
            "cat >/dev/null; for server in \"$1\"/pg \"$1\"/own-*; do \"$0\" remove \"$server\"; done; rm -rf \"$1\"",
            k_postgres, folder.c_str(), nullptr);
      _exit(127);
    }
    close(ends[0]);
    m_pipe = ends[1];
  }
  ~Reaper() {
    close(m_pipe);
    waitpid(m_child, nullptr, 0);
  }
  Reaper(const Reaper&) = delete;
  Reaper& operator=(const Reaper&) = delete;

 private:
  int m_pipe = -1;
  pid_t m_child = 0;
};

/// Bytes that programs can still have without others being paged out; nothing where the system does not tell.
std::uint64_t available_memory() {
  std::ifstream facts("/proc/meminfo");
  for (std::string word; facts >> word;) {
    if (word == "MemAvailable:") {
      std::uint64_t kilobytes = 0;
      facts >> kilobytes;
      return kilobytes * 1024;
    }
  }
  return 0;
}

/// Where the run's folder goes. To make a database, which nearly every test does, costs a file system on a disk eight
/// times what it costs one in memory. But the folder may hold a few hundred megabytes, and several runs may have one.
std::string parent_folder() {
  if (const char* wanted = std::getenv("ECMIGRATE_TEST_FOLDER")) {
    return wanted;
  }
  constexpr const char* k_memory = "/dev/shm";
  constexpr std::uint64_t k_room = std::uint64_t{4} << 30;
  struct statvfs facts {};
  const bool fits = access(k_memory, W_OK) == 0 && statvfs(k_memory, &facts) == 0 && (facts.f_flag & ST_NOEXEC) == 0 &&
                    std::uint64_t{facts.f_bavail} * facts.f_frsize >= k_room && available_memory() >= k_room;
  return fits ? k_memory : "/tmp";
}

/// A folder for the whole test run.
const std::string& run_folder() {
  static const std::string folder = [] {
    std::string path = parent_folder() + "/ecmigrate-test-XXXXXX";
    if (mkdtemp(path.data()) == nullptr) {
      throw std::runtime_error("no temporary folder");
    }
    chmod(path.c_str(), 0755);
    return path;
  }();
  static const Reaper reaper(folder);
  return folder;
}

std::string own_folder() {
  static std::atomic<int> number{0};
  server();  // the run's folder goes with it
  return fmt::format("{}/own-{}", run_folder(), ++number);
}

void wait_until(pg::Connection& connection, const std::string& condition) {
  for (int i = 0; i < 6'000; ++i) {
    if (connection.query("select " + condition).text(0, 0) == "t") {
      return;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  throw std::runtime_error("never came true: " + condition);
}

/// The whole run as one who owns the databases and nothing else (tests/versions.sh); empty: as superuser.
std::string plain_owner() {
  const char* role = std::getenv("ECMIGRATE_TEST_OWNER");
  return role == nullptr ? "" : role;
}

}  // namespace

std::string text_of(const std::string& path) {
  std::ifstream file(path);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

std::string shell(const std::string& command) {
  const Answer answer = run_shell(command);
  if (answer.status != 0) {
    throw std::runtime_error("failed: " + command + "\n" + answer.text);
  }
  return answer.text;
}

const std::string& server() {
  static const std::string conninfo = [] {
    // No fsync: the tests kill runners, not machines. Few shared buffers, so that eviction happens too. Little WAL is
    // kept, as the folder may be in memory.
    // One of tests/parallel.sh's is a copy of the same as those of its others, but not a test's own, which may have to
    // be another than this.
    const char* made = std::getenv("ECMIGRATE_TEST_MADE");
    shell((made == nullptr ? "" : fmt::format("PG_MADE={} ", made)) + k_postgres + " start " + run_folder() +
          "/pg fsync=off full_page_writes=off shared_buffers=64MB max_wal_size=256MB max_connections=60 "
          "deadlock_timeout=1s "
          "wal_level=logical "
          "max_prepared_transactions=4 2>&1");
    std::string address = fmt::format("host={}/pg port=5432 user=postgres", run_folder());
    pg::Connection({address + " dbname=template1", "test", nullptr});  // makes the cache that every copy comes with
    if (!plain_owner().empty()) {
      pg::Connection({address + " dbname=postgres", "test", nullptr})
          .query(fmt::format("create role {} login createdb createrole", plain_owner()));
    }
    return address;
  }();
  return conninfo;
}

std::string temporary_file(const std::string& text, const std::string& suffix) {
  static std::atomic<int> number{0};
  server();  // the folder goes with it
  const std::string path = fmt::format("{}/file-{}{}", run_folder(), ++number, suffix);
  std::ofstream(path) << text;
  return path;
}

OwnServer::OwnServer(const std::string& settings) : m_folder(own_folder()) {
  shell(fmt::format("{} start {} {} 2>&1", k_postgres, m_folder, settings));
}

OwnServer::OwnServer(const OwnServer* primary, const std::string& settings) : m_folder(own_folder()) {
  shell(fmt::format("{} standby {} {} {} 2>&1", k_postgres, m_folder, primary->folder(), settings));
}

OwnServer::~OwnServer() {
  std::ignore = std::system(fmt::format("{} remove {}", k_postgres, m_folder).c_str());
}

std::string OwnServer::conninfo() const {
  return fmt::format("host={} port=5432 user=postgres", m_folder);
}

void OwnServer::stop() const {
  shell(fmt::format("{} stop {}", k_postgres, m_folder));
}

void OwnServer::start() const {
  shell(fmt::format("{} start {} 2>&1", k_postgres, m_folder));
}

void OwnServer::replace() const {
  shell(fmt::format("{0} remove {1} && {0} start {1} 2>&1", k_postgres, m_folder));
}

void OwnServer::set(const std::string& name, const std::string& value) const {
  pg::Connection connection({conninfo() + " dbname=postgres", "test", nullptr});
  connection.query(value.empty() ? fmt::format("alter system reset {}", name)
                                 : fmt::format("alter system set {} = '{}'", name, value));
  const std::string loaded = connection.query("select pg_conf_load_time()").text(0, 0);
  connection.query("select pg_reload_conf()");
  wait_until(connection, fmt::format("pg_conf_load_time() > '{}'", loaded));
}

namespace {

/// A session that makes and drops databases. On the run's own server, which nobody stops, each thread keeps one: a new
/// session reads the catalog anew, which costs as much as the work.
class Maintenance {
 public:
  explicit Maintenance(const std::string& on) {
    if (on != server()) {
      m_own = begin(on);
      m_connection = m_own.get();
      return;
    }
    static thread_local const std::unique_ptr<pg::Connection> kept = begin(on);
    m_connection = kept.get();
  }
  [[nodiscard]] pg::Connection& connection() const { return *m_connection; }

 private:
  static std::unique_ptr<pg::Connection> begin(const std::string& on) {
    return std::make_unique<pg::Connection>(pg::Target{on + " dbname=postgres", "test", nullptr});
  }

  std::unique_ptr<pg::Connection> m_own;
  pg::Connection* m_connection = nullptr;
};

}  // namespace

Database::Database(std::string on, std::string encoding) : m_server(std::move(on)) {
  // Another encoding than UTF-8 for a whole run of the tests (tests/versions.sh).
  if (const char* of_run = std::getenv("ECMIGRATE_TEST_ENCODING"); of_run != nullptr && encoding.empty()) {
    encoding = of_run;
  }
  create(encoding.empty() ? std::string() : fmt::format("encoding '{}' locale 'C' template template0", encoding));
}

Database::Database(const Database* model) : m_server(model->m_server) {
  create("template " + model->m_name);
}

void Database::create(const std::string& more) {
  static std::atomic<int> number{0};
  m_name = fmt::format("test_{}_{}", getpid(), ++number);
  const Maintenance session(m_server);
  pg::Connection& maintenance = session.connection();
  // Copied as files, the way of all servers before 15, a database comes with the cache that its first session would
  // make anew.
  maintenance.query(fmt::format("create database {} {} {}", m_name, more,
                                maintenance.server_version() < 150000 ? "" : "strategy file_copy"));
  if (!plain_owner().empty() && m_server == server()) {
    m_user = plain_owner();
    maintenance.query(fmt::format("alter database {} owner to {}", m_name, m_user));
  }
  m_connection = connect();
}

Database::~Database() {
  try {
    m_connection.reset();
    Maintenance(m_server).connection().query("drop database if exists " + m_name + " with (force)");
  } catch (const std::exception&) {
    // The server goes with the run anyway.
  }
}

std::string Database::conninfo(const std::string& more) const {
  // The last one counts.
  return fmt::format("{} dbname={}{} {}", m_server, m_name, m_user.empty() ? "" : " user=" + m_user, more);
}

std::unique_ptr<pg::Connection> Database::connect(const std::string& more) const {
  return std::make_unique<pg::Connection>(pg::Target{conninfo(more), "test", nullptr});
}

void Database::exec(const std::string& sql) {
  try {
    m_connection->script(sql);
  } catch (const pg::SqlError& error) {
    // What goes on around a migration is done by whoever may; it is the migration that has to do with an owner's
    // rights.
    if (m_user.empty() || error.sqlstate() != pg::sqlstate::k_insufficient_privilege) {
      throw;
    }
    pg::Connection({fmt::format("{} dbname={}", m_server, m_name), "test", nullptr}).script(sql);
  }
}

std::string Database::value(const std::string& sql) {
  const pg::Rows result = m_connection->query(sql);
  return result.size() == 0 ? std::string() : result.maybe(0, 0).value_or("null");
}

void Database::wait_for(const std::string& condition) {
  wait_until(*m_connection, condition);
}

std::string Database::rows(const std::string& sql) {
  const pg::Rows result = m_connection->query(sql);
  std::string text;
  for (int row = 0; row < result.size(); ++row) {
    for (int column = 0; column < result.columns(); ++column) {
      text += (column == 0 ? "" : "|") + result.maybe(row, column).value_or("null");
    }
    text += row + 1 < result.size() ? "\n" : "";
  }
  return text;
}

namespace {

/// What pg_dump would show, as far as migrations can change it, for servers newer than the pg_dump at hand.
constexpr const char* k_schema_facts = R"(
with mine as (select c.oid, c.relname, c.relkind, c.relacl, c.relreplident, n.nspname from pg_class c join pg_namespace n on n.oid = c.relnamespace
  where n.nspname not in ('pg_catalog', 'information_schema', 'ecmigrate') and n.nspname !~ '^pg_')
select string_agg(fact, E'\n' order by fact) from (
  select format('%s %s.%s %s %s', relkind, nspname, relname, relacl, relreplident) as fact from mine
  union all select format('column %s.%s %s %s %s %s %s %s %s', m.relname, a.attname,
    format_type(a.atttypid, a.atttypmod), a.attnotnull, pg_get_expr(d.adbin, d.adrelid),
    a.attidentity, coalesce(a.attstattarget, -1), a.attacl, col_description(m.oid, a.attnum))
    from mine m join pg_attribute a on a.attrelid = m.oid and a.attnum > 0 and not a.attisdropped
    left join pg_attrdef d on d.adrelid = m.oid and d.adnum = a.attnum where m.relkind in ('r', 'p', 'v', 'm')
  union all select format('index %s %s %s', pg_get_indexdef(i.indexrelid), i.indisreplident, i.indisclustered) from mine m join pg_index i on i.indrelid = m.oid
  union all select format('constraint %s %s %s', m.relname, k.conname, pg_get_constraintdef(k.oid)) from mine m join pg_constraint k on k.conrelid = m.oid
  union all select format('trigger %s %s', pg_get_triggerdef(t.oid), t.tgenabled) from mine m join pg_trigger t on t.tgrelid = m.oid where not t.tgisinternal
  union all select format('view %s %s', m.relname, pg_get_viewdef(m.oid)) from mine m where m.relkind in ('v', 'm')
  union all select format('policy %s %s', polname, pg_get_expr(polqual, polrelid)) from pg_policy
  union all select format('statistics %s', pg_get_statisticsobjdef(oid)) from pg_statistic_ext
  union all select format('function %s', pg_get_functiondef(p.oid)) from pg_proc p join pg_namespace n on n.oid = p.pronamespace
    where n.nspname not in ('pg_catalog', 'information_schema', 'ecmigrate') and p.prokind in ('f', 'p')
  union all select format('schema %s', nspname) from pg_namespace where nspname !~ '^pg_' and nspname not in ('information_schema', 'ecmigrate')) f)";

int pg_dump_major() {
  static const int major = std::stoi(shell("pg_dump --version | grep -o '[0-9]*' | head -n 1"));
  return major;
}

}  // namespace

std::string Database::schema() const {
  if (m_connection->server_version() / 10000 > pg_dump_major()) {
    return m_connection->query(k_schema_facts).text(0, 0);
  }
  // Without Debian's wrapper, which takes half as long as the program. Lines of psql's own protection carry a random
  // word.
  return shell(fmt::format(
      "PATH=$(pg_config --bindir):$PATH pg_dump --schema-only --exclude-schema=ecmigrate --no-security-labels "
      "--dbname='{}' | grep -v -E '^\\\\(un)?restrict '",
      conninfo()));
}

void Recorder::on(const Event& event) {
  static std::mutex mutex;
  const std::lock_guard lock(mutex);
  events.push_back(event);
}

std::string Recorder::warnings() const {
  std::string text;
  for (const event::Note& note : all<event::Note>()) {
    if (note.level == event::Note::Level::warning) {
      text += note.text + "\n";
    }
  }
  return text;
}

void migrate(const Database& database, const std::string& yaml, const std::string& phases, Recorder* recorder,
             const RunOptions& options, pg::CallHook hook) {
  const Plan plan = parse_plan(yaml, "test.yaml");
  Recorder unused;
  Observer& observer = recorder == nullptr ? unused : *recorder;
  std::istringstream words(phases);
  for (std::string phase; words >> phase;) {
    Session session({database.conninfo(), "ecmigrate " + phase, hook}, options, observer, system_clock(),
                    std::stop_token());
    Migration migration(session, plan);
    if (phase == "expand") {
      migration.expand();
    } else if (phase == "backfill") {
      migration.backfill();
    } else if (phase == "verify") {
      migration.verify();
    } else if (phase == "contract") {
      migration.contract();
    } else if (phase == "rollback") {
      migration.rollback();
    } else {
      throw std::logic_error("no such phase: " + phase);
    }
  }
}

ProgramResult run_program(const Database& database, std::vector<std::string> arguments, const std::string& plan) {
  const std::string plan_file = plan.empty() ? std::string() : temporary_file(plan, ".yaml");
  const std::string out = temporary_file("", ".out");
  const std::string err = temporary_file("", ".err");
  std::string command = fmt::format("ECMIGRATE_DATABASE_URL='{}' {}", database.conninfo(), ECMIGRATE_PROGRAM);
  for (const std::string& argument : arguments) {
    command += " '" + (argument == "PLAN" ? plan_file : argument) + "'";
  }
  const int status = std::system(fmt::format("{} </dev/null >{} 2>{}", command, out, err).c_str());
  return {WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status), text_of(out), text_of(err)};
}

}  // namespace ecmigrate::test
