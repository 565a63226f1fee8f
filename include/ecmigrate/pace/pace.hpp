#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "ecmigrate/model/event.hpp"
#include "ecmigrate/model/pace_limits.hpp"
#include "ecmigrate/pace/oldest_snapshot.hpp"
#include "ecmigrate/pace/position_lag.hpp"

namespace ecmigrate {

/// Somebody said so, by hand or by windows: such a pause has no limit but his.
bool is_meant_to_last(const PauseReason& reason);

/// A budget per second. Spending is never refused, it makes the next turn wait: after a batch of n units the bucket
/// owes n / rate seconds, less what was saved up in the last quarter of a second. Times in milliseconds of one clock.
class TokenBucket {
 public:
  explicit TokenBucket(double rate_per_second) : m_rate(rate_per_second) {}

  void set_rate(double rate_per_second) { m_rate = rate_per_second; }
  void spend(double now_ms, double amount);
  /// How long to wait before the next turn.
  [[nodiscard]] double wait_ms(double now_ms) const;

 private:
  [[nodiscard]] double level(double now_ms) const;

  double m_rate;
  double m_level = 0;
  double m_at_ms = 0;
};

/// Leaves room for others on request: a batch that took t is followed by a rest of t * r / (1 - r), so that the share r
/// of the time is slept. Times in milliseconds of one clock.
class Throttle {
 public:
  /// From 0, no rest, to below 1; from 1 on it rests until that is changed. Also changes a rest that has begun.
  void set_ratio(double ratio) { m_ratio = ratio; }
  void batch_took(double now_ms, double took_ms);
  /// How long to wait before the next turn.
  [[nodiscard]] double wait_ms(double now_ms) const;

 private:
  double m_ratio = 0;
  double m_took_ms = 0;
  double m_end_ms = 0;
};

/// One reading of the server. What a role may not see is nothing; what no limit asks for is not read.
struct LoadReading {
  double now_ms = 0;
  double wal_position = 0;
  struct Replica {
    std::string name;
    bool streaming = false;
    std::optional<double> replayed;
  };
  std::vector<Replica> replicas;
  int waiting_sessions = 0;
  bool sees_sessions = true;  ///< without it the next two are not to be believed
  int active_sessions = 0;
  std::optional<SnapshotHolder> oldest_snapshot;
  double commit_ms = 0;  ///< of the heartbeat
  std::optional<int> archive_queue;
  bool archiver_failing = false;
  std::optional<std::string> endangered_slot;  ///< a slot with less than half of max_slot_wal_keep_size left
  bool wraparound_vacuum = false;              ///< an anti-wraparound autovacuum works on the table
  std::optional<std::string> next_window;      ///< outside the windows: when the next begins
  bool paused_by_user = false;
  std::string paused_by;
  double throttle = 0;    ///< share of the time to be slept
  std::string throttled;  ///< "throttled to 50 % by alice until 22:10 UTC"
  bool pause_query_says_stop = false;
  bool abort_query_says_stop = false;
};

/// Turns readings into reasons to pause, and to end. A signal that tripped clears at 80 % of its limit, so that the
/// work does not flutter around it.
class LoadJudge {
 public:
  /// All reasons to pause that hold now; empty: go on.
  std::vector<PauseReason> reasons(const LoadReading& reading, const PaceLimits& limits);
  /// The abort limit that is exceeded, by the same reading; nothing: none.
  [[nodiscard]] std::optional<std::string> abort_reason(const LoadReading& reading, const PaceLimits& limits) const;
  /// Of the replicas that can be watched, by the last reading; nothing without replicas.
  [[nodiscard]] std::optional<double> longest_lag_ms() const { return m_longest_lag_ms; }

 private:
  void judge_replicas(const LoadReading& reading, const PaceLimits& limits, std::vector<PauseReason>& reasons);
  void judge_sessions(const LoadReading& reading, const PaceLimits& limits, std::vector<PauseReason>& reasons);
  void judge_wal(const LoadReading& reading, const PaceLimits& limits, std::vector<PauseReason>& reasons);
  /// Whether a value above a limit pauses, with hysteresis under the signal's name. A limit of 0 does not look.
  bool above(const std::string& signal, double value, double limit);

  PositionLag m_wal;
  std::optional<double> m_longest_lag_ms;
  std::vector<std::string> m_tripped;
};

}  // namespace ecmigrate
