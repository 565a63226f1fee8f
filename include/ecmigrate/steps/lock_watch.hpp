#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "ecmigrate/model/event.hpp"
#include "ecmigrate/pg/connection.hpp"

namespace ecmigrate {

/// What a watch saw.
struct LockWatchReport {
  std::vector<Blocker> blockers;  ///< of the last look that found any
  int blocked_sessions = 0;       ///< different sessions seen waiting behind the watched one
  double blocked_longest_ms = 0;  ///< the longest such wait seen
};

/// Looks from a second connection, every 50 ms, at whom a session waits for and who waits for it. Starts its thread at
/// once; uses the connection alone until finish() or the destructor.
class LockWatch {
 public:
  LockWatch(pg::Connection& watcher, int watched_pid);
  LockWatchReport finish();

 private:
  void look(std::stop_token stop);
  void sample();

  pg::Connection& m_watcher;
  std::string m_pid;
  std::vector<std::string> m_blocked;
  LockWatchReport m_report;
  std::jthread m_thread;
};

}  // namespace ecmigrate
