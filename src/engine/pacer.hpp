#pragma once

#include <chrono>
#include <string>
#include <vector>

#include "ecmigrate/base/quote.hpp"
#include "ecmigrate/engine/pace.hpp"
#include "ecmigrate/engine/session.hpp"

namespace ecmigrate {

/// Decides before each batch whether it may run now. Batches of all workers count together.
class Pacer {
 public:
  Pacer(Session& session, std::string migration);

  struct Turn {
    std::chrono::milliseconds wait{0};  ///< 0: go; else ask again then
    std::string because;                ///< why to wait, or to go slowly
  };
  /// `relation`: what the batch is for; `backends`: the runner's own. Throws Error{work_remains} when the time of
  /// RunOptions::max_duration is over.
  Turn turn(const QualifiedName& relation, const std::vector<int>& backends);
  void batch_done(double rows, double wal_bytes, double took_ms);

  [[nodiscard]] const PaceLimits& limits() const { return m_limits; }
  /// The part of the time in which reasons, not budgets, held the work up.
  [[nodiscard]] double paused_percent() const;

 private:
  [[nodiscard]] double now_ms() const;
  std::vector<std::string> reasons(const QualifiedName& relation, const std::vector<int>& backends);
  void end_pause();

  Session& m_session;
  std::string m_migration;
  PaceLimits m_limits;
  LoadJudge m_judge;
  TokenBucket m_wal;
  TokenBucket m_rows;
  double m_begin_ms;
  double m_looked_ms = -1;
  std::optional<double> m_paused_since_ms;
  double m_paused_ms = 0;
};

}  // namespace ecmigrate
