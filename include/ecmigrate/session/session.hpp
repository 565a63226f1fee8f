#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <set>
#include <stop_token>
#include <string>
#include <utility>
#include <vector>

#include "ecmigrate/base/clock.hpp"
#include "ecmigrate/model/event.hpp"
#include "ecmigrate/model/pace_limits.hpp"
#include "ecmigrate/pg/connection.hpp"

namespace ecmigrate {

/// How a command runs: flags of the command line, with the defaults of docs/commands.md.
struct RunOptions {
  std::chrono::milliseconds lock_timeout{500};     ///< the longest single wait for a table lock
  std::chrono::milliseconds lock_budget{300'000};  ///< all tries of one step together
  std::chrono::milliseconds index_wait{0};  ///< lock_timeout of CREATE INDEX CONCURRENTLY; 0: as long as it takes
  std::chrono::milliseconds run_lock_wait{10'000};
  PaceLimits pace;
  std::chrono::milliseconds max_duration{0};  ///< of the backfill; 0: until it is done
  std::int64_t check_rows = 10'000;           ///< rows that `up` and `down` are tried on; 0: all of them
  bool strict = false;                        ///< warnings refuse
  bool repair_pending = false;
  enum class Side { none, old_columns, new_columns } repair = Side::none;
  std::set<std::string> accept_drop;  ///< names of dependents that contract may drop
  std::string confirmed;              ///< --confirm: the name of the migration that may lose data or change its plan
  /// Asks whoever sits at the terminal to type the migration's name; empty where nobody does.
  std::function<bool(const std::string& question)> ask{};
  /// Contract takes data away only for who said the migration's name, as above. Off for who calls as a library.
  bool confirm_contract = false;
  /// Contract is refused while the old columns were used within this time; 0: whatever their use.
  std::chrono::milliseconds quiet_for{0};
  std::string target;  ///< for the journal, see RunStart
};

/// One runner's dealings with one server: its connections, clock, stop request and observer. Owned by one thread; the
/// stop request may come from another. A second connection watches while the first waits or holds a lock.
class Session {
 public:
  /// Connects and checks that the server can be worked with. Throws Error{cannot_connect}. The references must outlive
  /// the session.
  Session(pg::Target target, RunOptions options, Observer& observer, Clock& clock, std::stop_token stop);

  [[nodiscard]] pg::Connection& connection() { return *m_connection; }
  [[nodiscard]] pg::Connection& watcher();
  /// A further connection with the session's checks and settings, for the caller to own.
  [[nodiscard]] std::unique_ptr<pg::Connection> open_connection();
  /// Sessions of ours that work or watch.
  [[nodiscard]] std::vector<int> own_backends();
  /// The next use of the second connection makes a new one.
  void forget_watcher() { m_watcher.reset(); }
  /// Time since the session was made.
  [[nodiscard]] std::chrono::milliseconds age() const { return m_clock.now() - m_begin; }
  [[nodiscard]] const RunOptions& options() const { return m_options; }
  [[nodiscard]] Clock& clock() { return m_clock; }
  [[nodiscard]] const std::stop_token& stop() const { return m_stop; }
  [[nodiscard]] std::chrono::milliseconds deadlock_timeout() const { return m_deadlock_timeout; }

  void report(const Event& event) { m_observer.on(event); }
  void warn(const std::string& text);
  /// Throws pg::Stopped when a stop was requested.
  void check_stop() const;

  /// Throws Error{refused} where role or database have their transactions read only.
  void require_writable();

  /// Takes the run lock of a migration, polling: a runner that waited inside a statement would hold a snapshot, and the
  /// other's concurrent index would wait for it. Throws Error{busy} that names the holder.
  void take_run_lock(const std::string& migration);
  /// After a lost connection: connects the same object again (tries for up to a minute), checks that it is the same
  /// database system (Error{outcome_unknown} if not), and takes the run lock again.
  void reconnect();

 private:
  /// Checks the server behind a new connection and makes the session's settings.
  void prepare(pg::Connection& connection);
  /// Whether it is still the server that the session began with, or a replica that took its place.
  void check_identity(pg::Connection& connection);
  struct Holder {
    std::string who;
    std::string pid;  ///< empty where it is gone already
  };
  [[nodiscard]] Holder run_lock_holder(const std::pair<int, int>& key);

  pg::Target m_target;
  RunOptions m_options;
  Observer& m_observer;
  Clock& m_clock;
  std::stop_token m_stop;
  std::string m_system;    ///< the database system's identifier, and the database's number in it
  std::string m_timeline;  ///< of its WAL: another one after each failover
  std::string m_migration;
  std::chrono::milliseconds m_begin;
  std::chrono::milliseconds m_deadlock_timeout{1000};
  std::unique_ptr<pg::Connection> m_connection;
  std::unique_ptr<pg::Connection> m_watcher;
};

}  // namespace ecmigrate
