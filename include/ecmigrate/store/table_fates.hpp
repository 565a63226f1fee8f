#pragma once

#include <string>
#include <vector>

#include "ecmigrate/model/recipe.hpp"
#include "ecmigrate/pg/connection.hpp"

namespace ecmigrate {

/// What became of a table of a migration.
struct TableFate {
  enum class Fate {
    there,
    renamed,  ///< or moved to another schema; something else may have its name now
    dropped,
    made_anew,  ///< dropped, and what has its name now is not the migration's
  };
  QualifiedName table;
  Fate fate = Fate::there;
  QualifiedName now;  ///< of one that was renamed

  [[nodiscard]] bool gone() const { return fate == Fate::dropped || fate == Fate::made_anew; }
};

/// Of each of a migration's tables, in their order. A table is known by its oid, as the journal keeps it since expand;
/// where that is not there any more (a dump was restored), by its sync trigger; by its name alone where an older
/// program began the migration. Has to have a journal.
std::vector<TableFate> fates_of_tables(pg::Connection& connection, const std::string& migration,
                                       const std::vector<QualifiedName>& tables,
                                       const std::vector<SyncTrigger>& triggers);

/// Whether it is one of them, and gone.
bool is_gone(const std::vector<TableFate>& fates, const QualifiedName& table);

/// The rest of a sentence that begins with the table: "is gone", "is people now".
std::string fate_words(const TableFate& fate);

}  // namespace ecmigrate
