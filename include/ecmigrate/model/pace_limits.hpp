#pragma once

#include <array>
#include <chrono>
#include <string>
#include <string_view>
#include <vector>

#include "ecmigrate/model/field.hpp"
#include "ecmigrate/model/windows.hpp"

namespace ecmigrate {

/// How hard the backfill may push: the plan's `backfill:` section, flags of the command, and what `ecmigrate set`
/// changes while it runs. 0 means no limit. Above an abort_ limit the backfill does not pause, it ends.
struct PaceLimits {
  int workers = 0;  ///< connections that fill at the same time; 0: see default_workers()
  std::chrono::milliseconds target_batch{50};
  double max_wal_rate = 0;   ///< bytes of WAL a second
  double max_rows_rate = 0;  ///< rows a second
  std::chrono::milliseconds max_replica_lag{2'000};
  int replicas = 0;                                 ///< replicas that have to be connected
  int max_waiting_sessions = 5;                     ///< sessions that wait for a lock of the backfill
  bool quarantine = false;                          ///< set rows aside that cannot be filled, and go on
  int max_active_sessions = 0;                      ///< sessions at work, other than ours
  std::chrono::milliseconds max_commit_latency{0};  ///< of a small transaction that waits for the disk
  std::chrono::milliseconds max_snapshot_age{0};    ///< of whoever keeps dead rows from being cleared away
  int max_archive_queue = 0;                        ///< WAL files that wait to be archived
  std::vector<Window> windows;                      ///< when it may run; none: always
  std::string pause_query;                          ///< the user's: pauses while its first value is true, or not 0
  std::chrono::milliseconds max_pause{3'600'000};   ///< of signals; pauses by hand and by windows are as long as meant
  std::chrono::milliseconds abort_replica_lag{0};
  int abort_active_sessions = 0;
  std::chrono::milliseconds abort_commit_latency{0};
  std::string abort_query;
};

/// The names of the limits, in the plan, in `ecmigrate set` and (with dashes) as flags; and what they are.
struct PaceLimitName {
  std::string_view name;
  std::string_view doc;
  FieldType type = FieldType::text;
};
inline constexpr std::array<PaceLimitName, 19> k_pace_limits{{
    {"workers",
     "Connections that fill at the same time; default half the server's cores, 1 to 4, where it is on this machine, "
     "else 1."},
    {"target_batch", "How long one batch may take, for example 50ms; batches grow and shrink towards it."},
    {"max_wal_rate", "WAL written, at most, for example 64MB/s; 0/s is no limit."},
    {"max_rows_rate", "Rows written, at most, for example 20000/s; 0/s is no limit."},
    {"max_replica_lag", "Pause while a replica is further behind, for example 2s; 0s does not look."},
    {"replicas", "Pause while fewer replicas than this are connected."},
    {"max_waiting_sessions", "Pause while more sessions than this wait for locks of the backfill; 0 does not look."},
    {"bad_rows",
     "What to do with a row that cannot be filled: stop, or quarantine it and go on; contract is refused while any is "
     "left."},
    {"max_active_sessions",
     "Pause while more sessions than this are at work, ours aside; 0, the default, does not look."},
    {"max_commit_latency",
     "Pause while a small commit takes longer, for example 100ms; 0s, the default, does not look."},
    {"max_snapshot_age",
     "Pause while somebody's snapshot is older and keeps dead rows, for example 10m; 0s, the default, does not look."},
    {"max_archive_queue", "Pause while more WAL files than this wait to be archived; 0, the default, does not look."},
    {"windows",
     "When the backfill may run, for example 22:00-06:00 Europe/Berlin, or Sat,Sun 00:00-24:00; always by default.",
     FieldType::text_list},
    {"pause_query", "SQL of yours, asked twice a second; pauses while its first value is true or above 0."},
    {"max_pause",
     "Paused by signals for longer, it ends at a checkpoint with exit status 8; default 1h, 0s never. By hand and by "
     "windows it is paused for as long as that lasts."},
    {"abort_replica_lag",
     "End the backfill at a checkpoint, with exit status 8, when a replica is further behind; 0s, the default, never."},
    {"abort_active_sessions", "End it when more sessions than this are at work; 0, the default, never."},
    {"abort_commit_latency", "End it when a small commit takes longer; 0s, the default, never."},
    {"abort_query", "SQL of yours, asked twice a second; ends it when its first value is true or above 0."},
}};

/// Its value is SQL.
bool is_query(std::string_view name);
/// Sets a limit from text. Gives what is wrong with the value, lowercase, or nothing.
std::string set_limit(PaceLimits& limits, std::string_view name, const std::string& value);

}  // namespace ecmigrate
