#include "ecmigrate/fill/passes.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace ecmigrate {

namespace {

/// With more, the scans cost what fewer moved rows save; with less shrinking, the first pass is more than the room that
/// index pages usually have, so that they split (both measured, docs/benchmarks.md).
constexpr int k_most_passes = 16;
constexpr double k_shrink = 0.93;
/// With an index or none, a row that moves costs little more than one that stays.
constexpr int k_few_indexes = 1;
constexpr int k_most_passes_with_few = 4;
/// Rounding up of the room that was estimated would move rows.
constexpr double k_caution = 0.9;
// The server's page format: PageHeaderData and ItemIdData (src/include/storage/bufpage.h, itemid.h).
constexpr double k_page_header = 24;
constexpr double k_line_pointer = 4;

}  // namespace

Passes choose_passes(const PageSample& sample, double growth, const std::string& obstacle) {
  if (!obstacle.empty()) {
    return {1, 1, obstacle};
  }
  if (sample.rows == 0 || sample.pages == 0) {
    return {1, 1, "the pages are empty"};
  }
  const double rows_per_page = static_cast<double>(sample.rows) / static_cast<double>(sample.pages);
  const double row = sample.row_bytes / static_cast<double>(sample.rows) + k_line_pointer;
  const double free = sample.page_bytes - k_page_header - rows_per_page * row;
  const double room = k_caution * free / (row * (1 + growth)) / rows_per_page;
  if (room >= 1) {
    return {1, 1, "the pages have room for all their rows"};
  }
  const double shrink = std::min(1 - growth, 0.99);
  for (int count = 2; shrink > 0 && count < k_most_passes; ++count) {
    if ((1 - shrink) / (1 - std::pow(shrink, count)) <= room) {
      return {count, shrink, fmt::format("the pages have room for {:.0f}% of their rows", 100 * room)};
    }
  }
  // A pass must find a row on every page, or its scan is for nothing.
  const int count = std::clamp(static_cast<int>(rows_per_page), 1,
                               sample.indexes <= k_few_indexes ? k_most_passes_with_few : k_most_passes);
  if (count == 1) {
    return {1, 1, "a page holds no more than a row"};
  }
  return {count, k_shrink, "the pages are full: rows that move make room for the others to stay"};
}

}  // namespace ecmigrate
