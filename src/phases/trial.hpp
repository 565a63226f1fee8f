#pragma once

#include "ecmigrate/model/recipe.hpp"
#include "ecmigrate/session/session.hpp"

namespace ecmigrate {

/// Tries `up` and the way back through `down` on real rows, read only, before anything is changed: on
/// RunOptions::check_rows of them, spread over the table, or on all. A row on which one of them raises, or for which a
/// NOT NULL column would be null, is an Error{refused} with its key. New constraints are tried on every row, as one
/// that violates them would fail the clients that write it. Rows that do not come back equal are reported, and
/// refused under RunOptions::strict.
void try_on_rows(Session& session, const Trial& trial);

}  // namespace ecmigrate
