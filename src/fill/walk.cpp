#include "ecmigrate/fill/walk.hpp"

#include <algorithm>
#include <cmath>

namespace ecmigrate {

namespace {

/// Pages: less than a row of any page.
constexpr double k_least_size = 1.0 / 4096;

}  // namespace

std::int64_t window_end(std::int64_t first, std::int64_t pages, int workers, std::int64_t most) {
  /// Smaller, and a page is visited again before the transactions of the other workers have ended.
  constexpr std::int64_t k_least = 400;
  const std::int64_t left = pages - first;
  const std::int64_t share =
      workers == 1 ? most : std::clamp(left / (std::int64_t{2} * workers), std::min(k_least, most), most);
  return first + std::min(share, left);
}

std::int64_t batch_end(const WindowRecord& window, std::int64_t pages) {
  return std::min(window.page + std::max<std::int64_t>(1, pages), window.end);
}

WindowRecord after_batch(WindowRecord window, std::int64_t end) {
  window.page = end;
  window.line = window.last_line = 0;
  ++window.written.batches;
  if (window.page >= window.end) {
    ++window.pass;
    window.page = window.first;
  }
  window.done = window.pass >= window.passes;
  return window;
}

WindowRecord after_part(WindowRecord window, double part) {
  const int line = std::max(1, window.line) + std::max(1, static_cast<int>(part * window.last_line));
  if (line > window.last_line) {
    return after_batch(window, window.page + 1);
  }
  window.line = line;
  ++window.written.batches;
  return window;
}

int lines_between(const WindowRecord& before, const WindowRecord& after) {
  if (before.last_line == 0) {
    return 0;
  }
  const int end = after.line > 0 ? after.line : before.last_line + 1;
  return end - std::max(1, before.line);
}

double pages_between(const WindowRecord& before, const WindowRecord& after) {
  return before.last_line > 0
             ? static_cast<double>(lines_between(before, after)) / before.last_line
             : static_cast<double>((after.pass == before.pass ? after.page : before.end) - before.page);
}

std::int64_t spread_end(const WindowRecord& window, int pass) {
  constexpr double k_spreads = 4294967296;
  const double part = window.shrink == 1
                          ? static_cast<double>(pass + 1) / window.passes
                          : (1 - std::pow(window.shrink, pass + 1)) / (1 - std::pow(window.shrink, window.passes));
  return static_cast<std::int64_t>(k_spreads * part);
}

double pages_walked(const WindowRecord& window) {
  const auto pages = static_cast<double>(window.end - window.first);
  return window.done ? pages : (window.pass * pages + static_cast<double>(window.page - window.first)) / window.passes;
}

std::int64_t BatchSizer::pages() const {
  return std::max<std::int64_t>(1, std::llround(m_size));
}

void BatchSizer::batch_took(double milliseconds, double pages) {
  if (milliseconds > 4 * m_target_ms) {
    batch_failed(pages);
    return;
  }
  double wished = pages * m_target_ms / std::max(milliseconds, 0.01);
  if (pages < m_size && milliseconds <= m_target_ms) {
    wished = std::max(wished, m_size);  // the rest of a window or a page, mostly the batch's own costs
  }
  m_size = std::clamp(std::clamp(wished, 0.5 * m_size, 1.5 * m_size), k_least_size, m_most);
}

void BatchSizer::batch_failed(double pages) {
  m_size = std::max(std::min(m_size, pages) / 4, k_least_size);
}

std::chrono::milliseconds longest_batch(std::chrono::milliseconds target) {
  /// So long may be the machine's doing, whatever the size.
  constexpr std::chrono::milliseconds k_least{100};
  return std::max(4 * target, k_least);
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
