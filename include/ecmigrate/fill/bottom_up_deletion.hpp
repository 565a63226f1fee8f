#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "ecmigrate/pg/connection.hpp"

namespace ecmigrate {

/// Columns that a backfill's UPDATE should set to what they are, so that the server does not look for dead entries
/// where that costs much and finds little.
///
/// When an UPDATE moves a row and a btree page has no room for its new entry, the server looks through the page's rows
/// for versions that are dead ("bottom-up deletion", PostgreSQL 14 and later), provided that the UPDATE sets none of
/// the index's key columns (index_unchanged_by_update in src/backend/executor/execIndexing.c). Among many rows of one
/// value it does not know which to look at, and does so again at every new entry: measured, a third of a backfill's
/// time for no smaller index. With less than ten rows for each value it does find them, and without it the index may
/// double (docs/benchmarks.md). To set a column to itself changes nothing else: whether a row can stay on its page
/// depends on the values, and a value that somebody wrote meanwhile is read anew when the row is (EvalPlanQual).
///
/// At most one column for each btree index with many rows of a value, by its size. Never a key column of another btree
/// index or of an expression in one, which would be looked through no longer either, or, if it is unique, have its row
/// locked against foreign keys; nor one that a trigger waits for (UPDATE OF), a generated one, one that the role may
/// not write, or one of `filled`.
std::vector<std::string> columns_set_to_themselves(pg::Connection& connection, std::int64_t relation_oid,
                                                   const std::vector<std::string>& filled);

}  // namespace ecmigrate
