#pragma once

#include <string>

#include "ecmigrate/model/recipe.hpp"
#include "ecmigrate/session/session.hpp"

namespace ecmigrate {

/// Compares old and new columns of every row of one relation, by value, in read-only batches bounded in time. Reports
/// up to 20 differing rows, and the result. With RunOptions::repair_pending fills pending rows, with RunOptions::repair
/// also rows that agree in neither direction, from the named side; the application's own triggers do not fire for that
/// where the role may see to it.
event::VerifyFinished verify_relation(Session& session, const SyncedTable& table, const QualifiedName& relation,
                                      bool replace_replication_role);

}  // namespace ecmigrate
