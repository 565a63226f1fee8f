#pragma once

#include <span>
#include <string>
#include <string_view>

namespace ecmigrate {

/// The longest identifier that PostgreSQL keeps whole (NAMEDATALEN - 1), in bytes.
inline constexpr std::size_t k_max_identifier_bytes = 63;

/// Always quoted, so that capitals, spaces and reserved words are taken literally. The only way an identifier gets
/// into SQL. Throws Error{plan_invalid} for an empty name, one with a NUL byte, or one longer than 63 bytes.
std::string quote_identifier(std::string_view name);

/// A literal for the places where SQL takes no parameter (utility statements, function bodies). Safe under both
/// settings of standard_conforming_strings.
std::string quote_literal(std::string_view text);

/// `array['first', 'second']::name[]`: for `attname = any (…)`; an empty array for no names.
std::string name_array(std::span<const std::string> names);

/// A table, index or function with the schema it lives in. Both parts are literal, unquoted names.
struct QualifiedName {
  std::string schema;
  std::string name;

  /// `"schema"."name"`.
  [[nodiscard]] std::string sql() const;
  /// For people: the bare name, with its schema unless that is `public`.
  [[nodiscard]] std::string display() const;

  friend bool operator==(const QualifiedName&, const QualifiedName&) = default;
  friend auto operator<=>(const QualifiedName&, const QualifiedName&) = default;
};

}  // namespace ecmigrate
