#pragma once

#include <cstdint>
#include <vector>

#include "ecmigrate/model/recipe.hpp"
#include "ecmigrate/pg/connection.hpp"

namespace ecmigrate {

/// The server's table of locks, which all sessions share.
struct LockRoom {
  std::int64_t per_transaction = 0;  ///< max_locks_per_transaction
  std::int64_t transactions = 0;     ///< that the server was started for
  std::int64_t used = 0;
};
LockRoom read_lock_room(pg::Connection& connection);

/// A table and its partitions, and the indexes on them that read one of the columns.
struct LockedObjects {
  std::int64_t relations = 0;
  std::int64_t indexes = 0;
};
LockedObjects read_locked_objects(pg::Connection& connection, const QualifiedName& table,
                                  const std::vector<std::string>& columns);

}  // namespace ecmigrate
