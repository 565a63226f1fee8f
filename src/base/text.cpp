#include "ecmigrate/base/text.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

namespace ecmigrate {

std::string join(std::span<const std::string> parts, std::string_view separator) {
  return fmt::format("{}", fmt::join(parts, separator));
}

std::string trim(std::string_view text) {
  constexpr std::string_view k_space = " \t\r\n";
  const std::size_t begin = text.find_first_not_of(k_space);
  if (begin == std::string_view::npos) {
    return {};
  }
  return std::string(text.substr(begin, text.find_last_not_of(k_space) - begin + 1));
}

namespace {

/// Optimal string alignment: letters added, left out, changed, or two neighbours swapped, each one slip.
std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::vector<std::size_t>> distance(a.size() + 1, std::vector<std::size_t>(b.size() + 1));
  for (std::size_t i = 0; i <= a.size(); ++i) {
    for (std::size_t j = 0; j <= b.size(); ++j) {
      if (i == 0 || j == 0) {
        distance[i][j] = i + j;
        continue;
      }
      const std::size_t change = distance[i - 1][j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1);
      distance[i][j] = std::min({distance[i - 1][j] + 1, distance[i][j - 1] + 1, change});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
        distance[i][j] = std::min(distance[i][j], distance[i - 2][j - 2] + 1);
      }
    }
  }
  return distance[a.size()][b.size()];
}

}  // namespace

std::optional<std::string> nearest_word(std::string_view word, std::span<const std::string_view> candidates) {
  const std::size_t limit = std::max<std::size_t>(1, word.size() / 3);
  std::size_t best = limit + 1;
  std::optional<std::string> nearest;
  for (const std::string_view candidate : candidates) {
    const std::size_t distance = edit_distance(word, candidate);
    if (distance < best) {
      best = distance;
      nearest = std::string(candidate);
    }
  }
  return nearest;
}

std::string with_thousands(std::int64_t number) {
  std::string digits = std::to_string(number);
  const std::size_t first = number < 0 ? 1 : 0;
  for (std::size_t i = digits.size(); i > first + 3; i -= 3) {
    digits.insert(i - 3, ",");
  }
  return digits;
}

std::string format_milliseconds(double milliseconds) {
  if (milliseconds < 100) {
    return fmt::format("{:.1f} ms", milliseconds);
  }
  if (milliseconds < 1000) {
    return fmt::format("{:.0f} ms", milliseconds);
  }
  const double seconds = milliseconds / 1000;
  if (seconds < 60) {
    return fmt::format("{:.1f} s", seconds);
  }
  const auto whole = static_cast<std::int64_t>(std::llround(seconds));
  if (whole < 3600) {
    return fmt::format("{}m{:02}s", whole / 60, whole % 60);
  }
  return fmt::format("{}h{:02}m", whole / 3600, whole / 60 % 60);
}

std::string format_bytes(double bytes) {
  constexpr std::array<std::string_view, 5> k_units{"B", "kB", "MB", "GB", "TB"};
  std::size_t unit = 0;
  while (std::abs(bytes) >= 1024 && unit + 1 < k_units.size()) {
    bytes /= 1024;
    ++unit;
  }
  return unit == 0 ? fmt::format("{:.0f} B", bytes) : fmt::format("{:.1f} {}", bytes, k_units[unit]);
}

std::optional<std::chrono::milliseconds> parse_duration(std::string_view text) {
  constexpr std::size_t k_most_digits = 9;  // so that no sum of a few parts overflows
  std::int64_t total = 0;
  std::size_t at = 0;
  if (text.empty()) {
    return std::nullopt;
  }
  while (at < text.size()) {
    const std::size_t digits_at = at;
    std::int64_t number = 0;
    while (at < text.size() && text[at] >= '0' && text[at] <= '9' && at - digits_at < k_most_digits) {
      number = number * 10 + (text[at] - '0');
      ++at;
    }
    const std::size_t unit_at = at;
    while (at < text.size() && text[at] >= 'a' && text[at] <= 'z') {
      ++at;
    }
    const std::string_view unit = text.substr(unit_at, at - unit_at);
    if (unit_at == digits_at) {
      return std::nullopt;
    }
    if (unit == "ms") {
      total += number;
    } else if (unit == "s") {
      total += number * 1000;
    } else if (unit == "m") {
      total += number * 60'000;
    } else if (unit == "h") {
      total += number * 3'600'000;
    } else {
      return std::nullopt;
    }
  }
  return std::chrono::milliseconds(total);
}

std::optional<double> parse_rate(std::string_view text) {
  std::size_t at = 0;
  double number = 0;
  while (at < text.size() && text[at] >= '0' && text[at] <= '9') {
    number = number * 10 + (text[at] - '0');
    ++at;
  }
  const std::string_view unit = text.substr(at);
  if (at == 0) {
    return std::nullopt;
  }
  constexpr std::array<std::pair<std::string_view, double>, 5> k_units{
      {{"/s", 1}, {"B/s", 1}, {"kB/s", 1024}, {"MB/s", 1024.0 * 1024}, {"GB/s", 1024.0 * 1024 * 1024}}};
  for (const auto& [name, factor] : k_units) {
    if (unit == name) {
      return number * factor;
    }
  }
  return std::nullopt;
}

std::string truncate_utf8(std::string_view text, std::size_t bytes) {
  if (text.size() <= bytes) {
    return std::string(text);
  }
  std::size_t end = bytes;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0U) == 0x80U) {
    --end;
  }
  return std::string(text.substr(0, end));
}

std::string abbreviate(std::string_view text, std::size_t bytes) {
  return text.size() <= bytes ? std::string(text) : truncate_utf8(text, bytes) + "…";
}

std::string shell_quote(std::string_view word) {
  const bool plain = !word.empty() && word.find_first_not_of(
                                          "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_@%+=:,./-") ==
                                          std::string_view::npos;
  if (plain) {
    return std::string(word);
  }
  std::string quoted = "'";
  for (const char c : word) {
    quoted += c == '\'' ? std::string("'\\''") : std::string(1, c);
  }
  return quoted + "'";
}

std::uint64_t stable_hash(std::string_view text) {
  std::uint64_t hash = 14695981039346656037ULL;
  for (const char c : text) {
    hash ^= static_cast<unsigned char>(c);
    hash *= 1099511628211ULL;
  }
  return hash;
}

std::string short_hash(std::string_view text) {
  return fmt::format("{:016x}", stable_hash(text)).substr(0, 8);
}

}  // namespace ecmigrate
