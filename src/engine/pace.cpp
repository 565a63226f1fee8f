#include "ecmigrate/engine/pace.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "ecmigrate/base/text.hpp"

namespace ecmigrate {

namespace {

/// What may be saved up: more would let the load come in bursts.
constexpr double k_saved_seconds = 0.25;
constexpr double k_clear_at = 0.8;
/// Longer lags are told as "more than".
constexpr double k_longest_lag_ms = 600'000;

}  // namespace

double TokenBucket::level(double now_ms) const {
  return std::min(m_rate * k_saved_seconds, m_level + m_rate * (now_ms - m_at_ms) / 1000);
}

void TokenBucket::spend(double now_ms, double amount) {
  m_level = level(now_ms) - amount;
  m_at_ms = now_ms;
}

double TokenBucket::wait_ms(double now_ms) const {
  return m_rate <= 0 ? 0 : std::max(0.0, -level(now_ms) * 1000 / m_rate);
}

void ReplicaLag::at(double now_ms, double position) {
  // The first moment at which a position was reached is the one that counts.
  if (m_samples.empty() || position > m_samples.back().position) {
    m_samples.push_back({now_ms, position});
  }
  while (m_samples.size() > 2 && now_ms - m_samples.front().now_ms > k_longest_lag_ms) {
    m_samples.pop_front();
  }
  m_now_ms = now_ms;
}

double ReplicaLag::lag_ms(double replayed) const {
  for (const Sample& sample : m_samples) {
    if (sample.position > replayed) {
      return m_now_ms - sample.now_ms;
    }
  }
  return 0;
}

bool LoadJudge::above(const std::string& signal, double value, double limit) {
  const auto tripped = std::ranges::find(m_tripped, signal);
  if (tripped == m_tripped.end() && value > limit) {
    m_tripped.push_back(signal);
    return true;
  }
  if (tripped != m_tripped.end() && value <= limit * k_clear_at) {
    m_tripped.erase(tripped);
    return false;
  }
  return tripped != m_tripped.end();
}

std::vector<std::string> LoadJudge::reasons(const LoadReading& reading, const PaceLimits& limits) {
  std::vector<std::string> reasons;
  m_lag.at(reading.now_ms, reading.wal_position);
  if (reading.paused_by_user) {
    reasons.push_back("paused by " + reading.paused_by);
  }
  int streaming = 0;
  for (const LoadReading::Replica& replica : reading.replicas) {
    streaming += replica.streaming ? 1 : 0;
    const auto limit = static_cast<double>(limits.max_replica_lag.count());
    if (limit <= 0) {
      continue;
    }
    if (!replica.replayed) {
      // Unknown is not the same as none.
      reasons.push_back(fmt::format("replica {} cannot be watched: grant pg_monitor, or set max_replica_lag to 0", replica.name));
    } else if (const double lag = m_lag.lag_ms(*replica.replayed); above("lag of " + replica.name, lag, limit)) {
      reasons.push_back(fmt::format("replica {} is {} behind (limit {})", replica.name, format_milliseconds(lag), format_milliseconds(limit)));
    }
  }
  if (streaming < limits.replicas) {
    reasons.push_back(fmt::format("{} of {} replicas are connected", streaming, limits.replicas));
  }
  if (limits.max_waiting_sessions > 0 && above("waiting sessions", reading.waiting_sessions, limits.max_waiting_sessions)) {
    reasons.push_back(fmt::format("{} sessions wait for the backfill's locks", reading.waiting_sessions));
  }
  if (reading.archiver_failing) {
    reasons.emplace_back("WAL archiving fails (see pg_stat_archiver)");
  }
  if (reading.endangered_slot) {
    reasons.push_back(fmt::format("replication slot {} is about to lose WAL it needs", *reading.endangered_slot));
  }
  if (reading.wraparound_vacuum) {
    reasons.emplace_back("autovacuum works on the table to prevent wraparound");
  }
  if (reading.pause_query_says_stop) {
    reasons.emplace_back("the plan's pause_query says so");
  }
  return reasons;
}

}  // namespace ecmigrate
