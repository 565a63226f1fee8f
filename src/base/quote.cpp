#include "ecmigrate/base/quote.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <vector>

#include "ecmigrate/base/error.hpp"
#include "ecmigrate/base/text.hpp"

namespace ecmigrate {

std::string quote_identifier(std::string_view name) {
  if (name.empty()) {
    throw Error(Outcome::plan_invalid, "a name is empty");
  }
  if (name.find('\0') != std::string_view::npos) {
    throw Error(Outcome::plan_invalid, "a name contains a NUL byte");
  }
  if (name.size() > k_max_identifier_bytes) {
    // The server would cut it silently, and two names could then become one.
    throw Error(
        Outcome::plan_invalid,
        fmt::format("the name \"{}\" has {} bytes, PostgreSQL keeps {}", name, name.size(), k_max_identifier_bytes),
        "Choose a shorter name.");
  }
  std::string quoted = "\"";
  for (const char c : name) {
    quoted += c;
    if (c == '"') {
      quoted += c;
    }
  }
  return quoted + '"';
}

std::string quote_literal(std::string_view text) {
  std::string quoted = text.find('\\') == std::string_view::npos ? "'" : "E'";
  for (const char c : text) {
    quoted += c;
    if (c == '\'' || c == '\\') {
      quoted += c;
    }
  }
  return quoted + '\'';
}

std::string name_array(std::span<const std::string> names) {
  std::vector<std::string> literals;
  std::ranges::transform(names, std::back_inserter(literals),
                         [](const std::string& name) { return quote_literal(name); });
  return "array[" + join(literals, ", ") + "]::name[]";
}

std::string QualifiedName::sql() const {
  return quote_identifier(schema) + "." + quote_identifier(name);
}

std::string QualifiedName::display() const {
  return schema == "public" ? name : schema + "." + name;
}

}  // namespace ecmigrate
