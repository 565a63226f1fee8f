#pragma once

#include "ecmigrate/op/draft.hpp"
#include "ecmigrate/pg/connection.hpp"

namespace ecmigrate {

/// Has the server read every expression of a draft, as it would in the plan's table: fills in `sql`, `reads`,
/// `repeatable`, and what a null means. Works on a temporary copy of the table's shape whose transaction is rolled
/// back, so that no lock but ACCESS SHARE is taken and nothing changes. What does not compile becomes a complaint of
/// the draft, all of them at once.
void probe_expressions(pg::Connection& connection, Draft& draft);

}  // namespace ecmigrate
