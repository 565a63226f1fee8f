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
  /// The time series of a backfill.
  void record_progress(const std::string& name, std::int64_t run, const std::string& json);
  /// The newest progress of each relation in the newest run that made any.
  std::vector<std::string> last_progress(const std::string& name);

 private:
  pg::Connection& m_connection;
};

}  // namespace ecmigrate
