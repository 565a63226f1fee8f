#include "relation_rows.hpp"

#include <fmt/format.h>

#include "ecmigrate/base/text.hpp"

namespace ecmigrate {

std::string page_range(std::int64_t from, std::int64_t to) {
  return fmt::format("this.ctid >= '({},0)'::tid and this.ctid < '({},0)'::tid", from, to);
}

std::string row_key(const std::vector<std::string>& key) {
  if (key.empty()) {
    return "'ctid=' || this.ctid::text";
  }
  std::vector<std::string> terms;
  for (const std::string& column : key) {
    terms.push_back(fmt::format("{} || this.{}::text", quote_literal(column + "="), quote_identifier(column)));
  }
  return join(terms, " || ', ' || ");
}

std::vector<std::string> filled_columns(const SyncedTable& table) {
  std::vector<std::string> columns;
  for (const SyncedMapping& mapping : table.mappings) {
    columns.insert(columns.end(), mapping.new_columns.begin(), mapping.new_columns.end());
  }
  return columns;
}

std::string fill_pending(const SyncedTable& table) {
  if (table.mappings.size() == 1) {
    return table.mappings.front().fill;  // the WHERE clause has seen to it
  }
  std::vector<std::string> lists;
  for (const SyncedMapping& mapping : table.mappings) {
    lists.push_back(mapping.fill_if_pending);
  }
  return join(lists, ", ");
}

}  // namespace ecmigrate
