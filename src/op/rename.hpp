#pragma once

#include "ecmigrate/op/draft.hpp"

namespace ecmigrate {

/// Both names until contract: a copy under the new name is kept in step and gets copies of the indexes, so that the
/// new application's queries and ON CONFLICT clauses work. At contract the *copy* is dropped and the old column takes
/// its name: everything that hangs on the column (indexes, constraints, foreign keys, defaults, identity, privileges,
/// comments, statistics, its place in the table) stays as it is.
void rename_through_copy(Draft& draft, TableDraft& table, const Column& old, const std::string& to, Location at);

/// What copies of indexes are for.
enum class CopyUse {
  passing,  ///< they go at contract: what the old column's own index guards, they need not guard again
  lasting,  ///< they take the place of the originals
};

/// Index builds for `copy`, one for each index that reads `old`, with the column replaced. Returns the names of the
/// originals, each with the name of its copy.
std::vector<std::pair<const Index*, std::string>> copy_indexes(Draft& draft, TableDraft& table, const Column& old,
                                                               const std::string& copy, CopyUse use);

/// Says who may meet "duplicate key" of a copy: ON CONFLICT looks at the unique indexes of the columns that it names,
/// and two sessions that insert one value at one moment find each other by the other index as well.
void warn_of_conflicts(Draft& draft, const Index& index);

}  // namespace ecmigrate
