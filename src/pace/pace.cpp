#include "ecmigrate/pace/pace.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "ecmigrate/base/text.hpp"

namespace ecmigrate {

namespace {

/// What may be saved up: more would let the load come in bursts.
constexpr double k_saved_seconds = 0.25;
constexpr double k_clear_at = 0.8;
constexpr double k_until_it_is_changed_ms = 86'400'000;

double count_of(std::chrono::milliseconds limit) {
  return static_cast<double>(limit.count());
}

}  // namespace

bool is_meant_to_last(const PauseReason& reason) {
  return reason.code == "paused_by_user" || reason.code == "outside_windows";
}

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

void Throttle::batch_took(double now_ms, double took_ms) {
  m_took_ms = took_ms;
  m_end_ms = now_ms;
}

double Throttle::wait_ms(double now_ms) const {
  if (!(m_ratio < 1)) {  // nothing is left for work; also what is not a number
    return k_until_it_is_changed_ms;
  }
  return std::max(0.0, m_end_ms + m_took_ms * m_ratio / (1 - m_ratio) - now_ms);
}

bool LoadJudge::above(const std::string& signal, double value, double limit) {
  const auto tripped = std::ranges::find(m_tripped, signal);
  if (tripped == m_tripped.end() && limit > 0 && value > limit) {
    m_tripped.push_back(signal);
    return true;
  }
  if (tripped != m_tripped.end() && (limit <= 0 || value <= limit * k_clear_at)) {
    m_tripped.erase(tripped);
    return false;
  }
  return tripped != m_tripped.end();
}

std::vector<PauseReason> LoadJudge::reasons(const LoadReading& reading, const PaceLimits& limits) {
  std::vector<PauseReason> reasons;
  m_wal.at(reading.now_ms, reading.wal_position);
  if (reading.paused_by_user) {
    reasons.push_back({"paused_by_user", "paused by " + reading.paused_by});
  }
  if (reading.next_window) {
    reasons.push_back(
        {"outside_windows", fmt::format("outside the windows; the next begins {}", *reading.next_window)});
  }
  judge_replicas(reading, limits, reasons);
  judge_sessions(reading, limits, reasons);
  judge_wal(reading, limits, reasons);
  if (reading.wraparound_vacuum) {
    reasons.push_back({"wraparound_vacuum", "autovacuum works on the table to prevent wraparound"});
  }
  if (reading.pause_query_says_stop) {
    reasons.push_back({"pause_query", "pause_query says so"});
  }
  return reasons;
}

void LoadJudge::judge_replicas(const LoadReading& reading, const PaceLimits& limits,
                               std::vector<PauseReason>& reasons) {
  int streaming = 0;
  const double limit = count_of(limits.max_replica_lag);
  m_longest_lag_ms.reset();
  for (const LoadReading::Replica& replica : reading.replicas) {
    streaming += replica.streaming ? 1 : 0;
    if (!replica.replayed) {
      // Unknown is not the same as none.
      if (limit > 0 || limits.abort_replica_lag.count() > 0) {
        reasons.push_back(
            {"replica_unwatched",
             fmt::format("replica {} cannot be watched: grant pg_monitor, or set max_replica_lag to 0", replica.name)});
      }
      continue;
    }
    const double lag = m_wal.lag_ms(*replica.replayed);
    m_longest_lag_ms = std::max(lag, m_longest_lag_ms.value_or(0));
    if (above("lag of " + replica.name, lag, limit)) {
      reasons.push_back({"replica_lag",
                         fmt::format("replica {} is {} behind (limit {})", replica.name, format_milliseconds(lag),
                                     format_milliseconds(limit)),
                         lag, limit});
    }
  }
  if (streaming < limits.replicas) {
    reasons.push_back({"replicas_missing", fmt::format("{} of {} replicas are connected", streaming, limits.replicas)});
  }
}

void LoadJudge::judge_sessions(const LoadReading& reading, const PaceLimits& limits,
                               std::vector<PauseReason>& reasons) {
  if (above("waiting sessions", reading.waiting_sessions, limits.max_waiting_sessions)) {
    reasons.push_back({"waiting_sessions",
                       fmt::format("{} sessions wait for the backfill's locks", reading.waiting_sessions),
                       reading.waiting_sessions, limits.max_waiting_sessions});
  }
  if (!reading.sees_sessions &&
      (limits.max_active_sessions > 0 || limits.abort_active_sessions > 0 || limits.max_snapshot_age.count() > 0)) {
    reasons.push_back({"sessions_unwatched",
                       "other users' sessions cannot be watched: grant pg_monitor, or set max_active_sessions and "
                       "max_snapshot_age to 0"});
    return;
  }
  if (above("active sessions", reading.active_sessions, limits.max_active_sessions)) {
    reasons.push_back(
        {"active_sessions",
         fmt::format("{} sessions are active (limit {})", reading.active_sessions, limits.max_active_sessions),
         reading.active_sessions, limits.max_active_sessions});
  }
  const auto& holder = reading.oldest_snapshot;
  const double age = holder ? holder->age_ms : 0;
  if (above("snapshot", age, count_of(limits.max_snapshot_age))) {
    const double limit = count_of(limits.max_snapshot_age);
    reasons.push_back({"snapshot_age",
                       fmt::format("a snapshot {} old keeps dead rows (limit {}): {}", format_milliseconds(age),
                                   format_milliseconds(limit), holder ? holder->text : ""),
                       age, limit});
  }
}

void LoadJudge::judge_wal(const LoadReading& reading, const PaceLimits& limits, std::vector<PauseReason>& reasons) {
  if (const double limit = count_of(limits.max_commit_latency); above("commit latency", reading.commit_ms, limit)) {
    reasons.push_back({"commit_latency",
                       fmt::format("a commit takes {} (limit {})", format_milliseconds(reading.commit_ms),
                                   format_milliseconds(limit)),
                       reading.commit_ms, limit});
  }
  if (limits.max_archive_queue > 0 && !reading.archive_queue) {
    reasons.push_back(
        {"archive_queue", "the archive's queue cannot be read: grant pg_monitor, or set max_archive_queue to 0"});
  } else if (above("archive queue", reading.archive_queue.value_or(0), limits.max_archive_queue)) {
    reasons.push_back(
        {"archive_queue",
         fmt::format("{} WAL files wait to be archived (limit {})", *reading.archive_queue, limits.max_archive_queue),
         *reading.archive_queue, limits.max_archive_queue});
  }
  if (reading.archiver_failing) {
    reasons.push_back({"archiver_failing", "WAL archiving fails (see pg_stat_archiver)"});
  }
  if (reading.endangered_slot) {
    reasons.push_back({"endangered_slot",
                       fmt::format("replication slot {} is about to lose WAL it needs", *reading.endangered_slot)});
  }
}

std::optional<std::string> LoadJudge::abort_reason(const LoadReading& reading, const PaceLimits& limits) const {
  const auto over = [](double value, double limit) { return limit > 0 && value > limit; };
  const double lag_limit = count_of(limits.abort_replica_lag);
  for (const LoadReading::Replica& replica : reading.replicas) {
    if (const double lag = replica.replayed ? m_wal.lag_ms(*replica.replayed) : 0; over(lag, lag_limit)) {
      return fmt::format("replica {} is {} behind (abort_replica_lag {})", replica.name, format_milliseconds(lag),
                         format_milliseconds(lag_limit));
    }
  }
  if (over(reading.active_sessions, limits.abort_active_sessions)) {
    return fmt::format("{} sessions are active (abort_active_sessions {})", reading.active_sessions,
                       limits.abort_active_sessions);
  }
  if (const double limit = count_of(limits.abort_commit_latency); over(reading.commit_ms, limit)) {
    return fmt::format("a commit takes {} (abort_commit_latency {})", format_milliseconds(reading.commit_ms),
                       format_milliseconds(limit));
  }
  if (reading.abort_query_says_stop) {
    return "abort_query says so";
  }
  return std::nullopt;
}

}  // namespace ecmigrate
