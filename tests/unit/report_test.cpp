#include "ecmigrate/report/report.hpp"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <clocale>
#include <csignal>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <regex>

#include "../../src/report/paced_reports.hpp"
#include "ecmigrate/store/event_json.hpp"
#include "support/catch.hpp"

namespace ecmigrate {

namespace {

class FakeClock final : public Clock {
 public:
  [[nodiscard]] std::chrono::milliseconds now() const override { return m_now; }
  void sleep(std::chrono::milliseconds duration, std::stop_token) override { m_now += duration; }
  void advance(std::chrono::milliseconds duration) { m_now += duration; }

 private:
  std::chrono::milliseconds m_now{0};
};

/// A locale for one test.
class Locale {
 public:
  explicit Locale(const char* name) : m_before(std::setlocale(LC_CTYPE, nullptr)) {
    REQUIRE(std::setlocale(LC_CTYPE, name) != nullptr);
  }
  ~Locale() { std::setlocale(LC_CTYPE, m_before.c_str()); }
  Locale(const Locale&) = delete;
  Locale& operator=(const Locale&) = delete;

 private:
  std::string m_before;
};

/// An environment variable for one test; nullptr unsets it.
class Variable {
 public:
  Variable(const char* name, const char* value) : m_name(name) {
    const char* before = std::getenv(name);
    m_was_set = before != nullptr;
    m_before = m_was_set ? before : "";
    set(value);
  }
  ~Variable() { set(m_was_set ? m_before.c_str() : nullptr); }
  Variable(const Variable&) = delete;
  Variable& operator=(const Variable&) = delete;

 private:
  void set(const char* value) {
    if (value == nullptr) {
      unsetenv(m_name);
    } else {
      setenv(m_name, value, 1);
    }
  }

  const char* m_name;
  bool m_was_set = false;
  std::string m_before;
};

/// A file that remembers what was written to it since the last take().
class Capture {
 public:
  Capture() : m_file(std::tmpfile()) { REQUIRE(m_file != nullptr); }
  ~Capture() { std::fclose(m_file); }
  Capture(const Capture&) = delete;
  Capture& operator=(const Capture&) = delete;

  [[nodiscard]] std::FILE* file() const { return m_file; }

  // By the descriptor: what a report leaves in the buffer does not count as written.
  std::string take() {
    std::string text(65536, '\0');
    const ssize_t bytes = pread(fileno(m_file), text.data(), text.size(), m_taken);
    REQUIRE(bytes >= 0);
    text.resize(static_cast<std::size_t>(bytes));
    m_taken += bytes;
    return text;
  }

 private:
  std::FILE* m_file;
  off_t m_taken = 0;
};

/// A terminal of 40 columns, and what appears on it.
class PseudoTerminal {
 public:
  PseudoTerminal() : m_master(posix_openpt(O_RDWR | O_NOCTTY)) {
    REQUIRE(m_master >= 0);
    REQUIRE(grantpt(m_master) == 0);
    REQUIRE(unlockpt(m_master) == 0);
    m_file = std::fopen(ptsname(m_master), "w");
    REQUIRE(m_file != nullptr);
    resize(40);
  }
  ~PseudoTerminal() {
    std::fclose(m_file);
    close(m_master);
  }
  PseudoTerminal(const PseudoTerminal&) = delete;
  PseudoTerminal& operator=(const PseudoTerminal&) = delete;

  [[nodiscard]] std::FILE* file() const { return m_file; }

  void resize(unsigned short columns) {
    winsize size{};
    size.ws_row = 10;
    size.ws_col = columns;
    REQUIRE(ioctl(m_master, TIOCSWINSZ, &size) == 0);
  }

  // The kernel hands output over when it likes: a mark sent behind it says when all of it has come.
  std::string take() {
    constexpr char k_mark = '\x01';
    REQUIRE(write(fileno(m_file), &k_mark, 1) == 1);
    std::string text;
    for (char c = 0; read(m_master, &c, 1) == 1 && c != k_mark;) {
      text += c;
    }
    return text;
  }

 private:
  int m_master;
  std::FILE* m_file = nullptr;
};

/// A terminal report into two files in a UTF-8 locale.
struct Plain {
  explicit Plain(const ReportOptions& options = {})
      : report(make_terminal_report(options, out.file(), err.file(), clock)) {}

  Locale locale{"C.UTF-8"};
  FakeClock clock;
  Capture out;
  Capture err;
  std::unique_ptr<Observer> report;
};

event::LockTryFailed lock_try_failed() {
  return {.phase = "expand",
          .step = "add first_name",
          .relation = "users",
          .mode = "ACCESS EXCLUSIVE",
          .tries = 1,
          .waited_ms = 500,
          .retry_in_ms = 812,
          .blockers = {{.pid = 4121,
                        .user = "report",
                        .application = "metabase",
                        .backend_type = "client backend",
                        .state = "idle in transaction",
                        .transaction_age_ms = 125'034,
                        .query = "SELECT u.id,\n       u.email\tFROM users u"}}};
}

event::StepFinished step_finished() {
  return {.phase = "expand",
          .step = "add first_name, last_name and sync trigger",
          .index = 1,
          .of = 2,
          .relation = "users",
          .mode = "ACCESS EXCLUSIVE",
          .tries = 2,
          .waited_ms = 501.6,
          .held_ms = 1.9,
          .duration_ms = 1318.7};
}

event::Progress progress(double percent) {
  return {.phase = "backfill",
          .relation = "users",
          .percent = percent,
          .rows = 1'250'000,
          .rows_estimated = 4'466'810,
          .rows_per_second = 118'400,
          .eta_ms = 27'000,
          .eta_low_ms = 25'000,
          .eta_high_ms = 31'000,
          .batch_rows = 2'600,
          .batch_ms = 41,
          .hot_percent = 74,
          .wal_bytes_per_second = 38.0 * 1024 * 1024,
          .lag_ms = {},
          .slow_because = {}};
}

event::WalkFinished walk_finished() {
  return {.phase = "backfill",
          .relation = "users",
          .rows = 200'000,
          .batches = 1'204,
          .duration_ms = 2'100,
          .batch_p50_ms = 41,
          .batch_p99_ms = 62,
          .hot_percent = 74,
          .wal_bytes = 38.0 * 1024 * 1024};
}

event::Result success() {
  return {.command = "expand",
          .migration = "users",
          .exit_code = 0,
          .outcome = "done",
          .changed = true,
          .state = "expanded",
          .message = "expanded",
          .hint = {},
          .sqlstate = {},
          .next = "ecmigrate backfill plans/users.yaml",
          .duration_ms = 42'100.5};
}

event::Result failure() {
  return {.command = "expand",
          .migration = "users",
          .exit_code = 5,
          .outcome = "lock_not_obtained",
          .retryable = true,
          .state = "planned",
          .message = "could not lock users in 5m",
          .hint = "End pid 4121, or run again when it is idle.",
          .sqlstate = "55P03",
          .next = {},
          .duration_ms = 300'012};
}

const event::Difference k_difference{"users", "id=42", "inconsistent", "Anna\nMaria", "Anna, \x1b[2JMaria"};

std::vector<Event> every_event() {
  return {event::Started{"expand", "users", "shop on db1:5432 as migrator, PostgreSQL 15.18"},
          event::Note{event::Note::Level::warning, "wal_level is minimal"},
          lock_try_failed(),
          step_finished(),
          event::IndexProgress{"users_idx", "building index: scanning table", 45.2, std::nullopt},
          progress(27.9),
          walk_finished(),
          event::TrialFinished{"users", 10'000, 12, {"`Anna  Maria` → `Anna Maria`"}},
          k_difference,
          event::VerifyFinished{"users", 200'000, 10, 2, 10, 400},
          event::StateChanged{"users", "planned", "expanded"},
          event::Paused{"users",
                        {{"replica_lag", "replica db2 is 4.1 s behind (limit 2.0 s)", 4'100, 2'000},
                         {"pause_query", "the plan's pause_query says so"}}},
          event::Resumed{"users", 12'500},
          event::Steered{"set max_wal_rate=8MB/s", "alice"},
          event::Document{"version", R"({"version":"0.1.0"})"},
          success(),
          failure()};
}

}  // namespace

TEST_CASE("steps say what they locked, waited, held and blocked, on stdout", "[report]") {
  Plain plain;
  plain.report->on(step_finished());
  CHECK(plain.out.take() ==
        "  1/2 add first_name, last_name and sync trigger   users  ACCESS EXCLUSIVE   waited 501.6 ms (2 tries)   "
        "held 1.9 ms\n");

  event::StepFinished blocking = step_finished();
  blocking.tries = 1;
  blocking.blocked_sessions = 3;
  blocking.blocked_longest_ms = 310;
  plain.report->on(blocking);
  CHECK(plain.out.take() ==
        "  1/2 add first_name, last_name and sync trigger   users  ACCESS EXCLUSIVE   waited 501.6 ms   "
        "held 1.9 ms   blocked 3 sessions, longest 310 ms\n");

  plain.report->on(event::StepFinished{
      .phase = "expand", .step = "build index", .index = 2, .of = 2, .relation = {}, .mode = {}, .duration_ms = 1'200});
  CHECK(plain.out.take() == "  2/2 build index   took 1.2 s\n");

  event::StepFinished earlier = step_finished();
  earlier.already_done = true;
  plain.report->on(earlier);
  CHECK(plain.out.take() == "  1/2 add first_name, last_name and sync trigger   already done\n");
  CHECK(plain.err.take().empty());
}

TEST_CASE("a failed try at a lock names the blockers on stderr at once", "[report]") {
  Plain plain;
  plain.report->on(lock_try_failed());
  CHECK(plain.err.take() ==
        "      try 1 gave up after 500 ms: pid 4121 report@metabase, idle in transaction for 2m05s\n"
        "        SELECT u.id, u.email FROM users u\n"
        "        to end it: select pg_terminate_backend(4121);\n"
        "      retrying in 0.8 s for ACCESS EXCLUSIVE on users\n");

  event::LockTryFailed others = lock_try_failed();
  others.tries = 2;
  others.retry_in_ms = 0;
  others.blockers = {{.pid = 0,
                      .user = "app",
                      .application = {},
                      .backend_type = {},
                      .state = {},
                      .transaction_age_ms = 125'034,
                      .query = {}},
                     {.pid = 7,
                      .user = {},
                      .application = {},
                      .backend_type = "autovacuum worker",
                      .state = "active",
                      .transaction_age_ms = 3'100,
                      .query = "autovacuum: " + std::string(120, 'x')}};
  plain.report->on(others);
  CHECK(plain.err.take() ==
        "      try 2 gave up after 500 ms: prepared transaction of app, open for 2m05s (see pg_prepared_xacts)\n"
        "      and pid 7 autovacuum worker, active for 3.1 s\n"
        "        autovacuum: " +
            std::string(88, 'x') + "…\n");

  others.blockers.clear();
  plain.report->on(others);
  CHECK(plain.err.take() == "      try 2 gave up after 500 ms: who held the lock could not be seen\n");
  CHECK(plain.out.take().empty());
}

TEST_CASE("a progress line off a terminal is plain and tells everything", "[report]") {
  Plain plain;
  plain.report->on(progress(27.9));
  CHECK(plain.err.take() ==
        "backfill users  27.9%  1,250,000/~4,466,810 rows  118,400 rows/s  eta 27s (25s-31s)  batch 2,600 rows 41 ms  "
        "hot 74%  wal 38 MB/s\n");

  event::Progress slow = progress(99.99);
  slow.eta_ms.reset();
  slow.rows_estimated = 0;
  slow.batch_ms = 4.1;
  slow.wal_bytes_per_second = 3.8 * 1024 * 1024;
  slow.slow_because = "replica lag 3.2 s";
  plain.report->on(slow);
  CHECK(plain.err.take() ==
        "backfill users  99.9%  slow: replica lag 3.2 s  1,250,000 rows  118,400 rows/s  batch 2,600 rows 4.1 ms  "
        "hot 74%  wal 3.8 MB/s\n");

  event::Progress verify = progress(50);
  verify.phase = "verify";
  verify.eta_ms = 78'000;
  verify.eta_low_ms.reset();
  plain.report->on(verify);
  CHECK(plain.err.take() == "verify users  50.0%  1,250,000/~4,466,810 rows  118,400 rows/s  eta 1m18s\n");
  CHECK(plain.out.take().empty());
}

TEST_CASE("progress off a terminal comes every ten points or ten seconds", "[report]") {
  Plain plain;
  const auto shows = [&](double percent) {
    plain.report->on(progress(percent));
    return !plain.err.take().empty();
  };
  CHECK(shows(3));
  CHECK_FALSE(shows(3));
  CHECK_FALSE(shows(12.9));
  CHECK(shows(13));
  plain.clock.advance(std::chrono::milliseconds(9'999));
  CHECK_FALSE(shows(14));
  plain.clock.advance(std::chrono::milliseconds(1));
  CHECK(shows(14));
  CHECK(shows(95));
  CHECK_FALSE(shows(99.9));
  CHECK(shows(100));
  CHECK_FALSE(shows(100));
  CHECK(shows(0));  // the next walk over the same table
}

TEST_CASE("an index build is progress, and always shown when verbose", "[report]") {
  const event::IndexProgress waiting{"users_idx", "waiting for old snapshots", 20, lock_try_failed().blockers[0]};
  Plain plain;
  plain.report->on(event::IndexProgress{"users_idx", "building index: scanning table", 20, std::nullopt});
  CHECK(plain.err.take() == "index users_idx  20.0%  building index: scanning table\n");
  const std::string line =
      "index users_idx  20.0%  waiting for old snapshots  waiting for pid 4121 report@metabase, "
      "idle in transaction for 2m05s\n";
  plain.report->on(waiting);
  plain.report->on(waiting);
  CHECK(plain.err.take() == line);

  Plain verbose({.verbose = true});
  verbose.report->on(waiting);
  verbose.report->on(waiting);
  CHECK(verbose.err.take() == line + line);
}

TEST_CASE("the ends of walks, trials and verify go to stdout", "[report]") {
  Plain plain;
  plain.report->on(walk_finished());
  CHECK(plain.out.take() ==
        "  backfill users   200,000 rows in 2.1 s · 1,204 batches · batch p50 41 ms p99 62 ms · hot 74% · "
        "wal 38.0 MB\n");
  event::WalkFinished earlier = walk_finished();
  earlier.already_done = true;
  plain.report->on(earlier);
  CHECK(plain.out.take() == "  backfill users   already done\n");
  plain.report->on(event::WalkFinished{.phase = "backfill", .relation = "users", .duration_ms = 3});
  CHECK(plain.out.take() == "  backfill users   0 rows in 3.0 ms\n");

  plain.report->on(event::VerifyFinished{"users", 200'000, 0, 0, 0, 400});
  CHECK(plain.out.take() == "  verify users   200,000 rows compared in 0.4 s · 0 differences\n");
  plain.report->on(event::VerifyFinished{"users", 200'000, 10, 2, 9, 400});
  CHECK(plain.out.take() ==
        "  verify users   200,000 rows compared in 0.4 s · 12 differences (10 pending, 2 inconsistent) · 9 repaired\n");

  plain.report->on(event::TrialFinished{"users", 10'000, 0, {}});
  CHECK(plain.out.take() == "  tried up and down on 10,000 rows of users: all come back equal\n");
  CHECK(plain.err.take().empty());
  plain.report->on(event::TrialFinished{"users", 10'000, 12, {"`a  b` → `a b`", "`c ` → `c`"}});
  CHECK(
      plain.err.take() ==
      "warning: tried up and down on 10,000 rows of users: 12 of 10,000 lose something: `a  b` → `a b`, `c ` → `c`\n");
  CHECK(plain.out.take().empty());
}

TEST_CASE("a walk that earlier runs began tells its own rows, and all", "[report]") {
  Plain plain;
  event::WalkFinished walk = walk_finished();
  walk.rows = 20'000;
  walk.rows_before = 13'266;
  plain.report->on(walk);
  const std::string said = plain.out.take();
  CHECK(said.find("6,734 rows in ") != std::string::npos);
  CHECK(said.find(", 20,000 with earlier runs") != std::string::npos);
}

TEST_CASE("a difference stays on its line and cannot steer the terminal", "[report]") {
  Plain plain;
  plain.report->on(k_difference);
  CHECK(plain.out.take() == "  users id=42  inconsistent  old: Anna⏎Maria  new: Anna, ?[2JMaria\n");
  plain.report->on(event::Difference{"users", "id=1", "pending", "a\tb\rc",
                                     "\xc2\x9b"
                                     "2Jé"});
  CHECK(plain.out.take() == "  users id=1  pending  old: a\\tb\\rc  new: ?2Jé\n");
}

TEST_CASE("without a UTF-8 locale the report's own typography is ASCII", "[report]") {
  const Locale locale("C");
  Capture out;
  Capture err;
  const auto report = make_terminal_report({}, out.file(), err.file());
  report->on(event::StateChanged{"users", "planned", "expanded"});
  report->on(event::WalkFinished{.phase = "backfill", .relation = "users", .rows = 2, .batches = 1});
  report->on(k_difference);
  CHECK(out.take() ==
        "state    users: planned -> expanded\n"
        "  backfill users   2 rows in 0.0 ms | 1 batch | batch p50 0.0 ms p99 0.0 ms | hot 0% | wal 0 B\n"
        "  users id=42  inconsistent  old: Anna\\nMaria  new: Anna, ?[2JMaria\n");
}

TEST_CASE("a command begins with its target and ends with its result", "[report]") {
  Plain plain;
  plain.report->on(event::Started{"expand", "users", "shop on db1:5432 as migrator, PostgreSQL 15.18"});
  plain.report->on(event::Note{event::Note::Level::info, "nothing cached yet"});
  plain.report->on(event::Note{event::Note::Level::warning, "wal_level is minimal"});
  CHECK(plain.err.take() ==
        "target shop on db1:5432 as migrator, PostgreSQL 15.18\n"
        "nothing cached yet\n"
        "warning: wal_level is minimal\n");
  plain.report->on(event::StateChanged{"users", "planned", "expanded"});
  plain.report->on(success());
  CHECK(plain.out.take() == "state    users: planned → expanded\nexpanded\n");
  CHECK(plain.err.take() == "next: ecmigrate backfill plans/users.yaml\n");

  event::Result verified = success();
  verified.state = "verified";
  verified.next = "ecmigrate contract plans/users.yaml";
  plain.report->on(verified);
  CHECK(plain.err.take() ==
        "next: roll out the new version; when no instance of the old one runs: ecmigrate contract plans/users.yaml\n");
  plain.out.take();

  plain.report->on(failure());
  CHECK(plain.err.take() == "error: could not lock users in 5m\nhint: End pid 4121, or run again when it is idle.\n");
  event::Result invalid = failure();
  invalid.message = "a.yaml:1:2: unknown key\n   1 | colum\n     | ^\na.yaml:3:1: duplicate key";
  invalid.hint.clear();
  plain.report->on(invalid);
  CHECK(plain.err.take() == "error: " + invalid.message + "\n");
  CHECK(plain.out.take().empty());
}

TEST_CASE("quiet leaves errors, warnings and differences", "[report]") {
  Plain quiet({.quiet = true});
  for (const Event& event : every_event()) {
    quiet.report->on(event);
  }
  CHECK(quiet.out.take() == "  users id=42  inconsistent  old: Anna⏎Maria  new: Anna, ?[2JMaria\n");
  CHECK(quiet.err.take() ==
        "warning: wal_level is minimal\n"
        "warning: tried up and down on 10,000 rows of users: 12 of 10,000 lose something: "
        "`Anna  Maria` → `Anna Maria`\n"
        "error: could not lock users in 5m\n"
        "hint: End pid 4121, or run again when it is idle.\n");
}

TEST_CASE("off a terminal nothing is repainted or coloured", "[report]") {
  const Variable term("TERM", "xterm");
  const Variable no_color("NO_COLOR", nullptr);
  Plain plain;
  for (const Event& event : every_event()) {
    plain.report->on(event);
  }
  CHECK((plain.out.take() + plain.err.take()).find_first_of("\r\x1b") == std::string::npos);
}

TEST_CASE("a terminal shows progress on one line that other output clears", "[report]") {
  const Locale locale("C.UTF-8");
  const Variable term("TERM", "xterm");
  const Variable no_color("NO_COLOR", nullptr);
  PseudoTerminal terminal;
  Capture out;
  auto report = make_terminal_report({}, out.file(), terminal.file());

  report->on(progress(27.9));
  CHECK(terminal.take() == "\rbackfill users  27.9%  118,400 rows/s\x1b[K");
  event::Progress wide = progress(28);
  wide.relation = "注文注文注文注文";  // two columns each
  report->on(wide);
  CHECK(terminal.take() == "\rbackfill 注文注文注文注文  28.0%\x1b[K");

  report->on(step_finished());
  CHECK(terminal.take() == "\r\x1b[K");
  CHECK_FALSE(out.take().empty());
  report->on(progress(29));
  terminal.take();
  report->on(event::Note{event::Note::Level::warning, "slow disk"});
  CHECK(terminal.take() == "\r\x1b[K\x1b[33mwarning:\x1b[0m slow disk\r\n");
  report->on(failure());
  CHECK(terminal.take() ==
        "\x1b[31merror:\x1b[0m could not lock users in 5m\r\nhint: End pid 4121, or run again when it is idle.\r\n");
  report->on(progress(30));
  terminal.take();
  report.reset();
  CHECK(terminal.take() == "\r\x1b[K");
}

TEST_CASE("a result that is wider than the terminal is broken between its parts", "[report]") {
  const Locale locale("C.UTF-8");
  const Variable term("TERM", "xterm");
  PseudoTerminal terminal;
  auto report = make_terminal_report({}, terminal.file(), terminal.file());
  event::StepFinished step = step_finished();
  step.blocked_sessions = 0;
  step.step = "validate 注文";
  terminal.resize(45);
  report->on(step);
  const std::string narrow = terminal.take();
  INFO(narrow);
  CHECK(std::regex_match(narrow, std::regex("  1/2 validate 注文   users  [A-Z ]+\r\n      waited [^\r]*   held "
                                            "[^\r]*\r\n")));
  terminal.resize(200);
  report->on(step);
  const std::string wide = terminal.take();
  CHECK(wide.find('\r') == wide.size() - 2);

  // A part that is wider by itself stays whole; off a terminal so does every line.
  terminal.resize(10);
  report->on(step);
  CHECK(terminal.take().starts_with("  1/2 validate 注文\r\n"));
  Capture out;
  make_terminal_report({}, out.file(), terminal.file())->on(step);
  const std::string piped = out.take();
  CHECK(piped.find('\n') == piped.size() - 1);
}

TEST_CASE("NO_COLOR takes the colours, TERM=dumb the repainting too", "[report]") {
  const Locale locale("C.UTF-8");
  PseudoTerminal terminal;
  Capture out;
  const event::Note warning{event::Note::Level::warning, "slow disk"};
  {
    const Variable term("TERM", "xterm");
    const Variable no_color("NO_COLOR", "1");
    const auto report = make_terminal_report({}, out.file(), terminal.file());
    report->on(progress(30));
    report->on(warning);
    CHECK(terminal.take() == "\rbackfill users  30.0%  118,400 rows/s\x1b[K\r\x1b[Kwarning: slow disk\r\n");
  }
  const Variable term("TERM", "dumb");
  const Variable no_color("NO_COLOR", nullptr);
  const auto report = make_terminal_report({}, out.file(), terminal.file());
  event::Progress verify = progress(50);
  verify.phase = "verify";
  report->on(verify);
  report->on(warning);
  CHECK(terminal.take() ==
        "verify users  50.0%  1,250,000/~4,466,810 rows  118,400 rows/s  eta 27s (25s-31s)\r\n"
        "warning: slow disk\r\n");
}

TEST_CASE("every JSON line is an object with the common head", "[report]") {
  const std::vector<std::string> types{
      "started",       "note",           "lock_try_failed", "step_finished",   "index_progress", "progress",
      "walk_finished", "trial_finished", "difference",      "verify_finished", "state_changed",  "paused",
      "resumed",       "steered",        "version",         "result",          "result"};
  const std::regex head(
      R"re(\{"v":1,"seq":(\d+),"ts":"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z","type":"([a-z_]+)",.*\}\n)re");
  Capture out;
  const auto report = make_json_report(out.file());
  const std::vector<Event> events = every_event();
  REQUIRE(events.size() == types.size());
  for (std::size_t i = 0; i < events.size(); ++i) {
    report->on(events[i]);
    const std::string line = out.take();
    CAPTURE(line);
    std::smatch parts;
    REQUIRE(std::regex_match(line, parts, head));
    CHECK(parts[1] == std::to_string(i + 1));
    CHECK(parts[2] == types[i]);
    auto object = nlohmann::ordered_json::parse(line);
    object.erase("seq");
    object.erase("ts");
    CHECK(object.dump() == event_to_json(events[i]));
  }
}

TEST_CASE("JSON lines tell the progress of a walk once a second, and its end", "[report]") {
  Capture out;
  FakeClock clock;
  const auto report = make_json_report(out.file(), clock);
  const auto told = [&](const Event& event) {
    report->on(event);
    return !out.take().empty();
  };
  CHECK(told(progress(1)));
  CHECK_FALSE(told(progress(2)));
  event::Progress other = progress(1);
  other.relation = "orders";
  CHECK(told(other));
  clock.advance(std::chrono::milliseconds(999));
  CHECK_FALSE(told(progress(3)));
  clock.advance(std::chrono::milliseconds(1));
  CHECK(told(progress(4)));
  CHECK(told(progress(100)));
  CHECK(told(failure()));
}

TEST_CASE("who stopped it, or asked for what remains, is not told of an error", "[report]") {
  for (const auto& [code, outcome] :
       {std::pair(130, "interrupted"), std::pair(143, "terminated"), std::pair(8, "work_remains")}) {
    Plain plain;
    event::Result result = failure();
    result.exit_code = code;
    result.outcome = outcome;
    result.message = "stopped at a checkpoint";
    plain.report->on(result);
    CHECK(plain.err.take() == "stopped at a checkpoint\nhint: End pid 4121, or run again when it is idle.\n");
  }
}

TEST_CASE("JSON members carry the names of the events' members", "[report]") {
  CHECK(
      event_to_json(lock_try_failed()) ==
      R"({"v":1,"type":"lock_try_failed","phase":"expand","step":"add first_name","relation":"users","mode":"ACCESS EXCLUSIVE",)"
      R"("tries":1,"waited_ms":500.0,"retry_in_ms":812.0,"blockers":[{"pid":4121,"user":"report",)"
      R"("application":"metabase","backend_type":"client backend","state":"idle in transaction",)"
      R"("transaction_age_ms":125034.0,"query":"SELECT u.id,\n       u.email\tFROM users u"}]})");
  event::Progress early = progress(0.5);
  early.eta_ms.reset();
  early.eta_low_ms.reset();
  early.eta_high_ms.reset();
  CHECK(event_to_json(early) ==
        R"({"v":1,"type":"progress","phase":"backfill","relation":"users","percent":0.5,"rows":1250000,)"
        R"("rows_estimated":4466810,"rows_per_second":118400.0,"eta_ms":null,"eta_low_ms":null,"eta_high_ms":null,)"
        R"("batch_rows":2600,"batch_ms":41.0,"batch_p50_ms":0.0,"batch_p99_ms":0.0,"hot_percent":74.0,)"
        R"("wal_bytes_per_second":39845888.0,"lag_ms":null,"workers":0,"paused_percent":0.0,)"
        R"("slow_because":"","paused":false,"reasons":[]})");
  CHECK(event_to_json(event::IndexProgress{"i", "p", 1, std::nullopt}) ==
        R"({"v":1,"type":"index_progress","index":"i","phase":"p","percent":1.0,"waiting_for":null})");
  CHECK(event_to_json(event::TrialFinished{"users", 2, 1, {"a"}}) ==
        R"({"v":1,"type":"trial_finished","relation":"users","rows":2,"lossy":1,"examples":["a"]})");
}

TEST_CASE("what the journal keeps of an event is read again whole", "[report]") {
  for (const Event& event : every_event()) {
    const std::string json = event_to_json(event);
    const auto back = event_from_json(json);
    const bool kept = !std::holds_alternative<event::Started>(event) &&
                      !std::holds_alternative<event::IndexProgress>(event) &&
                      !std::holds_alternative<event::Document>(event) && !std::holds_alternative<event::Result>(event);
    INFO(json);
    CHECK(back.has_value() == kept);
    if (back) {
      CHECK(event_to_json(*back) == json);
    }
  }
  // What an older program wrote has less; what is no event is nothing.
  const auto old = event_from_json(R"({"v":1,"type":"lock_try_failed","step":"add","tries":2})");
  REQUIRE(old);
  CHECK(std::get<event::LockTryFailed>(*old).tries == 2);
  for (const char* text : {"", "[]", "{", R"({"type":"dance"})", R"({"type":"step_finished","tries":"two"})"}) {
    CHECK_FALSE(event_from_json(text));
  }
}

TEST_CASE("the JSON result has the same keys on success and failure", "[report]") {
  const auto good = nlohmann::ordered_json::parse(event_to_json(success()));
  const auto bad = nlohmann::ordered_json::parse(event_to_json(failure()));
  CHECK(good["ok"] == true);
  CHECK(good["error"].is_null());
  CHECK(bad["ok"] == false);
  CHECK(bad["error"].dump() == R"({"code":"lock_not_obtained","message":"could not lock users in 5m",)"
                               R"("hint":"End pid 4121, or run again when it is idle.","sqlstate":"55P03"})");
  const auto keys = [](const nlohmann::ordered_json& object) {
    std::vector<std::string> names;
    for (const auto& item : object.items()) {
      names.push_back(item.key());
    }
    return names;
  };
  CHECK(keys(good) == keys(bad));
}

TEST_CASE("JSON replaces what is not UTF-8", "[report]") {
  CHECK(event_to_json(event::StateChanged{"caf\xe9", "a", "b"}) == R"({"v":1,"type":"state_changed","migration":"caf)"
                                                                   "\xef\xbf\xbd"
                                                                   R"(","before":"a","after":"b"})");
}

TEST_CASE("a reader that has gone away is ignored", "[report]") {
  const auto previous = std::signal(SIGPIPE, SIG_IGN);
  int ends[2];
  REQUIRE(pipe(ends) == 0);
  close(ends[0]);
  std::FILE* closed = fdopen(ends[1], "w");
  REQUIRE(closed != nullptr);
  Capture err;
  const auto terminal = make_terminal_report({}, closed, err.file());
  const auto json = make_json_report(closed);
  for (const Event& event : every_event()) {
    CHECK_NOTHROW(terminal->on(event));
    CHECK_NOTHROW(json->on(event));
  }
  CHECK(err.take().find("error: could not lock users in 5m\n") != std::string::npos);
  std::fclose(closed);
  std::signal(SIGPIPE, previous);
}

}  // namespace ecmigrate
