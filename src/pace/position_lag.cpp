#include "ecmigrate/pace/position_lag.hpp"

#include <algorithm>
#include <utility>

namespace ecmigrate {

namespace {

/// 64 kB, however long the run.
constexpr std::size_t k_most_samples = 4096;
/// By twice this part of itself a lag may be told too long; never too short.
constexpr double k_coarseness = 0.05;

}  // namespace

void PositionLag::at(double now_ms, double position) {
  // A clock that steps back makes nothing younger or older.
  if (now_ms < m_now_ms) {
    for (Sample& sample : m_samples) {
      sample.now_ms -= m_now_ms - now_ms;
    }
  }
  m_now_ms = now_ms;
  // The first moment at which a position was reached is the one that counts.
  if (!m_samples.empty() && position <= m_samples.back().position) {
    return;
  }
  m_samples.push_back({now_ms, position});
  if (m_samples.size() >= k_most_samples) {
    std::vector<Sample> kept{m_samples.front()};
    for (const Sample& sample : m_samples) {
      if (sample.now_ms - kept.back().now_ms <= k_coarseness * (now_ms - sample.now_ms)) {
        kept.back().position = sample.position;
      } else {
        kept.push_back(sample);
      }
    }
    m_samples = std::move(kept);
  }
}

double PositionLag::lag_ms(double reached) const {
  const auto beyond = std::ranges::upper_bound(m_samples, reached, {}, &Sample::position);
  return beyond == m_samples.end() ? 0 : m_now_ms - beyond->now_ms;
}

}  // namespace ecmigrate
