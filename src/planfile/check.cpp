#include "check.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>
#include <set>
#include <vector>

#include "ecmigrate/base/text.hpp"
#include "fields.hpp"

namespace ecmigrate::planfile {

namespace {

using Kind = Value::Kind;

Value value_of(const Node& node, Kind kind, std::string scalar = {}) {
  Value value;
  value.kind = kind;
  value.scalar = std::move(scalar);
  value.at = node.at;
  return value;
}

/// "true" or "false" for YAML's spellings of them: all small, all capitals, or one capital first.
std::optional<std::string> boolean_word(std::string_view text) {
  constexpr std::array<std::pair<std::string_view, std::string_view>, 6> k_words{
      {{"true", "true"}, {"yes", "true"}, {"on", "true"}, {"false", "false"}, {"no", "false"}, {"off", "false"}}};
  for (const auto& [word, meaning] : k_words) {
    std::string upper(word);
    std::ranges::transform(upper, upper.begin(), [](char c) { return static_cast<char>(c - 'a' + 'A'); });
    if (text == word || text == upper || text == upper.substr(0, 1) + std::string(word.substr(1))) {
      return std::string(meaning);
    }
  }
  return std::nullopt;
}

bool is_digits(std::string_view text) {
  return !text.empty() && text.find_first_not_of("0123456789") == std::string_view::npos;
}

std::string_view without_sign(std::string_view text) {
  return text.substr(text.starts_with('-') ? 1 : 0);
}

std::string_view found(const Node& node) {
  switch (node.kind) {
    case Kind::null:
      return "nothing";
    case Kind::list:
      return "a list";
    case Kind::map:
      return "a map";
    case Kind::scalar:
      break;
  }
  if (node.plain && boolean_word(node.text)) {
    return "a boolean";
  }
  return node.plain && is_digits(without_sign(node.text)) ? "a number" : "a string";
}

std::string_view expected(Kind kind) {
  return kind == Kind::list ? "a list" : kind == Kind::map ? "a map" : "a string";
}

std::string label(const std::string& path) {
  return path.empty() ? "the plan" : path;
}

std::string below(const std::string& path, std::string_view name) {
  return path.empty() ? std::string(name) : fmt::format("{}.{}", path, name);
}

}  // namespace

bool Checker::expect(const Node& node, Kind kind, const std::string& path, const std::string& hint) {
  if (node.kind == kind) {
    return true;
  }
  std::string advice = hint;
  if (advice.empty() && kind == Kind::list && node.kind != Kind::null) {
    advice = "Start each item of a list with \"- \".";
  } else if (advice.empty() && kind == Kind::scalar && node.kind != Kind::null) {
    advice = "Put it in quotes if it is meant as text.";
  }
  add(node.at, fmt::format("{}: expected {}, found {}", label(path), expected(kind), found(node)), std::move(advice));
  return false;
}

void Checker::keys(const Node& map, std::span<const Field> fields, const std::string& path) {
  std::vector<std::string_view> names;
  std::ranges::transform(fields, std::back_inserter(names), &Field::name);
  std::set<std::string, std::less<>> meant;
  for (const Node::Member& member : map.members) {
    if (find_field(fields, member.key) != nullptr) {
      meant.insert(member.key);
      continue;
    }
    const auto near = near_word(member.key, names);
    std::string hint = did_you_mean(near);
    if (near) {
      // A key that is there but for a slip of the pen is not reported a second time as missing.
      meant.insert(*near);
    } else if (!names.empty()) {
      hint = fmt::format("The keys of {} are {}.", label(path), fmt::join(names, ", "));
    }
    add(member.at, fmt::format("unknown key {} in {}", in_quotes(member.key), label(path)), std::move(hint));
  }
  for (const std::string_view name : names) {
    if (find_field(fields, name)->required && !meant.contains(name)) {
      add(map.at, fmt::format("missing key \"{}\" in {}", name, label(path)));
    }
  }
}

Value Checker::object(const Node& node, std::span<const Field> fields, const std::string& path) {
  Value out = value_of(node, Kind::map);
  if (!expect(node, Kind::map, path)) {
    return out;
  }
  keys(node, fields, path);
  for (const Node::Member& member : node.members) {
    if (const Field* field = find_field(fields, member.key)) {
      out.members.push_back({member.key, value(member.value, *field, below(path, member.key))});
    }
  }
  return out;
}

Value Checker::value(const Node& node, const Field& field, const std::string& path) {
  switch (field.type) {
    case FieldType::text:
    case FieldType::text_or_null:
      return text(node, field, path);
    case FieldType::boolean:
      return boolean(node, path);
    case FieldType::integer:
      return integer(node, path);
    case FieldType::duration:
      return duration(node, path);
    case FieldType::sql:
      return sql(node, path);
    case FieldType::sql_per_column:
      return map_of(node, {.name = "", .type = FieldType::sql, .doc = ""}, path);
    case FieldType::sql_or_per_column:
      return node.kind == Kind::map ? map_of(node, {.name = "", .type = FieldType::sql, .doc = ""}, path)
                                    : sql(node, path);
    case FieldType::object:
      return object(node, field.fields, path);
    case FieldType::object_list:
    case FieldType::text_list:
      return list_of(node, field, path);
    case FieldType::text_map:
      return map_of(node, {.name = "", .type = FieldType::text, .doc = ""}, path);
  }
  return {};
}

Value Checker::text(const Node& node, const Field& field, const std::string& path) {
  if (field.type == FieldType::text_or_null && node.kind == Kind::null) {
    return value_of(node, Kind::null);
  }
  if (!expect(node, Kind::scalar, path)) {
    return {};
  }
  if (node.text.empty() && field.type == FieldType::text) {
    add(node.at, path + ": must not be empty");
  } else if (node.text.find('\0') != std::string::npos) {
    add(node.at, path + ": PostgreSQL stores no NUL bytes");
  } else if (!field.one_of.empty() && std::ranges::find(field.one_of, node.text) == field.one_of.end()) {
    add(node.at, fmt::format("{}: {} is not one of {}", path, in_quotes(node.text), fmt::join(field.one_of, ", ")),
        did_you_mean(near_word(node.text, field.one_of)));
  }
  return value_of(node, Kind::scalar, node.text);
}

Value Checker::boolean(const Node& node, const std::string& path) {
  const auto word = node.kind == Kind::scalar ? boolean_word(node.text) : std::nullopt;
  if (word && node.plain) {
    return value_of(node, Kind::scalar, *word);
  }
  add(node.at, fmt::format("{}: expected true or false, found {}", path, found(node)),
      word ? fmt::format("Write {} without quotes.", *word) : "");
  return {};
}

Value Checker::integer(const Node& node, const std::string& path) {
  const std::string_view digits = without_sign(node.text);
  if (node.kind != Kind::scalar || !is_digits(digits) || !node.plain) {
    const bool is_quoted_number = node.kind == Kind::scalar && !node.plain && is_digits(digits);
    add(node.at,
        node.kind == Kind::scalar && node.plain
            ? fmt::format("{}: {} is not a whole number", path, in_quotes(node.text))
            : fmt::format("{}: expected a whole number, found {}", path, found(node)),
        is_quoted_number ? "Write it without quotes." : "");
    return {};
  }
  if (digits.size() > 1 && digits.starts_with('0')) {
    const std::size_t first = std::min(digits.find_first_not_of('0'), digits.size() - 1);
    add(node.at, fmt::format("{}: {} could be octal, because it starts with 0", path, in_quotes(node.text)),
        fmt::format("Write {} if the decimal number is meant.", abbreviate(digits.substr(first), 30)));
    return {};
  }
  std::int64_t number = 0;
  if (std::from_chars(node.text.data(), node.text.data() + node.text.size(), number).ec != std::errc()) {
    add(node.at, fmt::format("{}: {} does not fit into 64 bits", path, in_quotes(node.text)));
  }
  return value_of(node, Kind::scalar, std::to_string(number));
}

Value Checker::duration(const Node& node, const std::string& path) {
  constexpr std::size_t k_longest = 24;  // parse_duration adds up without looking for an overflow
  if (!expect(node, Kind::scalar, path, "Write a duration such as 50ms, 2s or 1m.")) {
    return {};
  }
  if (is_digits(node.text)) {
    const std::string number = abbreviate(node.text, k_longest);
    add(node.at, fmt::format("{}: {} has no unit", path, in_quotes(node.text)),
        fmt::format("Write {0}ms, {0}s, {0}m or {0}h.", number));
  } else if (node.text.size() > k_longest || !parse_duration(node.text)) {
    add(node.at, fmt::format("{}: {} is not a duration", path, in_quotes(node.text)),
        "Write a duration such as 50ms, 2s or 1m; the units are ms, s, m and h.");
  }
  return value_of(node, Kind::scalar, node.text);
}

Value Checker::sql(const Node& node, const std::string& path) {
  if (!expect(node, Kind::scalar, path)) {
    return {};
  }
  std::string trimmed = trim(node.text);
  if (trimmed.empty()) {
    add(node.at, path + ": must not be empty");
  } else if (trimmed.find('\0') != std::string::npos) {
    add(node.at, path + ": PostgreSQL stores no NUL bytes");
  }
  return value_of(node, Kind::scalar, std::move(trimmed));
}

Value Checker::map_of(const Node& node, const Field& element, const std::string& path) {
  Value out = value_of(node, Kind::map);
  if (!expect(node, Kind::map, path)) {
    return out;
  }
  if (node.members.empty() && !node.has_bad_keys) {
    add(node.at, path + ": the map is empty");
  }
  for (const Node::Member& member : node.members) {
    out.members.push_back({member.key, value(member.value, element, below(path, shown(member.key)))});
  }
  return out;
}

Value Checker::list_of(const Node& node, const Field& field, const std::string& path) {
  Value out = value_of(node, Kind::list);
  if (!expect(node, Kind::list, path)) {
    return out;
  }
  if (node.items.empty()) {
    add(node.at, path + ": the list is empty");
  }
  for (const Node& item : node.items) {
    if (field.type == FieldType::text_list) {
      out.items.push_back(text(item, {.name = "", .type = FieldType::text, .doc = ""}, path));
      continue;
    }
    if (item.kind != Kind::scalar || field.fields.empty()) {
      out.items.push_back(object(item, field.fields, path));
      continue;
    }
    Node map;
    map.kind = Kind::map;
    map.at = item.at;
    map.members.push_back({std::string(field.fields.front().name), item.at, item});
    out.items.push_back(object(map, field.fields, path));
  }
  return out;
}

}  // namespace ecmigrate::planfile
