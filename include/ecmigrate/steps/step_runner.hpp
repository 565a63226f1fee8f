#pragma once

#include <optional>
#include <string>
#include <vector>

#include "ecmigrate/model/recipe.hpp"
#include "ecmigrate/session/session.hpp"
#include "ecmigrate/store/journal.hpp"

namespace ecmigrate {

/// The `lock_timeout` of try number `tries` (from 0): 100, 100, 200, 300, 400, 500 ms, never more than `longest`.
/// Short first, because everybody who comes after us waits behind us; see docs/locks.md.
std::chrono::milliseconds lock_try_timeout(int tries, std::chrono::milliseconds longest);

/// Runs the steps of one phase in order, each at most once over all runs, with its lock asked for politely and
/// measured on the server's clock.
class StepRunner {
 public:
  StepRunner(Session& session, Journal& journal, std::string migration, std::int64_t run, std::string phase)
      : m_session(session),
        m_journal(journal),
        m_migration(std::move(migration)),
        m_run(run),
        m_phase(std::move(phase)) {}

  /// Throws Error{lock_not_obtained}, Error{failed}, pg::Stopped. Gives the number of steps done now.
  int run(const std::vector<Step>& steps);

 private:
  struct Times {
    double requested = 0;
    double granted = 0;
    double released = 0;
  };
  struct Attempt {
    std::optional<Times> times;  ///< nothing when the lock was not granted
    double waited_ms = 0;
    std::vector<Blocker> blockers;
    int blocked_sessions = 0;
    double blocked_longest_ms = 0;
  };

  void run_step(const Step& step, event::StepFinished& finished);
  void run_transaction(const Step& step, event::StepFinished& finished);
  Attempt attempt(const Step& step, std::chrono::milliseconds timeout);
  [[nodiscard]] std::string message(const Step& step, std::chrono::milliseconds timeout) const;
  /// The second connection, or nothing while there is none to be had.
  pg::Connection* watcher();
  bool done_after_reconnect(const Step& step);
  [[noreturn]] void give_up(const Step& step, int tries, const std::vector<Blocker>& blockers);

  void build_index(const Step& step);
  void drop_index(const Step& step);
  void run_concurrently(const Step& step, const std::string& sql);
  void drop_invalid(const Step& step);
  [[noreturn]] void give_up_index(const Step& step);
  std::optional<bool> index_validity(const Step& step);

  Session& m_session;
  Journal& m_journal;
  std::string m_migration;
  std::int64_t m_run;
  std::string m_phase;
  std::optional<Blocker> m_index_blocker;  ///< for whom a concurrent build waited last; of its watching thread, too
};

/// The statement that takes it.
std::string lock_statement(const LockRequest& lock);

/// The names of a step's locks, for people: "users, orders".
std::string lock_relations(const Step& step);

/// "pid 4121 report@metabase, idle in transaction for 2m05s".
std::string describe(const Blocker& blocker);

}  // namespace ecmigrate
