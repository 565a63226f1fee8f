#include "ecmigrate/op/spread.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <vector>

#include "ecmigrate/fill/walk.hpp"
#include "support/catch.hpp"

using namespace ecmigrate;

namespace {

constexpr int k_rows = 48;  // of a page

/// What the backfill's SQL computes.
std::int64_t spread(std::int64_t key, std::uint32_t multiplier) {
  return (key & 1073741823) * multiplier & 4294967295;
}

std::int64_t first_pass() {
  WindowRecord window;
  window.passes = 16;
  window.shrink = 0.93;
  return spread_end(window, 0);
}

/// On pages of these keys in turn: how many rows the first pass treats.
std::vector<int> treated(const std::vector<std::int64_t>& keys, std::uint32_t multiplier) {
  std::vector<int> pages(keys.size() / k_rows);
  for (std::size_t row = 0; row < pages.size() * k_rows; ++row) {
    pages[row / k_rows] += spread(keys[row], multiplier) < first_pass() ? 1 : 0;
  }
  return pages;
}

}  // namespace

TEST_CASE("every migration spreads the rows of a page evenly over its passes") {
  for (int migration = 0; migration < 200; ++migration) {
    INFO(migration);
    const std::uint32_t multiplier = spread_multiplier(fmt::format("migration-{}", migration));
    std::vector<std::int64_t> keys;
    for (std::int64_t key = 0; key < 20'000; ++key) {
      keys.push_back(key + 7);
    }
    const std::vector<int> pages = treated(keys, multiplier);
    CHECK(std::ranges::min(pages) >= 3);
    CHECK(std::ranges::max(pages) <= 8);
  }
}

TEST_CASE("another migration spreads the rows again that one has put side by side") {
  int clustered = 0;
  for (int migration = 0; migration < 100; ++migration) {
    const std::uint32_t before = spread_multiplier(fmt::format("migration-{}", migration));
    const std::uint32_t multiplier = spread_multiplier(fmt::format("migration-{}", migration + 1));
    std::vector<std::int64_t> moved;
    for (std::int64_t key = 0; key < 200'000; ++key) {
      if (spread(key, before) < first_pass()) {
        moved.push_back(key);
      }
    }
    CHECK(std::ranges::min(treated(moved, before)) == k_rows);  // the same one has all of them in one pass
    const std::vector<int> pages = treated(moved, multiplier);
    const auto bad = std::ranges::count_if(pages, [](int rows) { return rows == 0 || rows > 12; });
    clustered += 10 * static_cast<std::size_t>(bad) > pages.size() ? 1 : 0;
  }
  // Of two numbers, one may be near a multiple of the other.
  CHECK(clustered <= 15);
}
