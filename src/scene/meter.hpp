#pragma once

#include <array>
#include <deque>
#include <mutex>

#include "client.hpp"

namespace ecmigrate::scene {

/// Counts requests as they end, in little memory however long it goes on. Safe to call from several threads.
class Meter {
 public:
  /// Requests are made from now on; the time until the first answer is a gap.
  void begin();
  /// No more are made.
  void end();
  void answered(SteadyClock::time_point arrival);
  void failed(SteadyClock::time_point arrival, const std::string& error, bool given_up);
  void read_back(const ReadBack& found);

  [[nodiscard]] TrafficStats stats() const;

 private:
  /// Milliseconds by their logarithm, one bucket a percent, from 0.01 ms to some hours.
  static constexpr std::size_t k_buckets = 2048;

  void count(SteadyClock::time_point arrival, bool answered);
  void close_gap(SteadyClock::time_point now);
  void note(const std::string& error);
  [[nodiscard]] Bar& bar_at(SteadyClock::time_point now);
  [[nodiscard]] double percentile(double p) const;
  [[nodiscard]] double recent_rate(SteadyClock::time_point now) const;

  mutable std::mutex m_mutex;
  TrafficStats m_stats;
  std::array<std::int64_t, k_buckets> m_histogram{};
  std::deque<Bar> m_bars;  ///< those with a request in them
  SteadyClock::time_point m_begin;
  SteadyClock::time_point m_last_answer;
};

}  // namespace ecmigrate::scene
