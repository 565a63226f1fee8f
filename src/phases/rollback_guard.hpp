#pragma once

#include <vector>

#include "ecmigrate/model/plan.hpp"
#include "ecmigrate/session/session.hpp"
#include "ecmigrate/store/journal.hpp"
#include "ecmigrate/store/table_fates.hpp"

namespace ecmigrate {

/// Rollback keeps what the new version wrote only if the sync trigger has carried it over. Where it may have missed
/// something, whoever runs it has to confirm; throws Error{refused} if not.
void check_nothing_is_lost(Session& session, const Plan& plan, const MigrationRecord& record,
                           const std::vector<TableFate>& fates);

/// Throws Error{refused} where something that somebody made since expand needs what rollback drops.
void refuse_if_news_are_needed(Session& session, const Recipe& recipe, const std::vector<TableFate>& fates);

/// Rollback's steps, each table's with a last look, under its lock, at its sync trigger.
std::vector<Step> guarded_rollback(Session& session, const MigrationRecord& record,
                                   const std::vector<TableFate>& fates);

}  // namespace ecmigrate
