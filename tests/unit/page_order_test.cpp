#include <cstdint>

#include "ecmigrate/engine/walk.hpp"
#include "support/catch.hpp"

using namespace ecmigrate;

namespace {

constexpr std::int64_t k_spreads = 4294967296;

/// What the backfill's SQL computes for an integer key.
std::int64_t spread(std::int64_t key) {
  return (key & 1073741823) * 2654435769 & (k_spreads - 1);
}

}  // namespace

TEST_CASE("passes of a page order shrink and together take every spread") {
  const PageOrder order{1000, 100, 16};
  std::int64_t before = 0;
  std::int64_t share_before = k_spreads;
  for (int pass = 0; pass < order.passes; ++pass) {
    const std::int64_t share = spread_end(order, pass) - before;
    CHECK(share > 0);
    CHECK(share < share_before);
    share_before = share;
    before = spread_end(order, pass);
  }
  CHECK(before == k_spreads);
  CHECK(spread_end({1000, 100, 1}, 0) == k_spreads);
}

TEST_CASE("the first pass fits into the room that index pages have") {
  // 10 % of a page is free in a new index, which takes entries for 11 % of the rows on it.
  const PageOrder order{1000, 100, 16};
  CHECK(spread_end(order, 0) < k_spreads * 11 / 100);
}

TEST_CASE("the rows of a page are spread evenly whatever the step between their keys") {
  const PageOrder order{1000, 100, 16};
  constexpr int k_rows = 48;
  for (const std::int64_t step : {1, 2, 3, 8, 10, 16, 100, 1000}) {
    for (const std::int64_t first : {std::int64_t{0}, std::int64_t{12345}, std::int64_t{1} << 40, std::int64_t{-1000}}) {
      int moved = 0;
      for (int row = 0; row < k_rows; ++row) {
        moved += spread(first + row * step) < spread_end(order, 0) ? 1 : 0;
      }
      INFO("keys from " << first << " by " << step);
      CHECK(moved >= 2);
      CHECK(moved <= 10);
    }
  }
}
