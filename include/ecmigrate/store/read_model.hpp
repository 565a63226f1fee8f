#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "ecmigrate/base/quote.hpp"
#include "ecmigrate/model/event.hpp"
#include "ecmigrate/model/pace_limits.hpp"
#include "ecmigrate/model/recipe.hpp"
#include "ecmigrate/model/state.hpp"
#include "ecmigrate/pg/connection.hpp"
#include "ecmigrate/store/walks.hpp"

/// What the journal says, read for people: `status`, its JSON, the page and the API all show what is here. Every call
/// is one statement, takes ACCESS SHARE on the journal's tables alone, and reads journals of older formats too.
///
/// Instants are milliseconds since 1970 on the server's clock.
namespace ecmigrate {

using Instant = std::int64_t;

/// A lock that a step took, or did not get.
struct StepLock {
  std::string phase;
  std::string step;
  std::string relation;
  std::string mode;
  int tries = 1;
  double waited_ms = 0;
  std::optional<double> held_ms;  ///< nothing: no try obtained it yet
  int blocked_sessions = 0;
  double blocked_longest_ms = 0;
  Instant at = 0;
};

/// The newest run of a migration.
struct RunView {
  std::string command;
  std::string host;
  std::int64_t process = 0;
  std::string user;
  std::string plan_file;
  std::string target;  ///< the --dbname that it was given, without password
  Instant since = 0;
  std::optional<Instant> seen_at;  ///< its last heartbeat; nothing before its backfill
  std::optional<Instant> finished_at;
  std::optional<std::string> outcome;  ///< nothing while it has not ended
  std::string message;
  std::string hint;
  std::string next;
  bool lost = false;                 ///< it has not ended, and its runner is gone or gives no sign of life
  std::optional<PaceLimits> limits;  ///< as far as the journal keeps them, with what was set from outside since
};

/// What a backfill wrote to a relation in all its runs.
struct WalkView {
  std::string relation;    ///< display name, as in progress
  std::int64_t pages = 0;  ///< that it goes through
  Written written;
  bool finished = false;
};

struct ProgressView {
  Instant at = 0;
  event::Progress progress;
};

/// The newest verification of a relation.
struct VerificationView {
  std::string relation;
  std::int64_t rows = 0;
  std::int64_t differences = 0;
  Instant at = 0;
};

struct PauseView {
  Instant from = 0;
  std::optional<Instant> to;  ///< nothing: it goes on
  std::vector<PauseReason> reasons;
};

struct StateView {
  Instant at = 0;
  State state = State::planned;
};

/// What was set from outside.
struct SteeringView {
  bool paused = false;
  std::string paused_by;
  double throttle = 0;    ///< the share of the time that is slept
  std::string throttled;  ///< "rests 50 % of the time, set by alice until 22:10 UTC", or nothing
  std::vector<std::pair<std::string, std::string>> limits;
};

struct EventView {
  std::int64_t id = 0;
  Instant at = 0;
  std::string data;  ///< as event_to_json
};

/// One migration, at one moment.
/// When the old version wrote a table last, as the sync trigger notes it.
struct OldWriteView {
  std::string relation;
  std::vector<std::string> columns;
  Instant last = 0;
};

struct MigrationView {
  std::string name;
  std::string description;
  State state = State::planned;
  bool readable = true;    ///< false: another program's state or recipe, of which only what is here can be told
  std::string state_text;  ///< as the journal has it
  std::string plan_hash;
  std::string plan_file;
  Instant started_at = 0;
  Instant changed_at = 0;
  std::optional<RunView> run;
  SteeringView steering;
  std::vector<StateView> states;  ///< in the order in which they were entered
  std::vector<StepLock> locks;
  std::vector<WalkView> walks;
  std::vector<ProgressView> progress;  ///< the newest of each phase and relation, of those that told any lately
  std::vector<VerificationView> verifications;
  std::vector<PauseView> pauses;
  std::vector<Blocker> last_blockers;  ///< of the newest try at a lock that failed
  std::optional<Instant> last_blockers_at;
  std::int64_t bad_rows = 0;
  std::vector<OldWriteView> old_writes;  ///< of tables that an old version wrote since expand
};

/// A migration in a list.
struct MigrationSummary {
  std::string name;
  std::string state;
  Instant started_at = 0;
  Instant changed_at = 0;
  std::optional<std::int64_t> rows;         ///< that the backfill wrote
  std::optional<std::int64_t> differences;  ///< that the last verify left
  std::string command;                      ///< of the newest run
  std::optional<std::string> outcome;
};

struct JournalView {
  Instant now = 0;
  std::string current;  ///< the migration to show when none is named: the newest that is under way, else the newest
  std::vector<MigrationView> migrations;  ///< those that were asked for, as far as they are there
  std::vector<std::pair<std::string, EventView>>
      events;  ///< those after the number given, of the same migrations, oldest first
};

/// A column of a table that a migration works on.
struct ColumnView {
  enum class Side { kept, old_shape, new_shape };
  QualifiedName relation;
  std::int64_t oid = 0;  ///< 0: not known, as the journal is of an older format
  int number = 0;
  std::string name;  ///< when it was recorded
  std::optional<std::string> type;
  std::optional<bool> nullable;
  Side side = Side::kept;
  std::string fate;  ///< "dropped at contract", "not null at contract", or nothing
};

/// What does not change while a migration is in one state.
struct MigrationShape {
  std::vector<QualifiedName> tables;
  std::vector<ColumnView> columns;
  std::vector<std::string> key;          ///< of the first table that is walked
  std::optional<QualifiedName> sampled;  ///< that table
  std::vector<SyncTrigger> triggers;
  std::vector<OldShape> old_shapes;
  std::string pending;  ///< predicate over `this`, a row of `sampled`: it waits for the backfill; empty: cannot be told
  std::string inconsistent;  ///< the same: filled, and not equal
};

/// Reads the journal. `format`: Journal::format(), above 0.
class ReadModel {
 public:
  ReadModel(pg::Connection& connection, int format) : m_connection(connection), m_format(format) {}

  /// `after_event`: 0 gives no events.
  [[nodiscard]] JournalView look(const std::vector<std::string>& names, std::int64_t after_event = 0);
  /// Those under way first, then the newest, 1,000 at most.
  [[nodiscard]] std::vector<MigrationSummary> list();
  /// Nothing when there is no such migration. A recipe of another program gives an empty shape.
  [[nodiscard]] std::optional<MigrationShape> shape(const std::string& name);
  /// Events of a migration before one, newest first. `before` 0: from the newest.
  [[nodiscard]] std::vector<EventView> events(const std::string& name, std::int64_t before, int limit);
  /// The number of the newest event.
  [[nodiscard]] std::int64_t last_event();
  /// The newest so many points of the backfill's time series, oldest first; several relations are one.
  [[nodiscard]] std::vector<ProgressView> series(const std::string& name, std::size_t most);
  /// The newest comparison of a migration as `ecmigrate compare` recorded it: a JSON document.
  [[nodiscard]] std::optional<std::string> comparison(const std::string& name);

 private:
  pg::Connection& m_connection;
  int m_format;
};

}  // namespace ecmigrate
