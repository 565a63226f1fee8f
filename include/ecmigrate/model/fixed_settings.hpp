#pragma once

#include <array>
#include <string_view>
#include <utility>

namespace ecmigrate {

/// Settings that change what a conversion from or to text gives: name and value. Every session of ours has them, and so
/// have the sync functions whose expressions depend on one, so that a value is the same whoever makes it.
inline constexpr std::array<std::pair<std::string_view, std::string_view>, 7> k_fixed_settings{
    {{"datestyle", "ISO, YMD"},
     {"intervalstyle", "postgres"},
     {"extra_float_digits", "1"},
     {"bytea_output", "hex"},
     {"lc_monetary", "C"},
     {"lc_numeric", "C"},
     {"lc_time", "C"}}};

}  // namespace ecmigrate
