#include "ecmigrate/pg/syntax.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>

namespace ecmigrate::pg {

std::optional<SqlError> syntax_error(Connection& connection, const std::string& statements) {
  // A message is parsed as a whole before its first statement runs, and the first one here always fails.
  constexpr std::string_view k_parsed = "EC001";
  // Its words are for who reads the server's log.
  const std::string stop = fmt::format(
      "do $ecmigrate$ begin raise exception using errcode = '{}', message = 'ecmigrate has the syntax of a statement "
      "looked at, and does not run it'; end $ecmigrate$;\n",
      k_parsed);
  try {
    connection.script(stop + statements);
  } catch (const SqlError& error) {
    if (error.connection_lost()) {
      throw;
    }
    if (error.sqlstate() == k_parsed) {
      return std::nullopt;
    }
    return SqlError(error.sqlstate(), error.what(), error.hint(),
                    std::max(0, error.position() - static_cast<int>(stop.size())));
  }
  return std::nullopt;
}

}  // namespace ecmigrate::pg
