#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <vector>

#include "ecmigrate/model/pace_limits.hpp"

namespace ecmigrate {

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

/// How far each replica's replay is behind, in time, from pairs of (server time, WAL position) remembered here.
/// pg_stat_replication.replay_lag alone does not do: it stays small while replay stands still.
class ReplicaLag {
 public:
  /// A reading of the primary's clock and WAL position; not falling.
  void at(double now_ms, double position);
  /// The age of the oldest remembered position that a replica at `replayed` has not reached; 0 when it has all.
  [[nodiscard]] double lag_ms(double replayed) const;

 private:
  struct Sample {
    double now_ms;
    double position;
  };
  std::deque<Sample> m_samples;
  double m_now_ms = 0;
};

/// One reading of the server.
struct LoadReading {
  double now_ms = 0;
  double wal_position = 0;
  struct Replica {
    std::string name;
    bool streaming = false;
    std::optional<double> replayed;  ///< nothing when the role may not see it
  };
  std::vector<Replica> replicas;
  int waiting_sessions = 0;
  bool archiver_failing = false;
  std::optional<std::string> endangered_slot;  ///< a slot with less than half of max_slot_wal_keep_size left
  bool wraparound_vacuum = false;              ///< an anti-wraparound autovacuum works on the table
  bool paused_by_user = false;
  std::string paused_by;
  bool pause_query_says_stop = false;
};

/// Turns readings into reasons to pause. A signal that tripped clears at 80 % of its limit, so that the work does not
/// flutter around it.
class LoadJudge {
 public:
  /// All reasons that hold now, as text for people; empty: go on.
  std::vector<std::string> reasons(const LoadReading& reading, const PaceLimits& limits);

 private:
  /// Whether a value above a limit pauses, with hysteresis under the signal's name.
  bool above(const std::string& signal, double value, double limit);

  ReplicaLag m_lag;
  std::vector<std::string> m_tripped;
};

}  // namespace ecmigrate
