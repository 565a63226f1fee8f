#include "ecmigrate/model/windows.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <optional>
#include <sstream>
#include <string_view>

#include "ecmigrate/base/text.hpp"

namespace ecmigrate {

namespace {

constexpr int k_day = 24 * 60;
constexpr std::array<std::string_view, 7> k_days{"Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"};

std::optional<std::size_t> day(std::string_view word) {
  const auto at = std::ranges::find(k_days, word);
  return at == k_days.end() ? std::nullopt : std::optional(static_cast<std::size_t>(at - k_days.begin()));
}

/// "Sat", or "Mon-Fri", also over the end of the week.
std::optional<unsigned> days(std::string_view word) {
  const std::size_t dash = word.find('-');
  const auto first = day(word.substr(0, dash));
  const auto last = dash == std::string_view::npos ? first : day(word.substr(dash + 1));
  if (!first || !last) {
    return std::nullopt;
  }
  unsigned mask = 0;
  for (std::size_t at = *first;; at = (at + 1) % k_days.size()) {
    mask |= 1U << at;
    if (at == *last) {
      return mask;
    }
  }
}

/// Minutes of "HH:MM".
std::optional<int> time_of_day(std::string_view word) {
  const auto digit = [&](std::size_t at) { return word[at] >= '0' && word[at] <= '9'; };
  if (word.size() != 5 || word[2] != ':' || !digit(0) || !digit(1) || !digit(3) || !digit(4)) {
    return std::nullopt;
  }
  const int hour = (word[0] - '0') * 10 + word[1] - '0';
  const int minute = (word[3] - '0') * 10 + word[4] - '0';
  return minute > 59 || hour * 60 + minute > k_day ? std::nullopt : std::optional(hour * 60 + minute);
}

std::string wrong(const std::string& text, std::string_view why) {
  return fmt::format("\"{}\" {}; write 22:00-06:00 Europe/Berlin, or Sat,Sun 00:00-24:00", text, why);
}

}  // namespace

std::string parse_windows(const std::string& text, std::vector<Window>& out) {
  std::vector<Window> windows;
  unsigned mask = 0;
  std::istringstream pieces(text);
  for (std::string piece; std::getline(pieces, piece, ',');) {
    std::istringstream in(piece);
    std::vector<std::string> words;
    for (std::string word; in >> word;) {
      words.push_back(word);
    }
    if (const auto named = words.empty() ? std::nullopt : days(words.front())) {
      mask |= *named;
      words.erase(words.begin());
      if (words.empty()) {
        continue;  // "Sat" of "Sat,Sun 00:00-24:00"
      }
    }
    const std::size_t dash = words.empty() ? std::string::npos : words[0].find('-');
    const auto from = dash == std::string::npos ? std::nullopt : time_of_day(words[0].substr(0, dash));
    const auto to = dash == std::string::npos ? std::nullopt : time_of_day(words[0].substr(dash + 1));
    if (!from || !to || *from == k_day || words.size() > 2) {
      return wrong(trim(piece), "is not a window");
    }
    if (*from == *to) {
      return wrong(trim(piece), "ends when it begins");
    }
    windows.push_back(
        {mask == 0 ? 0x7FU : mask, *from, *to > *from ? *to : *to + k_day, words.size() == 2 ? words[1] : ""});
    mask = 0;
  }
  if (mask != 0) {
    return wrong(text, "has days without a time");
  }
  out = windows;
  return {};
}

}  // namespace ecmigrate
