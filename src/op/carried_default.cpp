#include "carried_default.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <functional>

#include "ecmigrate/base/quote.hpp"
#include "mapping_sql.hpp"

namespace ecmigrate {

namespace {

bool in_word(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_' || c == '$' || (c & 0x80) != 0;
}

/// One past the end of a quoted text that begins at `at`, as the server prints them: a quote in it is doubled, and
/// after E a backslash hides the next character.
std::size_t end_of_quoted(const std::string& sql, std::size_t at) {
  const char quote = sql[at];
  const bool escapes = quote == '\'' && at > 0 && sql[at - 1] == 'E' && (at == 1 || !in_word(sql[at - 2]));
  for (++at; at < sql.size(); ++at) {
    if (escapes && sql[at] == '\\') {
      ++at;
    } else if (sql[at] == quote) {
      if (at + 1 == sql.size() || sql[at + 1] != quote) {
        return at + 1;
      }
      ++at;
    }
  }
  return sql.size();
}

/// Replaces every column of the row, `this.name`, in an expression that the server printed.
std::string replace_columns(const std::string& sql, const std::function<std::string(const std::string&)>& value_of) {
  const std::string row = "this.";
  std::string result;
  for (std::size_t at = 0; at < sql.size();) {
    if (sql[at] == '\'' || sql[at] == '"') {
      const std::size_t end = end_of_quoted(sql, at);
      result += sql.substr(at, end - at);
      at = end;
    } else if (sql.compare(at, row.size(), row) == 0 && (at == 0 || (!in_word(sql[at - 1]) && sql[at - 1] != '.'))) {
      at += row.size();
      std::size_t end = at;
      std::string name;
      if (at < sql.size() && sql[at] == '"') {
        end = end_of_quoted(sql, at);
        for (std::size_t i = at + 1; i + 1 < end; ++i) {
          name += sql[i];
          i += sql[i] == '"' ? 1 : 0;
        }
      } else {
        while (end < sql.size() && in_word(sql[end])) {
          ++end;
        }
        name = sql.substr(at, end - at);
      }
      result += value_of(name);
      at = end;
    } else {
      result += sql[at++];
    }
  }
  return result;
}

/// "character varying" of "character varying(50)".
std::string without_modifier(const std::string& type) {
  const std::size_t begin = type.find('(');
  const std::size_t end = type.find(')');
  return begin == std::string::npos || end == std::string::npos ? type : type.substr(0, begin) + type.substr(end + 1);
}

/// A value that no application writes, for defaults that cannot be recognised. Fits whatever length the type has. No
/// backslash: the trigger's literals are read by the client's standard_conforming_strings.
std::optional<std::string> nobodys_value(const std::string& type) {
  struct Improbable {
    std::string_view type;
    std::string_view value;
  };
  constexpr std::array<Improbable, 15> k_values{{{"uuid", "ffffffff-ffff-ffff-ffff-fffffffffffe"},
                                                 {"smallint", "-32768"},
                                                 {"integer", "-2147483648"},
                                                 {"bigint", "-9223372036854775808"},
                                                 {"numeric", "NaN"},
                                                 {"real", "NaN"},
                                                 {"double precision", "NaN"},
                                                 {"timestamp without time zone", "-infinity"},
                                                 {"timestamp with time zone", "-infinity"},
                                                 {"date", "-infinity"},
                                                 {"interval", "-178000000 years"},
                                                 {"jsonb", "[\"not given\"]"},
                                                 {"text", "\x01 not given"},
                                                 {"character varying", "\x01"},
                                                 {"character", "\x01"}}};
  const auto* found = std::ranges::find(k_values, without_modifier(type), &Improbable::type);
  return found == k_values.end() ? std::nullopt
                                 : std::optional(fmt::format("{}::{}", quote_literal(found->value), type));
}

/// The default of O that N has to be told from, or of the plan where O has none.
std::optional<std::string> interim_default(const Mapping& mapping, const NewColumn& column) {
  bool given = false;
  bool differs_each_time = false;
  for (const OldColumn& old : mapping.olds) {
    given = given || old.default_read != nullptr;
    differs_each_time = differs_each_time || (old.default_read != nullptr && old.default_read->volatile_value);
  }
  if (differs_each_time || (given && column.up.volatile_value)) {
    return nobodys_value(column.type);
  }
  if (given) {
    // Of several new columns one alone may be left out, and then it is not what `up` makes of the default.
    const auto nobodys = mapping.news.size() > 1 ? nobodys_value(column.type) : std::nullopt;
    return nobodys ? nobodys : up_of_defaults(mapping, column);
  }
  if (column.default_read != nullptr && !column.default_is_old) {
    return column.default_read->volatile_value ? nobodys_value(column.type) : std::optional(column.default_read->sql);
  }
  return std::nullopt;
}

}  // namespace

std::optional<std::string> up_of_defaults(const Mapping& mapping, const NewColumn& column) {
  bool possible = !column.up.has_subquery;
  std::vector<std::string> asked;
  const std::string sql = replace_columns(column.up.sql, [&](const std::string& name) {
    const auto old =
        std::ranges::find_if(mapping.olds, [&](const OldColumn& candidate) { return candidate.column->name == name; });
    if (old == mapping.olds.end()) {
      possible = false;
      return std::string();
    }
    if (old->default_read == nullptr) {
      return fmt::format("(null::{})", old->column->type);
    }
    possible = possible && !(old->default_read->volatile_value && std::ranges::find(asked, name) != asked.end());
    asked.push_back(name);
    return fmt::format("(({})::{})", old->default_read->sql, old->column->type);
  });
  return possible ? std::optional(sql) : std::nullopt;
}

void carry_defaults(Draft& draft, TableDraft& table) {
  for (Mapping& mapping : table.mappings) {
    for (NewColumn& column : mapping.news) {
      if (!mapping.olds.empty() && can_be_set_null(column)) {
        column.interim_default = interim_default(mapping, column);
        column.interim_is_nobodys = column.interim_default && column.interim_default == nobodys_value(column.type);
        if (mapping.news.size() > 1 && column.interim_default && !column.interim_is_nobodys) {
          draft.warn(
              fmt::format("until contract an INSERT that names other new columns and leaves out \"{}\" gets {} there: "
                          "what `up` makes of the old default",
                          column.name, *column.interim_default));
        }
      }
      for (ColumnDrop& drop : table.drops) {
        if (drop.column == column.name) {
          drop.interim_default = column.interim_default.value_or(column.domain.has_default ? "null" : "");
        }
      }
      if (!column.default_through_up) {
        continue;
      }
      column.default_sql = up_of_defaults(mapping, column);
      if (!column.default_sql) {
        const Column& old = *mapping.olds.front().column;
        draft.complain(column.up.at,
                       fmt::format("\"{}\" has a default ({}), and `up` does not say what becomes of it", old.name,
                                   *old.default_sql),
                       "Give the new default with `default:`, or `default: null` for none.");
      }
    }
  }
}

}  // namespace ecmigrate
