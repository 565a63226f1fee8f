#include "ecmigrate/engine/walk.hpp"

#include <algorithm>
#include <cmath>

namespace ecmigrate {

namespace {

/// Rows of a pass for one of the pass before. Measured (docs/benchmarks.md): smaller, and the first pass is more than the
/// room that index pages usually have, so that they split.
constexpr double k_shrink = 0.93;

}  // namespace

bool at_end(const PageOrder& order, const PagePosition& position) {
  return position.window >= order.pages;
}

std::int64_t batch_end(const PageOrder& order, const PagePosition& position, std::int64_t pages) {
  return std::min({position.page + std::max<std::int64_t>(1, pages), position.window + order.window_pages, order.pages});
}

PagePosition after_batch(const PageOrder& order, PagePosition position, std::int64_t end) {
  const std::int64_t window_end = std::min(position.window + order.window_pages, order.pages);
  position.page = end;
  if (position.page >= window_end) {
    ++position.pass;
    position.page = position.window;
  }
  if (position.pass >= order.passes) {
    position = {window_end, 0, window_end};
  }
  return position;
}

std::int64_t spread_end(const PageOrder& order, int pass) {
  constexpr double k_spreads = 4294967296;
  const double part = (1 - std::pow(k_shrink, pass + 1)) / (1 - std::pow(k_shrink, order.passes));
  return static_cast<std::int64_t>(k_spreads * part);
}

double walked(const PageOrder& order, const PagePosition& position) {
  if (order.pages <= 0 || at_end(order, position)) {
    return 1;
  }
  const std::int64_t window = std::min(order.window_pages, order.pages - position.window);
  const std::int64_t visits = position.pass * window + (position.page - position.window);
  const double done = static_cast<double>(position.window) + static_cast<double>(visits) / order.passes;
  return std::min(1.0, done / static_cast<double>(order.pages));
}

void BatchSizer::batch_took(double milliseconds) {
  double factor = m_target_ms / std::max(milliseconds, 0.01);
  factor = milliseconds > 4 * m_target_ms ? 0.25 : std::clamp(factor, 0.5, 1.5);
  const auto wished = static_cast<std::int64_t>(std::llround(static_cast<double>(m_pages) * factor));
  // Rounding must not keep a small batch from growing.
  m_pages = std::clamp<std::int64_t>(factor > 1 ? std::max(wished, m_pages + 1) : wished, 1, m_most);
}

void Eta::at(double now_ms, double part) {
  constexpr double k_memory_ms = 30'000;
  constexpr double k_resolution_ms = 250;
  if (m_first_ms < 0) {
    m_first_ms = now_ms;
  }
  if (!m_samples.empty() && now_ms - m_samples.back().now_ms < k_resolution_ms) {
    return;
  }
  m_samples.push_back({now_ms, part});
  while (m_samples.size() > 2 && now_ms - m_samples.front().now_ms > k_memory_ms) {
    m_samples.pop_front();
  }
}

std::optional<Eta::Estimate> Eta::estimate() const {
  if (m_samples.size() < 4) {
    return std::nullopt;
  }
  const Sample& first = m_samples.front();
  const Sample& last = m_samples.back();
  const double pace = (last.part - first.part) / (last.now_ms - first.now_ms);
  if (pace <= 0 || (last.part < 0.02 && last.now_ms - m_first_ms < 3'000)) {
    return std::nullopt;
  }
  std::vector<double> paces;
  for (std::size_t i = 1; i < m_samples.size(); ++i) {
    paces.push_back((m_samples[i].part - m_samples[i - 1].part) / (m_samples[i].now_ms - m_samples[i - 1].now_ms));
  }
  const double left = 1 - last.part;
  const double fast = std::max(percentile(paces, 0.9), pace);
  // A sample without progress says nothing about how long all of it takes.
  const double slow = std::clamp(percentile(paces, 0.1), pace / 4, pace);
  return Estimate{left / pace, left / fast, left / slow};
}

double percentile(std::vector<double> values, double p) {
  if (values.empty()) {
    return 0;
  }
  const auto at = static_cast<std::ptrdiff_t>(std::llround(p * static_cast<double>(values.size() - 1)));
  std::nth_element(values.begin(), values.begin() + at, values.end());
  return values[static_cast<std::size_t>(at)];
}

}  // namespace ecmigrate
