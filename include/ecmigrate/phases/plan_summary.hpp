#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "ecmigrate/model/event.hpp"
#include "ecmigrate/model/recipe.hpp"
#include "ecmigrate/session/session.hpp"

/// What a plan will do to one database, for who has to approve it: facts about its tables, and an estimate.
namespace ecmigrate {

/// Of a table with its partitions, by the server's statistics.
struct PlannedTable {
  QualifiedName table;
  std::int64_t rows = 0;
  bool rows_known = true;  ///< false: a part of it was never analyzed
  double bytes = 0;        ///< without indexes
  double index_bytes = 0;
  int indexes = 0;
  int partitions = 1;
  bool walked = false;  ///< the backfill writes its rows
};

/// A range, and not a promise: what it rests on is in plan_summary.cpp. Times in milliseconds, sizes in bytes.
struct BackfillEstimate {
  std::int64_t rows = 0;
  bool rows_known = true;
  double ms_low = 0;
  double ms_high = 0;
  double wal_low = 0;
  double wal_high = 0;
};

/// Those that were asked for, or as many as there will be.
int expected_workers(Session& session);
/// Tables of the recipe that are there.
std::vector<PlannedTable> facts_of_tables(Session& session, const Recipe& recipe);
BackfillEstimate estimate_backfill(const std::vector<PlannedTable>& tables, int workers);
/// "about 200,000 rows, 2.0 s to 20.0 s, 30 MB to 90 MB of WAL"; empty where nothing is filled.
std::string estimate_words(const BackfillEstimate& estimate);

/// Who holds a lock on one of the tables in a transaction that is older than a second: locks of the migration would
/// wait for them now.
std::vector<Blocker> sessions_in_the_way(Session& session, const Recipe& recipe);

}  // namespace ecmigrate
