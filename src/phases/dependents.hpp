#pragma once

#include "ecmigrate/model/recipe.hpp"
#include "ecmigrate/session/session.hpp"

namespace ecmigrate {

/// What else hangs on the columns that contract drops: objects on which DROP COLUMN would fail (views, policies,
/// generated columns, triggers, foreign keys, functions, publications) and objects that it would silently take along
/// (indexes and constraints over several columns, partial indexes, statistics).
struct Dependents {
  std::vector<std::string> blocking;  ///< "view active_users (users.full_name)"
  std::vector<std::string> lost;      ///< the same, for those that would go silently and are not accepted
};
Dependents find_dependents(Session& session, const std::vector<ColumnDrop>& drops);

/// Triggers of the application that were made after expand and fire behind a sync trigger, so that it does not see what
/// they change, as text for people.
std::vector<std::string> find_later_triggers(Session& session, const std::vector<SyncTrigger>& triggers);

}  // namespace ecmigrate
