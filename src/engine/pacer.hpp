#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <utility>

#include "ecmigrate/base/quote.hpp"
#include "ecmigrate/engine/pace.hpp"
#include "ecmigrate/engine/session.hpp"

namespace ecmigrate {

/// Decides before each batch of one walk whether it may run now.
class Pacer {
 public:
  /// `tell` is called about twice a second while the walk waits, with the reasons, and with nothing when it goes on.
  Pacer(Session& session, std::string migration, std::int64_t run, QualifiedName relation, std::function<void(const std::string&)> tell);

  /// Waits until nothing speaks against the next batch. Throws pg::Stopped, and Error{work_remains} when the time of
  /// RunOptions::max_duration is over or an abort limit is exceeded.
  void wait_for_turn();
  void batch_done(double rows, double wal_bytes);

  [[nodiscard]] const PaceLimits& limits() const { return m_limits; }

 private:
  [[nodiscard]] double now_ms() const;
  std::vector<std::string> reasons();
  /// The budget that makes the next batch wait, and for how long.
  [[nodiscard]] std::pair<double, std::string> budget() const;

  Session& m_session;
  std::string m_migration;
  std::int64_t m_run;
  QualifiedName m_relation;
  std::function<void(const std::string&)> m_tell;
  PaceLimits m_limits;
  LoadJudge m_judge;
  TokenBucket m_wal;
  TokenBucket m_rows;
  Throttle m_throttle;
  std::string m_throttled;
  double m_looked_ms = -1;
  double m_turn_ms = 0;
  bool m_told = false;
};

}  // namespace ecmigrate
