#include "table_guard.hpp"

#include <fmt/format.h>

#include "ecmigrate/base/error.hpp"
#include "ecmigrate/base/text.hpp"

namespace ecmigrate {

std::vector<TableFate> fates_unless_renamed(pg::Connection& connection, const MigrationRecord& record) {
  std::vector<TableFate> fates = fates_of_tables(connection, record.name, record.recipe.tables, record.recipe.triggers);
  for (const TableFate& fate : fates) {
    if (fate.fate == TableFate::Fate::renamed) {
      throw Error(
          Outcome::refused,
          fmt::format("{} {}: somebody renamed or moved it since expand", fate.table.display(), fate_words(fate)),
          "Give it its name back, then run the same command again; nothing was changed.");
    }
  }
  return fates;
}

void refuse_if_gone(pg::Connection& connection, const Plan& plan, const MigrationRecord& record, bool contracting) {
  for (const TableFate& fate : fates_unless_renamed(connection, record)) {
    if (fate.gone()) {
      throw Error(Outcome::refused,
                  fmt::format("{}, a table of this migration, {}", fate.table.display(), fate_words(fate)),
                  contracting ? fmt::format("There is nothing to contract there, and no way back. To close the "
                                            "migration: ecmigrate forget {}",
                                            shell_quote(record.name))
                              : fmt::format("Take the rest back: ecmigrate rollback {}", plan.file));
    }
  }
}

}  // namespace ecmigrate
