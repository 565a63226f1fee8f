#include "side_observer.hpp"

#include <algorithm>
#include <chrono>

#include "ecmigrate/report/answers.hpp"

namespace ecmigrate::scene {

void SideObserver::on(const Event& event) {
  if (const auto* failed = std::get_if<event::LockTryFailed>(&event)) {
    m_failed_ms += failed->waited_ms;
    m_longest_failed_ms = std::max(m_longest_failed_ms, failed->waited_ms);
  } else if (const auto* step = std::get_if<event::StepFinished>(&event); step != nullptr && !step->mode.empty()) {
    add(*step);
  } else if (const auto* walk = std::get_if<event::WalkFinished>(&event);
             walk != nullptr && walk->phase == "backfill") {
    m_rows += static_cast<double>(walk->rows);
    m_walk_ms += walk->duration_ms;
    m_side.rows_per_second = m_rows * 1000 / std::max(1.0, m_walk_ms);
  }
}

void SideObserver::add(const event::StepFinished& step) {
  LockTime lock;
  lock.phase = step.phase;
  lock.step = step.step;
  lock.relation = step.relation;
  lock.mode = step.mode;
  lock.tries = step.tries;
  lock.waited_ms = step.waited_ms;
  lock.held_ms = step.held_ms;
  lock.stopped_ms = std::max(m_longest_failed_ms, step.waited_ms - m_failed_ms + step.held_ms);
  lock.blocked_sessions = step.blocked_sessions;
  lock.blocked_longest_ms = step.blocked_longest_ms;
  lock.at = utc_time(
      std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::system_clock::now().time_since_epoch())
          .count());
  m_side.locks.push_back(std::move(lock));
  m_failed_ms = m_longest_failed_ms = 0;
}

void add_traffic(Side& side, const TrafficStats& stats) {
  side.requests = stats.requests;
  side.failed = stats.failed;
  side.p50_ms = stats.p50_ms;
  side.p99_ms = stats.p99_ms;
  side.slowest_ms = stats.slowest_ms;
  side.longest_gap_ms = stats.longest_gap_ms;
  side.errors = stats.errors;
  for (const LockTime& lock : side.locks) {
    side.sessions_blocked = std::max(side.sessions_blocked, lock.blocked_sessions);
    if (stopped_by(lock.mode) != "nothing") {
      side.longest_stopping_lock_ms = std::max(side.longest_stopping_lock_ms, lock.stopped_ms);
    }
  }
}

}  // namespace ecmigrate::scene
