#include "complaints.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <tuple>

#include "ecmigrate/base/error.hpp"
#include "ecmigrate/base/text.hpp"
#include "ecmigrate/base/utf8.hpp"

namespace ecmigrate::planfile {

namespace {

/// More than anybody reads; a file of another kind would otherwise print itself.
constexpr std::size_t k_most_complaints = 50;
constexpr std::size_t k_excerpt_characters = 140;
constexpr std::size_t k_word_bytes = 60;

void append_harmless(std::string& out, std::string_view text, std::size_t at, Character character) {
  if (character.size == 0 || !is_printable(character.code)) {
    out += '?';
  } else if (character.size == 1 && (character.code == U'\t' || character.code == U'\n')) {
    out += ' ';
  } else {
    out += text.substr(at, character.size);
  }
}

struct Excerpt {
  std::string text;
  std::size_t caret = 0;
};

/// The line as people see it. Of a long one (JSON on one line) only the surroundings of the column, counted from 0.
Excerpt excerpt(std::string_view line, std::size_t column) {
  const std::size_t first = column < k_excerpt_characters - 20 ? 0 : column - k_excerpt_characters / 2;
  Excerpt out{first > 0 ? "…" : "", column - first + (first > 0 ? 1 : 0)};
  std::size_t index = 0;
  for (std::size_t at = 0; at < line.size(); ++index) {
    if (index == first + k_excerpt_characters) {
      out.text += "…";
      break;
    }
    const Character character = character_at(line, at);
    if (index >= first) {
      append_harmless(out.text, line, at, character);
    }
    at += std::max<std::size_t>(1, character.size);
  }
  return out;
}

std::string with_caret(std::string_view line, Location at) {
  const auto [text, caret] = excerpt(line, static_cast<std::size_t>(std::max(1, at.column)) - 1);
  return fmt::format("{:>5} | {}\n{:>5} | {:>{}}", at.line, text, "", "^", caret + 1);
}

}  // namespace

Source::Source(std::string_view text, std::string file) : m_file(std::move(file)) {
  if (text.starts_with("\xEF\xBB\xBF")) {
    text.remove_prefix(3);
  }
  m_text.reserve(text.size());
  m_line_starts.push_back(0);
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text.substr(i, 2) == "\r\n") {
      continue;
    }
    m_text += text[i];
    if (text[i] == '\n') {
      m_line_starts.push_back(m_text.size());
    }
  }
}

std::string_view Source::line(int number) const {
  if (number < 1 || static_cast<std::size_t>(number) > m_line_starts.size()) {
    return {};
  }
  const auto next = static_cast<std::size_t>(number);
  const std::size_t start = m_line_starts[next - 1];
  const std::size_t end = next < m_line_starts.size() ? m_line_starts[next] - 1 : m_text.size();
  return std::string_view(m_text).substr(start, end - start);
}

std::size_t Source::offset(int line, std::size_t column) const {
  if (static_cast<std::size_t>(line) > m_line_starts.size()) {
    return m_text.size();
  }
  return std::min(m_line_starts[static_cast<std::size_t>(line) - 1] + column, m_text.size());
}

void Complaints::add(Location at, std::string message, std::string hint) {
  m_complaints.push_back({m_rule, at, std::move(message), std::move(hint), {}});
}

void Complaints::give_up(Location at, std::string message, std::string hint) {
  add(at, std::move(message), std::move(hint));
  throw GaveUp();
}

std::vector<PlanComplaint> Complaints::list() const {
  const auto key = [](const PlanComplaint& c) { return std::tie(c.at.line, c.at.column); };
  std::vector<PlanComplaint> sorted = m_complaints;
  std::ranges::stable_sort(sorted, [&](const auto& a, const auto& b) { return key(a) < key(b); });
  // What stands behind an anchor is checked once for each alias, but is wrong only once.
  const auto same = [&](const auto& a, const auto& b) { return key(a) == key(b) && a.message == b.message; };
  sorted.erase(std::unique(sorted.begin(), sorted.end(), same), sorted.end());

  if (sorted.size() > k_most_complaints) {
    const std::size_t more = sorted.size() - k_most_complaints;
    sorted.resize(k_most_complaints);
    sorted.push_back(
        {sorted.back().rule, {}, fmt::format("and {} more {}", more, more == 1 ? "complaint" : "complaints"), {}, {}});
  }
  for (PlanComplaint& complaint : sorted) {
    if (complaint.at.line > 0) {
      complaint.excerpt = with_caret(m_source.line(complaint.at.line), complaint.at);
    }
  }
  return sorted;
}

void Complaints::raise() const {
  std::vector<std::string> texts;
  for (const PlanComplaint& complaint : list()) {
    texts.push_back(complaint_text(m_source.file(), complaint));
  }
  if (!texts.empty()) {
    throw Error(Outcome::plan_invalid, join(texts, "\n"));
  }
}

std::string shown(std::string_view word) {
  std::string out;
  const std::string text = abbreviate(word, k_word_bytes);
  for (std::size_t at = 0; at < text.size();) {
    const Character character = character_at(text, at);
    append_harmless(out, text, at, character);
    at += std::max<std::size_t>(1, character.size);
  }
  return out;
}

std::string in_quotes(std::string_view word) {
  return '"' + shown(word) + '"';
}

std::optional<std::string> near_word(std::string_view word, std::span<const std::string_view> candidates) {
  // Nothing longer can be a slip of one of ours, and measuring it takes long.
  return word.size() > k_word_bytes ? std::nullopt : nearest_word(word, candidates);
}

std::string did_you_mean(const std::optional<std::string>& near) {
  return near ? fmt::format("did you mean \"{}\"?", *near) : std::string();
}

}  // namespace ecmigrate::planfile

namespace ecmigrate {

std::string complaint_text(const std::string& file, const PlanComplaint& complaint) {
  std::string text = complaint.at.line == 0
                         ? fmt::format("{}: {}", file, complaint.message)
                         : fmt::format("{}:{}:{}: {}", file, complaint.at.line, complaint.at.column, complaint.message);
  if (!complaint.excerpt.empty()) {
    text += "\n" + complaint.excerpt;
  }
  return complaint.hint.empty() ? text : text + "\nhint: " + complaint.hint;
}

}  // namespace ecmigrate
