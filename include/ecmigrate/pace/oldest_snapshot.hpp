#pragma once

#include <optional>
#include <string>
#include <vector>

#include "ecmigrate/pace/position_lag.hpp"
#include "ecmigrate/pg/connection.hpp"

namespace ecmigrate {

/// A snapshot that is older will not end soon: several windows' time of a backfill.
inline constexpr double k_old_snapshot_ms = 10'000;

/// Who keeps dead rows of the database's tables from being cleared away.
struct SnapshotHolder {
  std::string text;  ///< "pid 812 ann@psql, idle in transaction"
  double age_ms = 0;
};

/// Tells who holds the oldest snapshot, and for how long. Of a holder without a beginning (a replication slot, a
/// replica's feedback) the age counts from the first look after which others have begun: look now and then.
class SnapshotWatch {
 public:
  /// Our own sessions aside; nothing when there is no holder. To see other users' sessions the role needs
  /// pg_read_all_stats.
  std::optional<SnapshotHolder> look(pg::Connection& connection, const std::vector<int>& own_backends);

 private:
  PositionLag m_transactions;
};

}  // namespace ecmigrate
