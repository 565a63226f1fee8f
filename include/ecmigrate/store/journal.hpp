#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "ecmigrate/model/event.hpp"
#include "ecmigrate/model/recipe.hpp"
#include "ecmigrate/model/state.hpp"
#include "ecmigrate/pg/connection.hpp"

namespace ecmigrate {

/// What the journal says of one migration.
struct MigrationRecord {
  std::string name;
  State state = State::planned;
  std::string plan;       ///< Plan::canonical of the plan it was started with
  std::string plan_hash;  ///< SHA-256, hexadecimal
  Recipe recipe;
  std::string started_at;
  std::string changed_at;
};

/// The newest run of a migration.
struct RunRecord {
  std::string command;
  std::string host;
  std::int64_t process = 0;
  std::string since;
  std::optional<std::string> seen_at;  ///< its last heartbeat; nothing before its backfill
  std::optional<std::string> outcome;  ///< nothing while it has not ended
  bool lost = false;                   ///< it has not ended, and its runner is gone or gives no sign of life
};

/// Where a walk over one relation stands. Kept in the transaction of the batch it describes.
struct WalkRecord {
  std::int64_t filenode = 0;  ///< of the relation when the walk began; another one means the rows have moved
  std::int64_t pages = 0;     ///< read after the sync trigger was committed: no row without it lives beyond
  std::int64_t window = 0;    ///< first page of the present window
  int pass = 0;
  std::int64_t page = 0;      ///< the next one
  bool sweeping = false;      ///< the second round, for rows that were locked in the first
  bool skipped = false;       ///< locked rows were left for the second round
  std::int64_t rows = 0;
  std::int64_t hot_rows = 0;
  std::int64_t batches = 0;
  double wal_bytes = 0;
  bool finished = false;
};

/// The newest verification of a relation.
struct VerificationRecord {
  std::string relation;
  std::int64_t rows = 0;
  std::int64_t differences = 0;
  std::string at;
};

/// The journal: schema `ecmigrate` of the target database. Every call is one statement or one message on the
/// connection, which it borrows; texts named `…_sql` are for use inside the transaction of the work they record.
class Journal {
 public:
  explicit Journal(pg::Connection& connection) : m_connection(connection) {}

  [[nodiscard]] bool installed();
  /// Creates the schema and its tables; harmless when they exist. Throws Error{refused} where the role may not.
  void install();

  std::optional<MigrationRecord> find(const std::string& name);
  std::vector<MigrationRecord> all();
  /// The migration, other than `name`, that is not finished and works on one of the tables; nothing if there is none.
  std::optional<std::string> other_on(const std::string& name, const std::vector<QualifiedName>& tables);
  /// Starts a migration in state `expanding`, forgetting an earlier one of that name that was rolled back. Gives the
  /// name of another that is under way on one of its tables, and then starts nothing.
  std::optional<std::string> begin(const std::string& name, const std::string& plan, const Recipe& recipe);
  void set_state(const std::string& name, State state);

  std::int64_t begin_run(const std::string& name, const std::string& command);
  std::optional<RunRecord> last_run(const std::string& name);
  /// The two halves of the key of the advisory lock that a migration's runner holds.
  static std::pair<int, int> run_lock(const std::string& name);
  void end_run(std::int64_t run, const std::string& outcome, const std::string& message);

  /// Steps of a phase that are done, by id.
  std::vector<std::string> done_steps(const std::string& name, const std::string& phase);
  std::vector<std::string> started_steps(const std::string& name, const std::string& phase);
  static std::string step_sql(const std::string& name, const std::string& phase, const std::string& step, bool done);
  void record_step(const std::string& name, const std::string& phase, const std::string& step, bool done);
  void record_lock(const std::string& name, std::int64_t run, const event::StepFinished& step);

  /// Takes a walk over for `run`: whoever had it before finds its next checkpoint refused.
  std::optional<WalkRecord> claim_walk(const std::string& name, std::int64_t run, const QualifiedName& relation);
  void begin_walk(const std::string& name, std::int64_t run, const QualifiedName& relation, const WalkRecord& walk);
  /// To be run before a batch's UPDATE: pg_stat_xact_user_tables also counts earlier transactions whose numbers the
  /// session has not handed in yet, so only a difference says what the batch did.
  static std::string walk_before_sql(const QualifiedName& relation);
  /// Checkpoint of a batch, in its transaction; rows and hot_rows are counted by the server. Gives one row with both,
  /// or none when another runner has claimed the walk, or the relation was rewritten since the walk began.
  static std::string walk_sql(const std::string& name, std::int64_t run, const QualifiedName& relation, const WalkRecord& walk);
  /// Where the rows of a table are now (itself, or the leaves of its partitions), each with whether its walk is finished.
  std::vector<std::pair<QualifiedName, bool>> leaves(const std::string& name, const QualifiedName& table);
  /// SQL condition: a partition has come since the backfill, and its rows were never looked at.
  static std::string unwalked_sql(const std::string& name, const QualifiedName& table);

  /// Writes that the run is alive. Gives how long the commit took, in milliseconds of the server's clock; only a
  /// durable one waits for the disk.
  double heartbeat(std::int64_t run, bool durable);

  /// What somebody said with `pause`, `resume`, `throttle` and `set`.
  struct Steering {
    bool paused = false;
    std::string paused_by;
    double throttle = 0;    ///< the share of the time to be slept, below 1
    std::string throttled;  ///< "throttled to 50 % by alice until 22:10 UTC", or nothing
    std::vector<std::pair<std::string, std::string>> limits;
  };
  Steering steering(const std::string& name);
  void steer_pause(const std::string& name, bool paused);
  void steer_throttle(const std::string& name, double ratio, std::optional<std::chrono::milliseconds> duration);
  void steer_limit(const std::string& name, const std::string& limit, const std::string& value);

  void record_verification(const std::string& name, std::int64_t run, const event::VerifyFinished& result);
  std::vector<VerificationRecord> verifications(const std::string& name);
  void record_event(const std::string& name, std::int64_t run, const std::string& json);

 private:
  pg::Connection& m_connection;
};

}  // namespace ecmigrate
