#pragma once

#include "ecmigrate/model/catalog.hpp"
#include "ecmigrate/pg/connection.hpp"

namespace ecmigrate {

/// What stands around a table and has a say in what can be done with it: how its rows are spread over partitions, what
/// publications ask of it, whether new indexes may stand beside it, and rules and functions that see its rows.
void read_surroundings(pg::Connection& connection, Table& table);

}  // namespace ecmigrate
