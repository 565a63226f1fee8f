#include "ecmigrate/store/lock_room.hpp"

#include <fmt/format.h>

namespace ecmigrate {

LockRoom read_lock_room(pg::Connection& connection) {
  // As the server counts them when it starts (lock.c: NLOCKENTS, postinit.c: MaxBackends).
  const pg::Rows rows = connection.query(
      "select current_setting('max_locks_per_transaction')::bigint, 1 + (select sum(setting::bigint) from "
      "pg_catalog.pg_settings where name in ('max_connections', 'max_prepared_transactions', "
      "'max_worker_processes', 'max_wal_senders', 'autovacuum_max_workers')), (select count(*) from "
      "pg_catalog.pg_locks where mode <> 'SIReadLock' and not fastpath)");
  return {rows.integer(0, 0), rows.integer(0, 1), rows.integer(0, 2)};
}

LockedObjects read_locked_objects(pg::Connection& connection, const QualifiedName& table,
                                  const std::vector<std::string>& columns) {
  const pg::Rows rows = connection.query(
      fmt::format("with tree as (select relid from pg_catalog.pg_partition_tree($1::pg_catalog.regclass)) select "
                  "greatest(1, (select count(*) from tree)), (select count(*) from tree join pg_catalog.pg_index x on "
                  "x.indrelid = tree.relid where exists (select from pg_catalog.pg_attribute a where a.attrelid = "
                  "x.indrelid and a.attnum = any (x.indkey) and a.attname = any ({})))",
                  name_array(columns)),
      {table.sql()});
  return {rows.integer(0, 0), rows.integer(0, 1)};
}

}  // namespace ecmigrate
