#include "ecmigrate/model/fixed_settings.hpp"

#include <fmt/format.h>

namespace ecmigrate {

namespace {

constexpr std::string_view k_search_path = "pg_catalog";

std::string fixed(std::string_view set) {
  std::string sql = fmt::format("{} search_path = {}", set, k_search_path);
  for (const auto& [name, value] : k_fixed_settings) {
    sql += fmt::format("; {} {} = '{}'", set, name, value);
  }
  return sql;
}

std::string one_statement(const std::string& sql) {
  return fmt::format("do $settings$ begin {}; end $settings$", sql);
}

/// Of the language itself, and of what the server prints of its catalog.
std::string others(std::string_view set) {
  return fmt::format(
      "; {0} xmloption = content; {0} standard_conforming_strings = on; {0} backslash_quote = safe_encoding; {0} "
      "quote_all_identifiers = off; {0} transform_null_equals = off; {0} array_nulls = on; {0} client_min_messages = "
      "warning",
      set);
}

}  // namespace

std::string own_settings() {
  // A snapshot for each statement: what is looked at under a lock has to be what is there by then.
  return fixed("set") + others("set") + "; set default_transaction_isolation = 'read committed'";
}

std::string own_settings_for_now() {
  return fixed("set local") + others("set local");
}

std::string users_settings_for_now() {
  std::string sql = "set local search_path to default";
  for (const auto& setting : k_fixed_settings) {
    sql += fmt::format("; set local {} to default", setting.first);
  }
  return one_statement(sql);
}

std::string no_longer_users_settings() {
  return one_statement(fixed("set local"));
}

}  // namespace ecmigrate
