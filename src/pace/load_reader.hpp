#pragma once

#include <cstdint>
#include <string>

#include "ecmigrate/base/quote.hpp"
#include "ecmigrate/pace/pace.hpp"
#include "ecmigrate/session/session.hpp"

namespace ecmigrate {

/// Asks the server, on the session's second connection, for everything that LoadJudge needs. Throws what the question
/// threw: the caller takes an unreadable signal for a reason to stop. Also gives the limits that hold now, and writes
/// that the run is alive. `backends`: all server processes of ours.
LoadReading read_load(Session& session, const std::string& migration, std::int64_t run, const QualifiedName& relation,
                      const std::vector<int>& backends, SnapshotWatch& snapshots, PaceLimits& limits);
/// A query of the user's as the end of a SELECT, its first column as `value`. As a subquery it can be a SELECT and
/// nothing else; its line break ends a comment.
std::string from_question(std::string query);
/// Reads anew what changes with every batch: the replicas, and the WAL position they follow.
void read_replicas(pg::Connection& connection, LoadReading& reading);

}  // namespace ecmigrate
