#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace ecmigrate {

/// A character of UTF-8 text; size 0 when the bytes there are malformed (or cut off, overlong, a surrogate).
struct Character {
  char32_t code = 0;
  std::size_t size = 0;
};

Character character_at(std::string_view text, std::size_t at);

/// Whether a terminal shows it and YAML allows it unescaped: no control characters but tab and line feed.
bool is_printable(char32_t code);

/// Well-formed UTF-8 throughout.
bool is_utf8(std::string_view text);

/// The text with `?` in place of each byte that is no part of a character: what a server says of names and rows in a
/// database without an encoding may be anything.
std::string as_utf8(std::string_view text);

}  // namespace ecmigrate
