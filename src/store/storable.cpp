#include "storable.hpp"

#include <algorithm>
#include <utility>

#include "ecmigrate/base/utf8.hpp"
#include "ecmigrate/pg/sqlstate.hpp"

namespace ecmigrate {

bool can_store(pg::Connection& connection, const std::string& text) {
  if (connection.has_every_character()) {
    return true;
  }
  try {
    connection.query("select length($1)", {text});
    return true;
  } catch (const pg::SqlError& error) {
    if (error.sqlstate() != pg::sqlstate::k_untranslatable_character) {
      throw;
    }
    return false;
  }
}

std::string storable(pg::Connection& connection, const std::string& text) {
  std::string plain = as_utf8(text);
  if (can_store(connection, plain)) {
    return plain;
  }
  for (const auto& [ours, instead] : {std::pair{"→", "->"}, std::pair{"…", "..."}}) {
    for (std::size_t at = 0; (at = plain.find(ours, at)) != std::string::npos;) {
      plain.replace(at, std::string_view(ours).size(), instead);
    }
  }
  if (!can_store(connection, plain)) {
    std::ranges::replace_if(
        plain, [](char c) { return static_cast<unsigned char>(c) >= 0x80; }, '?');
  }
  return plain;
}

}  // namespace ecmigrate
