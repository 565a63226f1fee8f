#include "ecmigrate/pace/oldest_snapshot.hpp"

#include <fmt/format.h>

namespace ecmigrate {

namespace {

// As the server's ComputeXidHorizons: sessions of this database, and those of no database (a replica's feedback); not
// VACUUM, which ignores itself, nor catalog_xmin, which keeps catalog rows only. A transaction's age may be more than
// its snapshot's under READ COMMITTED, which is the safe side.
constexpr const char* k_query = R"(
select extract(epoch from clock_timestamp()) * 1000, now.xid, h.who, extract(epoch from clock_timestamp() - h.since) * 1000, now.xid - h.xids
from (select pg_catalog.pg_snapshot_xmax(pg_catalog.pg_current_snapshot())::text::numeric as xid) now left join (
  select case when a.backend_type = 'walsender' then pg_catalog.format('a query on replica %s (pid %s)', a.application_name, a.pid)
      else pg_catalog.format('pid %s %s@%s, %s', a.pid, coalesce(a.usename, a.backend_type), a.application_name, coalesce(a.state, a.backend_type)) end as who,
    a.xact_start as since, greatest(age(a.backend_xid), age(a.backend_xmin)) as xids
    from pg_catalog.pg_stat_activity a
    where (a.datid is null or a.datid = (select d.oid from pg_catalog.pg_database d where d.datname = current_database()))
      and a.pid <> all ($1::integer[] || pg_catalog.pg_backend_pid()) and not exists (select from pg_catalog.pg_stat_progress_vacuum v where v.pid = a.pid)
  union all select pg_catalog.format('prepared transaction %s of %s', p.gid, p.owner), p.prepared, age(p.transaction)
    from pg_catalog.pg_prepared_xacts p where p.database = current_database()
  union all select pg_catalog.format('replication slot %s', s.slot_name), null, age(s.xmin) from pg_catalog.pg_replication_slots s) h on h.xids is not null
order by h.xids desc, h.since limit 1)";

}  // namespace

std::optional<SnapshotHolder> SnapshotWatch::look(pg::Connection& connection, const std::vector<int>& own_backends) {
  const pg::Rows rows = connection.query(k_query, {fmt::format("{{{}}}", fmt::join(own_backends, ","))});
  m_transactions.at(rows.number(0, 0), rows.number(0, 1));
  if (rows.is_null(0, 2)) {
    return std::nullopt;
  }
  // A session that began just now may have a number that is old for another database's sake; it is not to blame.
  return SnapshotHolder{rows.text(0, 2),
                        rows.is_null(0, 3) ? m_transactions.lag_ms(rows.number(0, 4)) : rows.number(0, 3)};
}

}  // namespace ecmigrate
