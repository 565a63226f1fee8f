#pragma once

#include <array>
#include <string>
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

/// What a connection of ours is sent before its first question, so that an answer is the same in every database and for
/// every role, whatever these have set for themselves. Names and operators are the server's own: what somebody put into
/// a schema of the search path (an operator `numeric * integer` in `public` fits better than any of the server's) does
/// not run with our rights.
std::string own_settings();

/// The same for one transaction, for commands that may be sent through a pooler, which would hand what is set for a
/// session on to somebody else's.
std::string own_settings_for_now();

/// Inside a transaction, for SQL that the user wrote: names and styles as role, database and connection string say; and
/// after it, ours again. One statement each.
std::string users_settings_for_now();
std::string no_longer_users_settings();

}  // namespace ecmigrate
