#include "builder.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "ecmigrate/base/utf8.hpp"

namespace ecmigrate::planfile {

namespace {

constexpr std::size_t k_most_levels = 64;
constexpr std::size_t k_most_values = 100'000;

std::size_t count_values(const Node& node) {
  std::size_t count = 1;
  for (const Node& item : node.items) {
    count += count_values(item);
  }
  for (const Node::Member& member : node.members) {
    count += count_values(member.value);
  }
  return count;
}

std::size_t count_levels(const Node& node) {
  std::size_t levels = 0;
  for (const Node& item : node.items) {
    levels = std::max(levels, count_levels(item));
  }
  for (const Node::Member& member : node.members) {
    levels = std::max(levels, count_levels(member.value));
  }
  return levels + (node.kind == Value::Kind::list || node.kind == Value::Kind::map ? 1 : 0);
}

bool is_null_written(std::string_view text, std::size_t at) {
  for (const std::string_view word : {"~", "null", "Null", "NULL"}) {
    const std::size_t end = at + word.size();
    if (text.substr(at, word.size()) == word &&
        (end == text.size() || std::string_view(" \t\n,]}").find(text[end]) != std::string_view::npos)) {
      return true;
    }
  }
  return false;
}

}  // namespace

bool has_tab_indent(std::string_view line) {
  return line.substr(0, line.find_first_not_of(" \t")).find('\t') != std::string_view::npos;
}

void give_up_over_tab(Complaints& complaints, int line) {
  complaints.give_up({line, 1}, "a tab in the indentation", "Indent with spaces.");
}

Location Locator::operator()(const YAML::Mark& mark) {
  const int line = std::max(0, mark.line) + 1;
  const auto column = static_cast<std::size_t>(std::max(0, mark.column));
  if (line != m_line || column < m_bytes) {
    m_line = line;
    m_bytes = 0;
    m_characters = 0;
  }
  const std::string_view text = m_source.line(line);
  while (m_bytes < std::min(column, text.size())) {
    m_bytes += std::max<std::size_t>(1, character_at(text, m_bytes).size);
    ++m_characters;
  }
  return {line, m_characters + 1};
}

void Builder::OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) {
  Node node = start(mark, "", Value::Kind::null);
  const std::size_t at = m_source.offset(mark.line + 1, static_cast<std::size_t>(mark.column));
  // The mark of an empty value is where the next thing starts, often a line further; what it belongs to says more.
  if (!m_frames.empty() && !is_null_written(m_source.text(), at)) {
    const Frame& frame = m_frames.back();
    const std::size_t dash = at == 0 ? std::string::npos : m_source.text().rfind('-', at - 1);
    if (frame.key) {
      node.at = frame.key->at;
    } else if (frame.node.kind == Value::Kind::list && frame.block && dash != std::string::npos) {
      const std::string_view between = std::string_view(m_source.text()).substr(dash, at - dash);
      YAML::Mark place = mark;
      place.line -= static_cast<int>(std::ranges::count(between, '\n'));
      place.column = static_cast<int>(dash - m_source.offset(place.line + 1, 0));
      node.at = m_locate(place);
    }
  }
  put(std::move(node), anchor);
}

void Builder::OnAlias(const YAML::Mark& mark, YAML::anchor_t anchor) {
  const Location at = m_locate(mark);
  const auto found = m_anchors.find(anchor);
  if (found == m_anchors.end()) {
    m_complaints.give_up(at, "the alias stands inside what it stands for");
  }
  // Each alias is written out, so that nothing after this needs to know of them; the limits keep that small.
  spend(count_values(found->second), at);
  if (m_frames.size() + count_levels(found->second) > k_most_levels) {
    m_complaints.give_up(at, fmt::format("more than {} levels of lists and maps", k_most_levels));
  }
  put(found->second, 0);
}

void Builder::OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                       const std::string& value) {
  Node node = start(mark, tag, Value::Kind::scalar);
  node.text = value;
  node.plain = tag == "?";
  if (tag == "!") {
    check_closed(mark, node.at);
  }
  if (!is_utf8(value)) {
    // yaml-cpp makes a single byte of these two, and that is no character.
    m_complaints.give_up(node.at, "the escapes \\_ and \\N are not supported",
                         "Write the character itself, or \\u00a0.");
  }
  put(std::move(node), anchor);
}

Node Builder::start(const YAML::Mark& mark, const std::string& tag, Value::Kind kind) {
  Node node;
  node.kind = kind;
  node.at = m_locate(mark);
  // yaml-cpp lets tabs pass where YAML does not, and then takes the value for another line's.
  if (!m_frames.empty() && m_frames.back().block && has_tab_indent(m_source.line(node.at.line))) {
    give_up_over_tab(m_complaints, node.at.line);
  }
  if (tag.size() > 1) {
    m_complaints.add(node.at, fmt::format("the tag {} is not allowed in a plan", in_quotes(tag)), "Leave it out.");
  }
  spend(1, node.at);
  return node;
}

void Builder::open(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                   YAML::EmitterStyle::value style, Value::Kind kind) {
  Node node = start(mark, tag, kind);
  if (m_frames.size() == k_most_levels) {
    m_complaints.give_up(node.at, fmt::format("more than {} levels of lists and maps", k_most_levels));
  }
  m_frames.push_back({std::move(node), anchor, style == YAML::EmitterStyle::Block, std::nullopt});
}

void Builder::close() {
  Frame frame = std::move(m_frames.back());
  m_frames.pop_back();
  put(std::move(frame.node), frame.anchor);
}

void Builder::put(Node node, YAML::anchor_t anchor) {
  if (anchor != 0) {
    spend(count_values(node), node.at);
    m_anchors.insert_or_assign(anchor, node);
  }
  if (m_frames.empty()) {
    m_root = std::move(node);
    return;
  }
  Frame& frame = m_frames.back();
  if (frame.node.kind == Value::Kind::list) {
    frame.node.items.push_back(std::move(node));
  } else if (!frame.key) {
    frame.key = to_key(node, frame);
  } else {
    if (frame.key->usable) {
      frame.node.members.push_back({frame.key->text, frame.key->at, std::move(node)});
    }
    frame.node.has_bad_keys |= !frame.key->usable;
    frame.key.reset();
  }
}

Builder::Key Builder::to_key(const Node& node, Frame& frame) {
  if (node.kind != Value::Kind::scalar) {
    m_complaints.add(node.at, "a key must be a string",
                     node.kind == Value::Kind::null ? "Put the key in quotes if it is meant as text." : "");
    return {{}, node.at, false};
  }
  if (node.text.empty()) {
    m_complaints.add(node.at, "a key is empty");
    return {{}, node.at, false};
  }
  if (node.text.find('\0') != std::string::npos) {
    m_complaints.add(node.at, "a key contains a NUL byte");
    return {{}, node.at, false};
  }
  const auto [first, is_new] = frame.seen.try_emplace(node.text, node.at);
  if (!is_new) {
    m_complaints.add(node.at,
                     fmt::format("duplicate key {}, first on line {}", in_quotes(node.text), first->second.line),
                     "Remove one of the two.");
  }
  return {node.text, node.at, is_new};
}

void Builder::spend(std::size_t values, Location at) {
  m_values += values;
  if (m_values > k_most_values) {
    m_complaints.give_up(at, fmt::format("more than {} values, with those behind aliases", k_most_values));
  }
}

/// yaml-cpp takes the end of the file for a closing quote.
void Builder::check_closed(const YAML::Mark& mark, Location at) const {
  const std::string& text = m_source.text();
  std::size_t i = m_source.offset(mark.line + 1, static_cast<std::size_t>(mark.column));
  if (i < text.size() && text[i] == '&') {
    i = text.find_first_not_of(" \t\n", text.find_first_of(" \t\n", i));
  }
  if (i >= text.size() || (text[i] != '"' && text[i] != '\'')) {
    return;
  }
  const char quote = text[i];
  for (++i; i < text.size(); ++i) {
    const bool hides_next = quote == '"' ? text[i] == '\\' : text.substr(i, 2) == "''";
    if (hides_next) {
      ++i;
    } else if (text[i] == quote) {
      return;
    }
  }
  m_complaints.give_up(at, "this quote is never closed");
}

}  // namespace ecmigrate::planfile
