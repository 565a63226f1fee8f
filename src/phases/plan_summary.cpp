#include "ecmigrate/phases/plan_summary.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "ecmigrate/base/text.hpp"
#include "ecmigrate/fill/backfill.hpp"

namespace ecmigrate {

namespace {

// Rows a second of one worker: the slowest and the fastest of the tables in docs/benchmarks.md, with room on both
// sides. What a row takes of WAL is its new version, and where it moves an entry in every index.
constexpr double k_slow_rows = 10'000;
constexpr double k_fast_rows = 120'000;
constexpr double k_row_wal = 80;
constexpr double k_index_entry_wal = 100;

PlannedTable facts_of(pg::Connection& connection, const QualifiedName& table) {
  const pg::Rows rows = connection.query(
      "with leaves as (select c.* from pg_catalog.pg_class c where c.relkind = 'r' and (c.oid = "
      "$1::pg_catalog.regclass "
      "or c.oid in (select relid from pg_catalog.pg_partition_tree($1::pg_catalog.regclass)))) "
      "select coalesce(sum(greatest(reltuples, 0)), 0), coalesce(bool_or(reltuples < 0), false), "
      "coalesce(sum(pg_catalog.pg_table_size(oid)), 0), coalesce(sum(pg_catalog.pg_indexes_size(oid)), 0), (select "
      "count(*) from pg_catalog.pg_index where indrelid = $1::pg_catalog.regclass), count(*) from leaves",
      {table.sql()});
  PlannedTable facts;
  facts.table = table;
  facts.rows = rows.integer(0, 0);
  facts.rows_known = !rows.boolean(0, 1);
  facts.bytes = rows.number(0, 2);
  facts.index_bytes = rows.number(0, 3);
  facts.indexes = static_cast<int>(rows.integer(0, 4));
  facts.partitions = static_cast<int>(rows.integer(0, 5));
  return facts;
}

std::optional<PlannedTable> facts_if_there(pg::Connection& connection, const QualifiedName& table) {
  if (connection.query("select pg_catalog.to_regclass($1) is null", {table.sql()}).boolean(0, 0)) {
    return std::nullopt;  // the plan makes it, or somebody dropped it
  }
  return facts_of(connection, table);
}

}  // namespace

int expected_workers(Session& session) {
  const int asked = session.options().pace.workers;
  return asked > 0 ? asked : default_workers(session.connection());
}

BackfillEstimate estimate_backfill(const std::vector<PlannedTable>& tables, int workers) {
  BackfillEstimate estimate;
  for (const PlannedTable& facts : tables) {
    if (!facts.walked) {
      continue;
    }
    const auto rows = static_cast<double>(facts.rows);
    const double width = rows > 0 ? facts.bytes / rows : 0;
    estimate.rows += facts.rows;
    estimate.rows_known = estimate.rows_known && facts.rows_known;
    estimate.wal_low += rows * (width + k_row_wal);
    // Every row moves, and every page is written whole once after a checkpoint.
    estimate.wal_high += rows * (width + k_row_wal + k_index_entry_wal * facts.indexes) + facts.bytes;
  }
  const auto rows = static_cast<double>(estimate.rows);
  estimate.ms_low = rows / k_fast_rows / workers * 1000;
  estimate.ms_high = rows / k_slow_rows / workers * 1000;
  return estimate;
}

std::string estimate_words(const BackfillEstimate& estimate) {
  if (estimate.rows == 0) {
    return "";
  }
  const auto time = [](double ms) { return format_milliseconds(std::max(1000.0, std::round(ms / 1000) * 1000)); };
  const std::string low = time(estimate.ms_low);
  const std::string high = time(estimate.ms_high);
  return fmt::format("about {} rows, {}, {} to {} of WAL", with_thousands(estimate.rows),
                     low == high ? "about " + low : low + " to " + high, format_bytes(estimate.wal_low),
                     format_bytes(estimate.wal_high));
}

std::vector<PlannedTable> facts_of_tables(Session& session, const Recipe& recipe) {
  std::vector<PlannedTable> tables;
  for (const QualifiedName& table : recipe.tables) {
    if (auto facts = facts_if_there(session.connection(), table)) {
      facts->walked = std::ranges::find(recipe.synced, table, &SyncedTable::table) != recipe.synced.end();
      tables.push_back(*facts);
    }
  }
  return tables;
}

std::vector<Blocker> sessions_in_the_way(Session& session, const Recipe& recipe) {
  std::vector<Blocker> list;
  for (const QualifiedName& table : recipe.tables) {
    const pg::Rows rows = session.connection().query(
        "select distinct a.pid, coalesce(a.usename, ''), coalesce(a.application_name, ''), coalesce(a.backend_type, "
        "''), coalesce(a.state, ''), extract(epoch from clock_timestamp() - a.xact_start) * 1000, "
        "coalesce(left(a.query, 100), '') "
        "from pg_catalog.pg_locks l join pg_catalog.pg_stat_activity a on a.pid = l.pid where l.database = (select oid "
        "from "
        "pg_catalog.pg_database where datname = pg_catalog.current_database()) and (l.relation = "
        "pg_catalog.to_regclass($1) or l.relation in (select relid from "
        "pg_catalog.pg_partition_tree(pg_catalog.to_regclass($1)))) and l.granted and a.pid <> "
        "pg_catalog.pg_backend_pid() and a.xact_start < "
        "clock_timestamp() - interval '1 s' order by 6 desc limit 5",
        {table.sql()});
    for (int row = 0; row < rows.size(); ++row) {
      Blocker blocker;
      blocker.pid = static_cast<int>(rows.integer(row, 0));
      blocker.user = rows.text(row, 1);
      blocker.application = rows.text(row, 2);
      blocker.backend_type = rows.text(row, 3);
      blocker.state = rows.text(row, 4);
      blocker.transaction_age_ms = rows.number(row, 5);
      blocker.query = rows.text(row, 6);
      list.push_back(std::move(blocker));
    }
  }
  return list;
}

}  // namespace ecmigrate
