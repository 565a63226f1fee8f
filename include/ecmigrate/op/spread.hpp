#pragma once

#include <cstdint>
#include <string_view>

namespace ecmigrate {

/// A whole number from 2^31 to 2^32 - 1, whose multiples modulo 2^32 lie evenly between 0 and 2^32: as those of the
/// golden ratio do, but others for each seed. A migration leaves the rows that its first pass moved side by side, so
/// the next one must spread by another number, or it meets pages of which every row falls into the same pass.
std::uint32_t spread_multiplier(std::string_view seed);

}  // namespace ecmigrate
