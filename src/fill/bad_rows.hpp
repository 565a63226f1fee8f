#pragma once

#include <cstdint>

#include "ecmigrate/fill/relation_walk.hpp"
#include "ecmigrate/session/session.hpp"

namespace ecmigrate {

/// Data exceptions, violated constraints, and what functions raise themselves.
bool row_is_at_fault(const pg::SqlError& error);

/// Finds the rows of the first page between two that cannot be filled, and gives whether there is one (what raised may
/// be locked or gone by now, or two rows may only together be in each other's way). With `quarantine` they are written
/// into the journal and left alone from now on; without, or when there are too many, throws Error{failed} with the key
/// of the first. `connection`: a worker's, with nothing under way.
bool set_bad_rows_aside(Session& session, pg::Connection& connection, RelationWalk& walk, std::int64_t from,
                        std::int64_t to, bool quarantine);

/// Rows that an earlier run set aside are tried again, on the session's connection; those that can be filled now, are.
void retry_bad_rows(Session& session, RelationWalk& walk, bool replace_replication_role);

}  // namespace ecmigrate
