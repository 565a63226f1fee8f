#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "ecmigrate/model/recipe.hpp"

namespace ecmigrate {

/// `this.ctid >= '(from,0)' and this.ctid < '(to,0)'`: a TID range scan, which also prunes the pages it visits.
std::string page_range(std::int64_t from, std::int64_t to);

/// Text expression that names a row: `id=42`, or its place where the table has no primary key.
std::string row_key(const std::vector<std::string>& key);

/// The columns that a backfill of the table writes.
std::vector<std::string> filled_columns(const SyncedTable& table);

/// SET list that fills what is pending, and only that, of every mapping of the table.
std::string fill_pending(const SyncedTable& table);

}  // namespace ecmigrate
