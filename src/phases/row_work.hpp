#pragma once

#include <cstdint>
#include <vector>

#include "current_run.hpp"
#include "ecmigrate/fill/backfill.hpp"

/// What the phases do to rows: backfill fills them, verify compares them.
namespace ecmigrate {

/// Before the first row. Throws where a limit cannot be watched.
void check_may_fill(CurrentRun& run);

struct Filled {
  bool wrote = false;
  std::vector<BadRow> set_aside;
};
/// `again`: looks at every row, also where an earlier run has been.
Filled fill_tables(CurrentRun& run, bool again);
/// Throws Error{work_remains} that names rows, if there are any.
void refuse_set_aside(const std::vector<BadRow>& rows);

/// Gives how many rows are still different after it.
std::int64_t compare_tables(CurrentRun& run);

}  // namespace ecmigrate
