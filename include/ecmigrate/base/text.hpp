#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace ecmigrate {

std::string join(std::span<const std::string> parts, std::string_view separator);
std::string trim(std::string_view text);

/// The candidate nearest to `word` by edit distance, or nothing when none is near enough to be a typing slip
/// (at most a third of the word's length, at least 1).
std::optional<std::string> nearest_word(std::string_view word, std::span<const std::string_view> candidates);

/// "1,234,567".
std::string with_thousands(std::int64_t number);

/// "480 ms", "1.9 ms", "12.3 s", "2m05s", "3h07m": the unit follows the size.
std::string format_milliseconds(double milliseconds);

/// "512 B", "38.0 MB" (1024-based).
std::string format_bytes(double bytes);

/// Reads "250ms", "2s", "1m", "1h30m". Nothing when the text is not a duration; a bare number is not one.
std::optional<std::chrono::milliseconds> parse_duration(std::string_view text);

/// Reads "64MB/s", "500kB/s" (1024-based) or, without a unit of size, "2000/s": an amount per second.
std::optional<double> parse_rate(std::string_view text);

/// The text cut to at most `bytes` bytes without splitting a UTF-8 character.
std::string truncate_utf8(std::string_view text, std::size_t bytes);

/// As truncate_utf8, with "…" where something was cut off; for showing values and queries to people.
std::string abbreviate(std::string_view text, std::size_t bytes);

/// A word as a POSIX shell reads it back: quoted where it has to be.
std::string shell_quote(std::string_view word);

/// FNV-1a, 64 bit (http://www.isthe.com/chongo/tech/comp/fnv/): names and lock keys, never security.
std::uint64_t stable_hash(std::string_view text);

/// The first eight hexadecimal digits of stable_hash.
std::string short_hash(std::string_view text);

}  // namespace ecmigrate
