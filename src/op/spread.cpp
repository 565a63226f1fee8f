#include "ecmigrate/op/spread.hpp"

#include "ecmigrate/base/text.hpp"

namespace ecmigrate {

namespace {

/// The multiples of a number are spread as evenly as its continued fraction has small terms: a large one is a fraction
/// with a small denominator that comes near, and the multiples gather in so many places. Those of more multiples than
/// a few pages have rows do not matter.
bool spreads_evenly(std::uint32_t multiplier) {
  constexpr std::uint64_t k_greatest_term = 3;
  constexpr std::uint64_t k_rows = 1000;
  std::uint64_t above = std::uint64_t{1} << 32;
  std::uint64_t below = multiplier;
  std::uint64_t denominator = 1;
  std::uint64_t before = 0;
  while (below != 0 && denominator < k_rows) {
    const std::uint64_t term = above / below;
    if (term > k_greatest_term) {
      return false;
    }
    const std::uint64_t rest = above % below;
    above = below;
    below = rest;
    const std::uint64_t next = term * denominator + before;
    before = denominator;
    denominator = next;
  }
  return below != 0;
}

}  // namespace

std::uint32_t spread_multiplier(std::string_view seed) {
  std::uint64_t state = stable_hash(seed);
  for (;;) {
    // The usual step of a 64-bit linear congruential generator (Knuth, MMIX), of which the upper half is taken.
    state = state * 6364136223846793005ULL + 1442695040888963407ULL;
    const auto candidate = static_cast<std::uint32_t>(state >> 32) | 0x80000001U;
    if (spreads_evenly(candidate)) {
      return candidate;
    }
  }
}

}  // namespace ecmigrate
