#include <cstdint>

#include "ecmigrate/fill/walk.hpp"
#include "support/catch.hpp"

using namespace ecmigrate;

namespace {

constexpr std::int64_t k_spreads = 4294967296;

WindowRecord window_of(int passes, double shrink) {
  WindowRecord window;
  window.end = 1000;
  window.passes = passes;
  window.shrink = shrink;
  return window;
}

/// What the backfill's SQL computes for a bigint key; for an integer one, the same without the first mask.
std::int64_t spread(std::int64_t key) {
  return (key & 1073741823) * 2654435769 & (k_spreads - 1);
}

}  // namespace

TEST_CASE("passes of a window shrink and together take every spread") {
  const WindowRecord window = window_of(16, 0.93);
  std::int64_t before = 0;
  std::int64_t share_before = k_spreads;
  for (int pass = 0; pass < window.passes; ++pass) {
    const std::int64_t share = spread_end(window, pass) - before;
    CHECK(share > 0);
    CHECK(share < share_before);
    share_before = share;
    before = spread_end(window, pass);
  }
  CHECK(before == k_spreads);
  CHECK(spread_end(window_of(1, 1), 0) == k_spreads);
}

TEST_CASE("the first pass fits into the room that index pages have") {
  // 10 % of a page is free in a new index, which takes entries for 11 % of the rows on it.
  const WindowRecord window = window_of(16, 0.93);
  CHECK(spread_end(window, 0) < k_spreads * 11 / 100);
}

TEST_CASE("the rows of a page are spread evenly whatever the step between their keys") {
  const WindowRecord window = window_of(16, 0.93);
  constexpr int k_rows = 48;
  for (const std::int64_t step : {1, 2, 3, 8, 10, 16, 100, 1000}) {
    for (const std::int64_t first :
         {std::int64_t{0}, std::int64_t{12345}, std::int64_t{1} << 40, std::int64_t{-1000}}) {
      int moved = 0;
      for (int row = 0; row < k_rows; ++row) {
        moved += spread(first + row * step) < spread_end(window, 0) ? 1 : 0;
      }
      INFO("keys from " << first << " by " << step);
      CHECK(moved >= 2);
      CHECK(moved <= 10);
    }
  }
}
