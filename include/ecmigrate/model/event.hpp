#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace ecmigrate {

/// A session in our way, as pg_stat_activity shows it. pid 0 is a prepared transaction.
struct Blocker {
  int pid = 0;
  std::string user;
  std::string application;
  std::string backend_type;
  std::string state;
  double transaction_age_ms = 0;
  std::string query;
};

/// Why the backfill does not go on now.
struct PauseReason {
  std::string code;               ///< of k_pause_codes: stable, for programs
  std::string text;               ///< for people: "replica db2 is 4.1 s behind (limit 2.0 s)"
  std::optional<double> value{};  ///< as measured, in the limit's unit: milliseconds, or a count
  std::optional<double> limit{};  ///< goes on at four fifths of it

  friend bool operator==(const PauseReason&, const PauseReason&) = default;
};

/// Every code of a PauseReason.
inline constexpr std::array<std::string_view, 16> k_pause_codes{
    "paused_by_user",   "outside_windows",   "replica_lag",        "replica_unwatched",
    "replicas_missing", "waiting_sessions",  "sessions_unwatched", "active_sessions",
    "snapshot_age",     "commit_latency",    "archive_queue",      "archiver_failing",
    "endangered_slot",  "wraparound_vacuum", "pause_query",        "load_unreadable"};

/// "replica db2 is 4.1 s behind (limit 2.0 s); paused by ann".
std::string join_reasons(const std::vector<PauseReason>& reasons);

namespace event {

/// A command starts. Durations in every event are milliseconds.
struct Started {
  std::string command;
  std::string migration;
  std::string target;  ///< "shop on db1:5432 as migrator, PostgreSQL 15.18"; never a password
};

struct Note {
  enum class Level { info, warning };
  Level level = Level::info;
  std::string text;
};

/// A try at a lock ended without it.
struct LockTryFailed {
  std::string phase;
  std::string step;      ///< title
  std::string relation;  ///< display name
  std::string mode;      ///< "ACCESS EXCLUSIVE"
  int tries = 0;         ///< this try's number, from 1
  double waited_ms = 0;  ///< in this try
  double retry_in_ms = 0;
  std::vector<Blocker> blockers;
};

/// A step of a phase is done.
struct StepFinished {
  std::string phase;
  std::string step;  ///< title
  int index = 0;     ///< from 1
  int of = 0;
  std::string relation;  ///< display names of what was locked, comma separated; empty when nothing was
  std::string mode;      ///< "ACCESS EXCLUSIVE", empty when nothing was locked
  int tries = 1;
  double waited_ms = 0;           ///< summed over all tries
  double held_ms = 0;             ///< from the grant to after COMMIT, on the server's clock
  int blocked_sessions = 0;       ///< sessions seen waiting behind us
  double blocked_longest_ms = 0;  ///< the longest such wait seen
  double duration_ms = 0;         ///< the whole step; for steps that hold no blocking lock
  bool already_done = false;      ///< found done by an earlier run
};

/// Progress of a concurrent index build.
struct IndexProgress {
  std::string index;
  std::string phase;  ///< as pg_stat_progress_create_index names it
  double percent = 0;
  std::optional<Blocker> waiting_for;
};

/// Progress of a walk over a table: the backfill, or verify (then the writing figures are 0).
struct Progress {
  std::string phase;     ///< "backfill" or "verify"
  std::string relation;  ///< display name
  double percent = 0;    ///< by page position; never falls, 100 only when done
  std::int64_t rows = 0;
  std::int64_t rows_estimated = 0;  ///< of the whole table, by the planner's statistics
  double rows_per_second = 0;
  std::optional<double> eta_ms;  ///< nothing before it means something
  std::optional<double> eta_low_ms;
  std::optional<double> eta_high_ms;
  std::int64_t batch_rows = 0;
  double batch_ms = 0;
  double batch_p50_ms = 0;
  double batch_p99_ms = 0;
  double hot_percent = 0;
  double wal_bytes_per_second = 0;
  std::optional<double> lag_ms;        ///< of the replica that is furthest behind
  int workers = 0;                     ///< that have work now
  double paused_percent = 0;           ///< the part of the time in which a signal held the work up
  std::string slow_because;            ///< empty, or why it does not go faster now
  std::vector<PauseReason> reasons{};  ///< not empty: it is paused
};

/// A signal holds the backfill up from now on, or other signals than before.
struct Paused {
  std::string relation;
  std::vector<PauseReason> reasons;
};

struct Resumed {
  std::string relation;
  double after_ms = 0;  ///< how long it was paused, whatever the reasons
};

/// Somebody steered the migration from outside.
struct Steered {
  std::string text;  ///< "paused", "max_wal_rate=8MB/s", "throttled to 50 %"
  std::string by;    ///< the role
};

/// A walk ended.
struct WalkFinished {
  std::string phase;
  std::string relation;
  std::int64_t rows = 0;  ///< written by the backfill, compared by verify; over all runs, but of a second look alone
  std::int64_t rows_before = 0;  ///< of these, by earlier runs; all below is of this one
  std::int64_t batches = 0;
  double duration_ms = 0;
  double batch_p50_ms = 0;
  double batch_p99_ms = 0;
  double hot_percent = 0;
  double wal_bytes = 0;
  std::int64_t quarantined = 0;  ///< rows that were set aside
  bool already_done = false;
};

/// `up` and `down` tried on real rows.
struct TrialFinished {
  std::string relation;
  std::int64_t rows = 0;
  std::int64_t lossy = 0;             ///< rows that do not come back equal
  std::vector<std::string> examples;  ///< "`Anna  Maria` → `Anna Maria`", at most 3
};

/// A row that verify found wrong.
struct Difference {
  std::string relation;
  std::string key;   ///< "id=42", or its ctid where the table has no key
  std::string kind;  ///< "pending" or "inconsistent"
  std::string old_values;
  std::string new_values;
};

struct VerifyFinished {
  std::string relation;
  std::int64_t rows = 0;
  std::int64_t pending = 0;
  std::int64_t inconsistent = 0;
  std::int64_t repaired = 0;
  double duration_ms = 0;
};

/// What is known of the use of the old columns of a table that go at contract.
struct OldUse {
  /// A statement that names the table and such a column, as pg_stat_statements has it.
  struct Statement {
    std::string id;    ///< queryid
    std::string role;  ///< who runs it
    std::int64_t calls = 0;
    std::int64_t calls_since = 0;  ///< of these since expand, as far as looks that are in the journal tell
    std::string text;              ///< on one line, its beginning

    friend bool operator==(const Statement&, const Statement&) = default;
  };

  std::string phase;
  std::string relation;
  std::vector<std::string> columns;
  bool noted = false;                   ///< the sync trigger notes the writes; else the two after this say nothing
  std::optional<double> last_write_ms;  ///< how long ago; nothing: there was none
  std::optional<double> noted_ms;       ///< how long none was noted; nothing where there was one
  std::vector<std::string> by;          ///< application names that were seen to write so, of sessions that are there
  bool statements_known = false;        ///< pg_stat_statements is there and shows texts
  std::vector<Statement> statements;

  /// "users.full_name, age"
  [[nodiscard]] std::string shape() const;
};

struct StateChanged {
  std::string migration;
  std::string before;
  std::string after;
};

/// What a command was asked for, where it is data: a status, a schema. For readers of JSON alone.
struct Document {
  std::string type;
  std::string members;  ///< a JSON object
};

/// The last event of every command, with the same members on success and failure.
struct Result {
  std::string command;
  std::string migration;
  int exit_code = 0;
  std::string outcome;  ///< a name of k_outcomes
  bool retryable = false;
  bool changed = false;  ///< something in the database is different now
  std::string state;     ///< of the migration, empty where there is none
  std::string message;   ///< the error, or what was done
  std::string hint;
  std::string sqlstate;
  std::string next;  ///< the command to run next, or empty
  double duration_ms = 0;
};

}  // namespace event

using Event = std::variant<event::Started, event::Note, event::LockTryFailed, event::StepFinished, event::IndexProgress,
                           event::Progress, event::WalkFinished, event::TrialFinished, event::Difference,
                           event::VerifyFinished, event::OldUse, event::StateChanged, event::Paused, event::Resumed,
                           event::Steered, event::Document, event::Result>;

/// Who is told. Called from one thread at a time; must not throw.
class Observer {
 public:
  virtual ~Observer() = default;
  virtual void on(const Event& event) = 0;
};

}  // namespace ecmigrate
