#pragma once

#include <string_view>
#include <vector>

namespace ecmigrate {

enum class FieldType {
  text,               ///< a non-empty string
  text_or_null,       ///< a string, or null ("remove it")
  boolean,            ///< true or false; the reader normalises YAML's other spellings (yes, on, True)
  integer,            ///< a decimal whole number; `012` is an error, not octal
  duration,           ///< 50ms, 2s, 1m
  sql,                ///< an SQL expression or statement
  sql_per_column,     ///< a map from column name to SQL expression
  sql_or_per_column,  ///< one SQL expression, or a map from column name to SQL expression
  object,             ///< a map with `fields`
  object_list,        ///< a list of maps with `fields`; not empty. An item may be a scalar: then it is the first field
  text_list,          ///< a list of strings; not empty
  text_map,           ///< a map from name to string
};

/// One key of a plan. The tables of fields are what the reader checks files against, what `ecmigrate schema` prints
/// as JSON Schema and what the reference in docs/ is made from.
struct Field {
  std::string_view name;
  FieldType type;
  bool required = false;
  std::string_view doc;
  std::vector<Field> fields{};             ///< of an object or of the items of an object_list
  std::vector<std::string_view> one_of{};  ///< the allowed words, when there is a closed set
};

}  // namespace ecmigrate
