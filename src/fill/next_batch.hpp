#pragma once

#include <cstdint>

#include "ecmigrate/base/quote.hpp"
#include "ecmigrate/fill/walk.hpp"
#include "ecmigrate/pg/connection.hpp"

namespace ecmigrate {

/// The window after its next batch, of the sizer's size and of no more than `most_pages`. Where that is less than a
/// page, the connection, with nothing under way, is asked for the window's last_line.
WindowRecord next_batch(pg::Connection& connection, const QualifiedName& relation, WindowRecord& window,
                        const BatchSizer& sizer, std::int64_t most_pages);

/// When the server gives the batch between the two up; 0 for a single row, which has to be done however long it takes.
std::chrono::milliseconds batch_timeout(const WindowRecord& before, const WindowRecord& after,
                                        std::chrono::milliseconds target);

/// How long a batch waits for a lock: shorter than the server takes to look for a deadlock, so that we are in none.
std::chrono::milliseconds batch_lock_timeout(std::chrono::milliseconds target,
                                             std::chrono::milliseconds deadlock_timeout);

}  // namespace ecmigrate
