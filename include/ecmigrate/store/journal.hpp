#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "ecmigrate/model/event.hpp"
#include "ecmigrate/model/plan.hpp"
#include "ecmigrate/model/recipe.hpp"
#include "ecmigrate/model/state.hpp"
#include "ecmigrate/pg/connection.hpp"
#include "ecmigrate/store/catalog_json.hpp"

namespace ecmigrate {

/// The format of the journal that this program makes; src/store/journal_formats.hpp says what each is.
inline constexpr int k_journal_format = 4;

/// What the journal says of one migration.
struct MigrationRecord {
  std::string name;
  State state = State::planned;
  std::string plan;       ///< Plan::canonical of the plan it was started with
  std::string plan_hash;  ///< SHA-256, hexadecimal
  Recipe recipe;
  /// As they were before expand; nothing where an older program began it.
  std::optional<Tables> tables;
  std::string trigger_marks;  ///< of the sync triggers as they were when they were last known to have missed nothing
  std::string started_at;
  std::string changed_at;
};

/// What a run was given, so that its command can be shown again.
struct RunStart {
  std::string command;
  std::string plan_file;
  std::string target;   ///< the --dbname that was given, without password; empty where the environment says it
  PaceLimits limits{};  ///< of its backfill
};

struct RunEnd {
  std::string outcome;  ///< a name of k_outcomes
  std::string message;
  std::string hint;
  std::string next;
};

/// The journal: schema `ecmigrate` of the target database. Every call is one statement or one message on the
/// connection, which it borrows; texts named `…_sql` are for use inside the transaction of the work they record.
class Journal {
 public:
  explicit Journal(pg::Connection& connection) : m_connection(connection) {}

  /// 0: there is none.
  [[nodiscard]] int format();
  /// Whether there is one. Throws Error{refused} when it is of a newer format than this program knows, or cannot be
  /// read without running what somebody put there.
  [[nodiscard]] bool installed();
  /// Creates the schema and its tables, or brings those of an older format to this program's, in one transaction;
  /// harmless when all is there. Throws Error{refused} where the role may not, or would trust a stranger, and
  /// Error{lock_not_obtained}.
  void install();
  /// Throws Error{refused}, with what to grant, where install() would.
  void check_may_install();
  /// To be called before anything is written: triggers, defaults and checks of a table run with the rights of who
  /// writes. Throws Error{refused} where somebody else's would, or where a right is missing.
  void check_trusted();

  std::optional<MigrationRecord> find(const std::string& name);
  /// The migration, other than `name`, that is not finished and works on one of the tables; nothing if there is none.
  std::optional<std::string> other_on(const std::string& name, const std::vector<QualifiedName>& tables);
  /// Starts a migration in state `expanding`, forgetting an earlier one of that name that was rolled back. Gives the
  /// name of another that is under way on one of its tables, and then starts nothing.
  std::optional<std::string> begin(const Plan& plan, const Recipe& recipe, const Tables& tables);
  /// As if the migration had never been; its events, locks and runs stay.
  void forget(const std::string& name);
  /// From now on the migration goes by this plan and recipe.
  void change_plan(const Plan& plan, const Recipe& recipe);
  void record_trigger_marks(const std::string& name, const std::string& marks);
  /// Keeps those columns of the tables that are not on record yet: PostgreSQL forgets a dropped one's name and type.
  /// `added`: the migration made them.
  void record_columns(const std::string& name, const std::vector<QualifiedName>& tables, bool added);
  void set_state(const std::string& name, State state);

  /// Where no step of contract was begun, from `contracting` to `verified`; gives whether it was so.
  bool take_contract_back(const std::string& name);

  /// Whether the migration is there, and nobody has run it since.
  bool is_newest_run(const std::string& name, std::int64_t run);
  std::int64_t begin_run(const std::string& name, const RunStart& start);
  /// The two halves of the key of the advisory lock that a migration's runner holds.
  static std::pair<int, int> run_lock(const std::string& name);
  void end_run(std::int64_t run, const RunEnd& end);

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
    std::string throttled;  ///< "rests 50 % of the time, set by alice until 22:10 UTC", or nothing
    std::vector<std::pair<std::string, std::string>> limits;
  };
  Steering steering(const std::string& name);
  void steer_pause(const std::string& name, bool paused);
  void steer_throttle(const std::string& name, double ratio, std::optional<std::chrono::milliseconds> duration);
  /// Without a value: what plan and flags say holds again.
  void steer_limit(const std::string& name, const std::string& limit, const std::optional<std::string>& value);

  void record_verification(const std::string& name, std::int64_t run, const event::VerifyFinished& result);
  /// `run`: 0 when nobody ran.
  void record_event(const std::string& name, std::int64_t run, const Event& event);
  /// The time series of a backfill or a verify.
  /// Every look at the use of the old columns since the migration was begun, the newest first, with how long ago it
  /// was.
  std::vector<std::pair<std::chrono::milliseconds, event::OldUse>> old_use_looks(const std::string& name);
  void record_progress(const std::string& name, std::int64_t run, const event::Progress& progress);
  /// What `ecmigrate compare` measured.
  void record_comparison(const std::string& migration, std::int64_t rows, const std::string& server,
                         const std::string& json);

 private:
  static std::string forget_sql(const std::string& name);
  void check_readable();

  pg::Connection& m_connection;
};

}  // namespace ecmigrate
