#include "load_reader.hpp"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "ecmigrate/base/text.hpp"
#include "ecmigrate/store/journal.hpp"

namespace ecmigrate {

namespace {

constexpr const char* k_query = R"(
select extract(epoch from clock_timestamp()) * 1000, pg_catalog.pg_wal_lsn_diff(pg_catalog.pg_current_wal_insert_lsn(), '0/0'),
  (select count(*) from pg_catalog.pg_stat_activity a where a.wait_event_type = 'Lock' and $1::integer[] && pg_catalog.pg_blocking_pids(a.pid) and a.pid <> all ($1::integer[])),
  (select json_agg(json_build_array(coalesce(nullif(r.application_name, ''), 'pid ' || r.pid), coalesce(r.state = 'streaming', false),
     pg_catalog.pg_wal_lsn_diff(r.replay_lsn, '0/0'))) from pg_catalog.pg_stat_replication r
     where r.pid not in (select s.active_pid from pg_catalog.pg_replication_slots s where s.slot_type = 'logical' and s.active_pid is not null)),
  (select coalesce(last_failed_time > coalesce(last_archived_time, '-infinity'), false) from pg_catalog.pg_stat_archiver),
  (select min(slot_name) from pg_catalog.pg_replication_slots
     where safe_wal_size < (select setting::bigint * 1024 * 1024 / 2 from pg_catalog.pg_settings where name = 'max_slot_wal_keep_size')),
  exists (select from pg_catalog.pg_stat_progress_vacuum v join pg_catalog.pg_stat_activity a on a.pid = v.pid
     where v.relid = $2::pg_catalog.regclass and a.query like '%to prevent wraparound%'))";

/// The first value of the user's query.
bool says_stop(pg::Connection& connection, const std::string& query) {
  connection.query("begin read only");
  bool stop = false;
  try {
    const pg::Rows rows = connection.query(query);
    const std::string value = rows.size() == 0 ? std::string() : rows.text(0, 0);
    stop = value == "t" || value == "true" || (!value.empty() && rows.number(0, 0) > 0);
  } catch (...) {
    connection.script("rollback");
    throw;
  }
  connection.query("commit");
  return stop;
}

}  // namespace

LoadReading read_load(Session& session, const std::string& migration, const QualifiedName& relation, const std::vector<int>& backends,
                      PaceLimits& limits) {
  pg::Connection& connection = session.watcher();
  const pg::Rows rows = connection.query(k_query, {"{" + fmt::format("{}", fmt::join(backends, ",")) + "}", relation.sql()});
  LoadReading reading;
  reading.now_ms = rows.number(0, 0);
  reading.wal_position = rows.number(0, 1);
  reading.waiting_sessions = static_cast<int>(rows.integer(0, 2));
  if (!rows.is_null(0, 3)) {
    for (const auto& replica : nlohmann::json::parse(rows.text(0, 3))) {
      reading.replicas.push_back({replica[0], replica[1], replica[2].is_null() ? std::nullopt : std::optional(replica[2].get<double>())});
    }
  }
  reading.archiver_failing = rows.boolean(0, 4);
  reading.endangered_slot = rows.maybe(0, 5);
  reading.wraparound_vacuum = rows.boolean(0, 6);
  const Journal::Steering steering = Journal(connection).steering(migration);
  reading.paused_by_user = steering.paused;
  reading.paused_by = steering.by;
  for (const auto& [name, value] : steering.limits) {
    set_limit(limits, name, value);  // checked when it was stored
  }
  reading.pause_query_says_stop = !limits.pause_query.empty() && says_stop(connection, limits.pause_query);
  return reading;
}

}  // namespace ecmigrate
