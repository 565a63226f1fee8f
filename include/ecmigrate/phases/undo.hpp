#pragma once

#include <vector>

#include "ecmigrate/store/journal.hpp"
#include "ecmigrate/store/table_fates.hpp"

namespace ecmigrate {

/// What takes back what a migration has begun, in the order in which rollback runs it. Of a table that is gone only
/// what did not go with it; a table or an index that has a name of the migration's and is not its own is left alone.
std::vector<Step> begun_undos(pg::Connection& connection, const MigrationRecord& record,
                              const std::vector<TableFate>& fates);

}  // namespace ecmigrate
