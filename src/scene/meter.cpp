#include "meter.hpp"

#include <algorithm>
#include <cmath>

namespace ecmigrate::scene {

namespace {

constexpr double k_least_ms = 0.01;
const double k_growth = std::log(1.01);
constexpr std::chrono::seconds k_recent{5};

double milliseconds(SteadyClock::duration duration) {
  return std::chrono::duration<double, std::milli>(duration).count();
}

/// The wall clock's time of a moment of the steady clock; always by the same offset, so that bars never go back.
std::int64_t epoch_ms(SteadyClock::time_point moment) {
  static const auto offset =
      std::chrono::system_clock::now().time_since_epoch() - SteadyClock::now().time_since_epoch();
  return std::chrono::duration_cast<std::chrono::milliseconds>(moment.time_since_epoch() + offset).count();
}

std::int64_t bar_begin(SteadyClock::time_point moment) {
  const std::int64_t at = epoch_ms(moment);
  return at - at % k_bar.count();
}

}  // namespace

void Meter::begin() {
  const std::lock_guard lock(m_mutex);
  m_begin = m_last_answer = SteadyClock::now();
  m_stats.running = true;
}

void Meter::end() {
  const std::lock_guard lock(m_mutex);
  if (m_stats.running) {
    close_gap(SteadyClock::now());
    m_stats.running = false;
  }
}

void Meter::answered(SteadyClock::time_point arrival) {
  const std::lock_guard lock(m_mutex);
  count(arrival, true);
}

void Meter::failed(SteadyClock::time_point arrival, const std::string& error, bool given_up) {
  const std::lock_guard lock(m_mutex);
  count(arrival, false);
  m_stats.timeouts += given_up ? 1 : 0;
  note(error);
}

void Meter::read_back(const ReadBack& found) {
  const std::lock_guard lock(m_mutex);
  m_stats.checked += found.checked;
  m_stats.lost += found.lost;
  for (const std::string& loss : found.losses) {
    note(loss);
  }
}

void Meter::count(SteadyClock::time_point arrival, bool answered) {
  const auto now = SteadyClock::now();
  const double took = milliseconds(now - arrival);
  ++m_stats.requests;
  m_stats.failed += answered ? 0 : 1;
  m_stats.slowest_ms = std::max(m_stats.slowest_ms, took);
  const double bucket = std::ceil(std::log(std::max(took, k_least_ms) / k_least_ms) / k_growth);
  ++m_histogram[std::min(static_cast<std::size_t>(bucket), k_buckets - 1)];
  Bar& bar = bar_at(now);
  (!answered ? bar.failed : took >= static_cast<double>(k_slow.count()) ? bar.slow : bar.ok) += 1;
  bar.slowest_ms = std::max(bar.slowest_ms, took);
  if (answered && m_stats.running) {
    close_gap(now);
  }
}

void Meter::close_gap(SteadyClock::time_point now) {
  m_stats.longest_gap_ms = std::max(m_stats.longest_gap_ms, milliseconds(now - m_last_answer));
  m_last_answer = now;
}

void Meter::note(const std::string& error) {
  constexpr std::size_t k_most_errors = 5;
  if (m_stats.errors.size() < k_most_errors && std::ranges::find(m_stats.errors, error) == m_stats.errors.end()) {
    m_stats.errors.push_back(error);
  }
}

Bar& Meter::bar_at(SteadyClock::time_point now) {
  const std::int64_t begin = bar_begin(now);
  if (m_bars.empty() || m_bars.back().t_ms < begin) {
    m_bars.push_back({begin, 0, 0, 0, 0});
    if (m_bars.size() > k_most_bars) {
      m_bars.pop_front();
    }
  }
  return m_bars.back();
}

double Meter::percentile(double p) const {
  const auto wanted = static_cast<std::int64_t>(std::ceil(p * static_cast<double>(m_stats.requests)));
  std::int64_t seen = 0;
  for (std::size_t bucket = 0; bucket < k_buckets; ++bucket) {
    seen += m_histogram[bucket];
    if (seen >= wanted && seen > 0) {
      return std::min(m_stats.slowest_ms, k_least_ms * std::exp(k_growth * static_cast<double>(bucket)));
    }
  }
  return 0;
}

double Meter::recent_rate(SteadyClock::time_point now) const {
  const auto span = std::min<SteadyClock::duration>(now - m_begin, k_recent);
  if (!m_stats.running || span < k_bar) {
    return 0;
  }
  // The bar that is being filled is not over, so whole ones are counted.
  const std::int64_t end = bar_begin(now);
  const auto whole =
      std::max<std::int64_t>(1, std::chrono::duration_cast<std::chrono::milliseconds>(span) / k_bar) * k_bar.count();
  std::int64_t requests = 0;
  for (const Bar& bar : m_bars) {
    requests += bar.t_ms >= end - whole && bar.t_ms < end ? bar.ok + bar.slow + bar.failed : 0;
  }
  return static_cast<double>(requests) * 1000 / static_cast<double>(whole);
}

TrafficStats Meter::stats() const {
  const std::lock_guard lock(m_mutex);
  const auto now = SteadyClock::now();
  TrafficStats stats = m_stats;
  if (stats.running) {
    stats.longest_gap_ms = std::max(stats.longest_gap_ms, milliseconds(now - m_last_answer));
  }
  stats.p50_ms = percentile(0.5);
  stats.p99_ms = percentile(0.99);
  stats.rate = recent_rate(now);
  if (m_bars.empty()) {
    return stats;
  }
  const std::int64_t last = stats.running ? bar_begin(now) : m_bars.back().t_ms;
  const std::int64_t first =
      std::max(m_bars.front().t_ms, last - (static_cast<std::int64_t>(k_most_bars) - 1) * k_bar.count());
  auto counted = m_bars.begin();
  for (std::int64_t begin = first; begin <= last; begin += k_bar.count()) {
    while (counted != m_bars.end() && counted->t_ms < begin) {
      ++counted;
    }
    const bool empty = counted == m_bars.end() || counted->t_ms > begin;
    stats.bars.push_back(empty ? Bar{begin, 0, 0, 0, 0} : *counted);
  }
  return stats;
}

}  // namespace ecmigrate::scene
