#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "ecmigrate/base/quote.hpp"
#include "ecmigrate/pace/pace.hpp"
#include "ecmigrate/session/session.hpp"

namespace ecmigrate {

/// Decides before each batch whether it may run now. Batches of all workers count together.
class Pacer {
 public:
  /// Borrows session and snapshots.
  Pacer(Session& session, std::string migration, std::int64_t run, SnapshotWatch& snapshots);

  struct Turn {
    std::chrono::milliseconds wait{0};  ///< 0: go; else ask again then
    std::string because;                ///< why to wait
  };
  /// `relation`: what the batch is for; `backends`: all server processes of ours. Throws Error{work_remains} when the
  /// time of RunOptions::max_duration is over or an abort limit is exceeded.
  Turn turn(const QualifiedName& relation, const std::vector<int>& backends);
  /// Asks the server about twice a second, and for its replicas at every batch. Best while batches are under way: then
  /// it is seen who waits for them.
  void look_if_due(const QualifiedName& relation, const std::vector<int>& backends);
  void batch_done(double rows, double wal_bytes, double took_ms);

  [[nodiscard]] const PaceLimits& limits() const { return m_limits; }
  /// The part of the time in which signals, not budgets, held the work up.
  [[nodiscard]] double paused_percent() const;
  /// To pause, as of the last look.
  [[nodiscard]] const std::vector<PauseReason>& reasons() const { return m_reasons; }
  /// Of the replica that is furthest behind, as of the last look.
  [[nodiscard]] std::optional<double> lag_ms() const { return m_judge.longest_lag_ms(); }

 private:
  [[nodiscard]] double now_ms() const;
  std::vector<PauseReason> reasons(const QualifiedName& relation, const std::vector<int>& backends, bool all);
  /// Throws Error{work_remains}.
  void end_if_held_too_long(double now);
  /// The budget that makes the next batch wait, and for how long.
  [[nodiscard]] std::pair<double, std::string> budget() const;

  Session& m_session;
  std::string m_migration;
  std::int64_t m_run;
  SnapshotWatch& m_snapshots;
  PaceLimits m_limits;
  LoadReading m_reading;  ///< the last
  LoadJudge m_judge;
  TokenBucket m_wal;
  TokenBucket m_rows;
  Throttle m_throttle;
  std::string m_throttled;
  double m_begin_ms;
  double m_looked_ms = -1;
  double m_looked_at_replicas_ms = -1;
  std::vector<PauseReason> m_reasons;  ///< to pause, as of the last look
  std::optional<double> m_paused_since_ms;
  std::optional<double> m_held_since_ms;  ///< by signals alone
  double m_paused_ms = 0;
};

}  // namespace ecmigrate
