#pragma once

#include <string>
#include <vector>

namespace ecmigrate {

/// A time of day during which the backfill may run, on some days of the week, in a time zone of the server's.
struct Window {
  unsigned days = 0x7F;  ///< those on which it begins; bit 0 is Monday
  int from = 0;          ///< minutes after midnight
  int to = 0;            ///< minutes after the same midnight; above 24 hours where it ends on the next day
  std::string zone;      ///< empty: the server's TimeZone
};

/// Reads "22:00-06:00 Europe/Berlin, Sat,Sun 00:00-24:00". Gives what is wrong, lowercase, or nothing.
std::string parse_windows(const std::string& text, std::vector<Window>& out);

}  // namespace ecmigrate
