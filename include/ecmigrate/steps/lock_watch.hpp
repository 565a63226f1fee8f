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
  bool lost = false;              ///< the watching connection failed: use another next time
};

/// How long after a look the next one comes, when a watch is so old: 50 ms at first, and a second in the end, as a look
/// is felt by the whole server and a scan under a lock that stops nobody may take hours.
std::chrono::milliseconds watch_pause(std::chrono::milliseconds age);

/// Looks from a second connection, now and then, at whom a session waits for and who waits for it. Starts its thread at
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
