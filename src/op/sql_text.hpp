#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace ecmigrate {

/// A piece of an SQL or PL/pgSQL text. Comments and white space are left out.
struct SqlToken {
  enum class Kind { word, quoted, literal, other };
  Kind kind = Kind::other;
  std::string_view text;  ///< as it stands there; one character for `other`
  std::size_t begin = 0;

  /// Whether it is this keyword, or the name of this column, as the server reads names.
  [[nodiscard]] bool is(std::string_view name) const;
};

std::vector<SqlToken> sql_tokens(std::string_view text);

/// Expressions as the catalog prints them write the type behind a literal: `'new'::text`. Without it the server chooses
/// the type anew, from what the literal is compared with.
std::string without_literal_types(const std::string& text);

/// An expression over the columns of one table with one of them replaced.
std::string with_column_as(const std::string& text, const std::string& column, const std::string& replacement);

/// The end of a CREATE INDEX with its tablespace, which stands before WHERE.
std::string with_tablespace(const std::string& definition, const std::string& tablespace);

}  // namespace ecmigrate
