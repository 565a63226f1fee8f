#pragma once

#include <vector>

namespace ecmigrate {

/// How far those who follow a growing position are behind, in time, from pairs of (server time, position) remembered
/// here, the older ones more coarsely. For replicas, pg_stat_replication.replay_lag alone does not do: it stays small
/// while replay stands still.
class PositionLag {
 public:
  /// A reading of the server's clock and the position; not falling.
  void at(double now_ms, double position);
  /// The age of the oldest remembered position beyond `reached`; 0 when there is none.
  [[nodiscard]] double lag_ms(double reached) const;

 private:
  struct Sample {
    double now_ms;
    double position;
  };
  std::vector<Sample> m_samples;
  double m_now_ms = 0;
};

}  // namespace ecmigrate
