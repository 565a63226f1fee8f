#include "load_reader.hpp"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "ecmigrate/model/fixed_settings.hpp"
#include "ecmigrate/pace/limits_check.hpp"
#include "ecmigrate/pace/windows.hpp"
#include "ecmigrate/pg/sqlstate.hpp"
#include "ecmigrate/store/journal.hpp"

namespace ecmigrate {

namespace {

// A walsender without a replay position (a base backup, pg_receivewal) is no replica, unless the role may not see its
// state either.
constexpr const char* k_replicas = R"(
select extract(epoch from clock_timestamp()) * 1000, pg_catalog.pg_wal_lsn_diff(pg_catalog.pg_current_wal_insert_lsn(), '0/0'),
  (select json_agg(json_build_array(coalesce(nullif(r.application_name, ''), 'pid ' || r.pid), coalesce(r.state = 'streaming', false),
     pg_catalog.pg_wal_lsn_diff(r.replay_lsn, '0/0'))) from pg_catalog.pg_stat_replication r
     where r.pid not in (select s.active_pid from pg_catalog.pg_replication_slots s where s.slot_type = 'logical' and s.active_pid is not null)
     and (r.state is null or r.replay_lsn is not null)))";

// Locks, and not pg_stat_activity, say who waits and whether a table that is due is vacuumed: everybody may see them.
constexpr const char* k_query = R"(
select (select count(distinct l.pid) from pg_catalog.pg_locks l where not l.granted and pg_catalog.pg_blocking_pids(l.pid) && $1::integer[]),
  (select coalesce(last_failed_time > coalesce(last_archived_time, '-infinity'), false) from pg_catalog.pg_stat_archiver),
  (select min(slot_name) from pg_catalog.pg_replication_slots
     where safe_wal_size < (select setting::bigint * 1024 * 1024 / 2 from pg_catalog.pg_settings where name = 'max_slot_wal_keep_size')),
  exists (select from pg_catalog.pg_stat_progress_vacuum v join pg_catalog.pg_stat_activity a on a.pid = v.pid
     where v.relid = $2::pg_catalog.regclass and a.query like '%to prevent wraparound%')
  or exists (select from pg_catalog.pg_locks l join pg_catalog.pg_class c on c.oid = l.relation
     where l.relation = $2::pg_catalog.regclass and l.database = (select d.oid from pg_catalog.pg_database d where d.datname = current_database())
     and l.mode = 'ShareUpdateExclusiveLock' and l.granted and age(c.relfrozenxid) > current_setting('autovacuum_freeze_max_age')::integer),
  pg_catalog.pg_has_role('pg_read_all_stats', 'usage'),
  (select count(*) from pg_catalog.pg_stat_activity where state = 'active' and backend_type = 'client backend'
     and pid <> all ($1::integer[] || pg_catalog.pg_backend_pid())))";

constexpr const char* k_archive_queue =
    R"(select count(*) from pg_catalog.pg_ls_archive_statusdir() where name like '%.ready')";

/// The first value of the user's query, which finds what it would find in psql.
bool says_stop(pg::Connection& connection, const std::string& query) {
  connection.script("begin read only; " + users_settings_for_now());
  bool stop = false;
  try {
    const pg::Rows rows = connection.query("select * " + from_question(query) + " limit 1");
    const std::string value = rows.size() == 0 ? std::string() : rows.text(0, 0);
    stop = value == "t" || (!value.empty() && rows.number(0, 0) > 0);
  } catch (...) {
    connection.script("rollback");
    throw;
  }
  connection.query("commit");
  return stop;
}

std::optional<int> archive_queue(pg::Connection& connection) {
  try {
    return static_cast<int>(connection.query(k_archive_queue).integer(0, 0));
  } catch (const pg::SqlError& error) {
    if (error.sqlstate() != pg::sqlstate::k_insufficient_privilege) {
      throw;
    }
    return std::nullopt;
  }
}

/// What was set from outside, and who did.
void read_steering(const Journal::Steering& steering, LoadReading& reading) {
  reading.paused_by_user = steering.paused;
  reading.paused_by = steering.paused_by;
  reading.throttle = steering.throttle;
  reading.throttled = steering.throttled;
}

}  // namespace

void read_replicas(pg::Connection& connection, LoadReading& reading) {
  const pg::Rows rows = connection.query(k_replicas);
  reading.now_ms = rows.number(0, 0);
  reading.wal_position = rows.number(0, 1);
  reading.replicas.clear();
  if (!rows.is_null(0, 2)) {
    for (const auto& replica : nlohmann::json::parse(rows.text(0, 2))) {
      reading.replicas.push_back(
          {replica[0], replica[1], replica[2].is_null() ? std::nullopt : std::optional(replica[2].get<double>())});
    }
  }
}

LoadReading read_load(Session& session, const std::string& migration, std::int64_t run, const QualifiedName& relation,
                      const std::vector<int>& backends, SnapshotWatch& snapshots, PaceLimits& limits) {
  pg::Connection& connection = session.watcher();
  Journal journal(connection);
  const pg::Rows rows = connection.query(k_query, {fmt::format("{{{}}}", fmt::join(backends, ",")), relation.sql()});
  LoadReading reading;
  reading.waiting_sessions = static_cast<int>(rows.integer(0, 0));
  reading.archiver_failing = rows.boolean(0, 1);
  reading.endangered_slot = rows.maybe(0, 2);
  reading.wraparound_vacuum = rows.boolean(0, 3);
  reading.sees_sessions = rows.boolean(0, 4);
  reading.active_sessions = static_cast<int>(rows.integer(0, 5));
  read_replicas(connection, reading);
  const Journal::Steering steering = journal.steering(migration);
  read_steering(steering, reading);
  limits = limits_in_force(session.options().pace, steering);
  // Only a limit makes the commit wait for the disk, and for a synchronous replica.
  reading.commit_ms =
      journal.heartbeat(run, limits.max_commit_latency.count() > 0 || limits.abort_commit_latency.count() > 0);
  if (limits.max_snapshot_age.count() > 0) {
    reading.oldest_snapshot = snapshots.look(connection, backends);
  }
  if (limits.max_archive_queue > 0) {
    reading.archive_queue = archive_queue(connection);
  }
  reading.next_window = next_window(connection, limits.windows);
  reading.pause_query_says_stop = !limits.pause_query.empty() && says_stop(connection, limits.pause_query);
  reading.abort_query_says_stop = !limits.abort_query.empty() && says_stop(connection, limits.abort_query);
  return reading;
}

}  // namespace ecmigrate
