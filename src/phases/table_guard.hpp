#pragma once

#include <vector>

#include "ecmigrate/model/plan.hpp"
#include "ecmigrate/store/journal.hpp"
#include "ecmigrate/store/table_fates.hpp"

namespace ecmigrate {

/// What became of the migration's tables. Throws Error{refused} where one has another name now.
std::vector<TableFate> fates_unless_renamed(pg::Connection& connection, const MigrationRecord& record);

/// Throws Error{refused} where a table of the migration is gone, or has another name. `contracting`: a step of contract
/// has begun.
void refuse_if_gone(pg::Connection& connection, const Plan& plan, const MigrationRecord& record, bool contracting);

}  // namespace ecmigrate
