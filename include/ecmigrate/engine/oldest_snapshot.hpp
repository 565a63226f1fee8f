#pragma once

#include <optional>
#include <string>
#include <vector>

#include "ecmigrate/pg/connection.hpp"

namespace ecmigrate {

/// A snapshot that is older will not end soon: several windows' time of a backfill.
inline constexpr double k_old_snapshot_ms = 10'000;

/// Who keeps dead rows of the database's tables from being cleared away.
struct SnapshotHolder {
  std::string text;              ///< "pid 812 ann@psql, idle in transaction"
  std::optional<double> age_ms;  ///< since when its transaction runs; nothing where the server does not know
  double xmin = 0;               ///< the oldest transaction number that it needs, as pg_snapshot_xmax counts
};

/// The holder of the oldest snapshot or transaction number, our own sessions aside; nothing when there is none. To see
/// other users' sessions the role needs pg_read_all_stats.
std::optional<SnapshotHolder> oldest_snapshot(pg::Connection& connection, const std::vector<int>& own_backends);

}  // namespace ecmigrate
