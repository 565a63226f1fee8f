#include "ecmigrate/base/caret.hpp"

#include <fmt/format.h>
#include <wchar.h>

#include <algorithm>
#include <vector>

#include "ecmigrate/base/text.hpp"
#include "ecmigrate/base/utf8.hpp"

namespace ecmigrate {

namespace {

/// What fits into a terminal beside the indentation. A line that wraps would part the caret from its character.
constexpr std::size_t k_most_shown = 72;
constexpr std::size_t k_shown_before = 48;

/// Of a long text, around the line that is meant.
constexpr std::size_t k_lines_before = 3;
constexpr std::size_t k_lines_after = 1;

std::vector<std::string_view> characters_of(std::string_view text) {
  std::vector<std::string_view> characters;
  for (std::size_t at = 0; at < text.size();) {
    characters.push_back(text.substr(at, std::max<std::size_t>(1, character_at(text, at).size)));
    at += characters.back().size();
  }
  return characters;
}

/// As many columns as the character takes; a tab stays one, as its width depends on where it stands.
std::string blank(std::string_view character) {
  if (character == "\t") {
    return "\t";
  }
  const int width = wcwidth(static_cast<wchar_t>(character_at(character, 0).code));
  return std::string(width < 0 ? 1 : static_cast<std::size_t>(width), ' ');
}

std::string marked_line(const std::vector<std::string_view>& line, std::size_t place) {
  const std::size_t begin = line.size() > k_most_shown && place > k_shown_before ? place - k_shown_before : 0;
  const std::size_t end = std::min(line.size(), begin + k_most_shown);
  std::string shown = begin > 0 ? "…" : "";
  std::string mark = begin > 0 ? " " : "";
  for (std::size_t i = begin; i < end; ++i) {
    shown += line[i];
    mark += i < place ? blank(line[i]) : std::string();
  }
  return fmt::format("    {}{}\n    {}^", shown, end < line.size() ? "…" : "", mark);
}

}  // namespace

std::string with_caret(std::string_view text, std::size_t character) {
  std::vector<std::string> shown;
  std::vector<std::string_view> line;
  std::size_t begin = 0;
  std::size_t marked = 0;  // a line of those shown
  const std::vector<std::string_view> characters = characters_of(text);
  for (std::size_t i = 0; i <= characters.size(); ++i) {
    if (i < characters.size() && characters[i] != "\n") {
      line.push_back(characters[i]);
      continue;
    }
    if (character >= begin && character <= begin + line.size()) {
      marked = shown.size();
    }
    if (character >= begin && character < begin + line.size()) {
      shown.push_back(marked_line(line, character - begin));
    } else {
      const std::size_t most = std::min(line.size(), k_most_shown);
      shown.push_back(line.empty()
                          ? std::string()
                          : fmt::format("    {}{}",
                                        fmt::join(line.begin(), line.begin() + static_cast<std::ptrdiff_t>(most), ""),
                                        most < line.size() ? "…" : ""));
    }
    begin = i + 1;
    line.clear();
  }
  if (character >= characters.size()) {
    marked = shown.size() - 1;
  }
  shown.resize(std::min(shown.size(), marked + 1 + k_lines_after));
  shown.erase(shown.begin(),
              shown.begin() + static_cast<std::ptrdiff_t>(std::max(marked, k_lines_before) - k_lines_before));
  return join(shown, "\n");
}

}  // namespace ecmigrate
