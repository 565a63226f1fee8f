#include "missing_right.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <string_view>

#include "ecmigrate/base/quote.hpp"

namespace ecmigrate::pg {

namespace {

/// What the server calls a thing in "permission denied for …", and the rights on it that a migration may need.
struct Thing {
  std::string_view words;
  std::string_view rights;
  std::string_view in_grant;
  std::string_view further{};  ///< what else it can be: the message does not say which right is missing
};
constexpr std::array<Thing, 12> k_things{{
    {"schema ", "usage", "schema ", " Where a table, index or function is made there, also create."},
    {"table ", "select, references", "", " Where the plan's own sql writes it, also insert, update or delete."},
    {"view ", "select", ""},
    {"materialized view ", "select", ""},
    {"sequence ", "usage, select", "sequence "},
    {"function ", "execute", "function "},
    {"procedure ", "execute", "procedure "},
    {"type ", "usage", "type "},
    {"language ", "usage", "language "},
    {"database ", "create, temporary", "database "},
    {"tablespace ", "create", "tablespace "},
    {"foreign server ", "usage", "foreign server "},
}};

constexpr std::string_view k_denied = "permission denied for ";
constexpr std::string_view k_not_owner = "must be owner of ";

std::string as_in_sql(std::string_view name) {
  const bool plain =
      std::ranges::all_of(name, [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_'; });
  return plain ? std::string(name) : quote_identifier(name);
}

}  // namespace

std::string how_to_grant(const std::string& message, const std::string& role) {
  const std::string_view text = message;
  if (text.starts_with(k_not_owner)) {
    return fmt::format("Work as the owner of {}, or have its role granted: grant OWNER to {};",
                       text.substr(k_not_owner.size()), as_in_sql(role));
  }
  if (text.starts_with(k_denied)) {
    const std::string_view rest = text.substr(k_denied.size());
    const auto thing = std::ranges::find_if(k_things, [&](const Thing& one) { return rest.starts_with(one.words); });
    if (thing != k_things.end()) {
      return fmt::format("Have its owner run: grant {} on {}{} to {};{}", thing->rights, thing->in_grant,
                         as_in_sql(rest.substr(thing->words.size())), as_in_sql(role), thing->further);
    }
  }
  return fmt::format("{} lacks a right; docs/trust.md lists those that a migration needs.", as_in_sql(role));
}

}  // namespace ecmigrate::pg
