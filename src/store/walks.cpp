#include "ecmigrate/store/walks.hpp"

#include <fmt/format.h>

namespace ecmigrate {

namespace {

constexpr const char* k_window_columns =
    "first_page, end_page, passes, shrink, pass, page, sweeping, skipped, done, rows, hot_rows, batches, wal_bytes";

Written written_of(const pg::Rows& rows, int row, int column) {
  return {rows.integer(row, column), rows.integer(row, column + 1), rows.integer(row, column + 2),
          rows.number(row, column + 3)};
}

WindowRecord window_of(const pg::Rows& rows, int row) {
  WindowRecord window;
  window.first = rows.integer(row, 0);
  window.end = rows.integer(row, 1);
  window.passes = static_cast<int>(rows.integer(row, 2));
  window.shrink = rows.number(row, 3);
  window.pass = static_cast<int>(rows.integer(row, 4));
  window.page = rows.integer(row, 5);
  window.sweeping = rows.boolean(row, 6);
  window.skipped = rows.boolean(row, 7);
  window.done = rows.boolean(row, 8);
  window.written = written_of(rows, row, 9);
  return window;
}

std::vector<WindowRecord> windows_of(const pg::Rows& rows) {
  std::vector<WindowRecord> windows;
  for (int row = 0; row < rows.size(); ++row) {
    windows.push_back(window_of(rows, row));
  }
  return windows;
}

/// Every leaf of a table, and whether a finished walk is on record for it.
std::string leaves_query(const std::string& migration, const QualifiedName& table) {
  return fmt::format(
      "select n.nspname, c.relname, exists (select from ecmigrate.walks w where w.migration = {0} and w.finished "
      "and coalesce(w.oid = c.oid::bigint, pg_catalog.to_regclass(w.relation) = c.oid)) as walked "
      "from (select {1}::pg_catalog.regclass::oid as oid union select p.relid from "
      "pg_catalog.pg_partition_tree({1}::pg_catalog.regclass) p) t "
      "join pg_catalog.pg_class c on c.oid = t.oid and c.relkind <> 'p' join pg_catalog.pg_namespace n on n.oid = "
      "c.relnamespace order by 1, 2",
      quote_literal(migration), quote_literal(table.sql()));
}

}  // namespace

Written& Written::operator+=(const Written& more) {
  rows += more.rows;
  hot_rows += more.hot_rows;
  batches += more.batches;
  wal_bytes += more.wal_bytes;
  return *this;
}

std::string WalkJournal::of_window(const QualifiedName& relation, const WalkRecord& walk) const {
  return fmt::format("migration = {} and relation = {} and round = {}", quote_literal(m_migration),
                     quote_literal(relation.sql()), walk.round);
}

std::optional<WalkRecord> WalkJournal::claim(const QualifiedName& relation) {
  const pg::Rows rows = m_connection.query(
      // A relation of the same name that is another one was never walked.
      "update ecmigrate.walks set run = $3 where migration = $1 and relation = $2 returning round, filenode, pages, "
      "next_page, finished and coalesce(oid = $2::pg_catalog.regclass::pg_catalog.oid::bigint, true), again",
      {m_migration, relation.sql(), std::to_string(m_run)});
  if (rows.size() == 0) {
    return std::nullopt;
  }
  WalkRecord walk;
  walk.round = static_cast<int>(rows.integer(0, 0));
  walk.filenode = rows.integer(0, 1);
  walk.pages = rows.integer(0, 2);
  walk.next = rows.integer(0, 3);
  walk.finished = rows.boolean(0, 4);
  walk.again = rows.boolean(0, 5);
  // Waits for the runner before, should it be in the middle of a checkpoint, and reads what that left. Windows in which
  // it skipped rows are ours from now on, too.
  walk.open = windows_of(m_connection.query(
      fmt::format("update ecmigrate.windows set run = {} where {} and (not done or skipped) returning {}", m_run,
                  of_window(relation, walk), k_window_columns)));
  std::erase_if(walk.open, [](const WindowRecord& window) { return window.done; });
  const pg::Rows sums = m_connection.query(
      "select coalesce(sum(rows), 0), coalesce(sum(hot_rows), 0), coalesce(sum(batches), 0), coalesce(sum(wal_bytes), "
      "0) "
      "from ecmigrate.windows where migration = $1 and relation = $2 and (done or round < $3)",
      {m_migration, relation.sql(), std::to_string(walk.round)});
  walk.written = written_of(sums, 0, 0);
  return walk;
}

void WalkJournal::begin(const QualifiedName& relation, const WalkRecord& walk) {
  // The places of bad rows may be other rows' now; those that still cannot be filled are met again.
  m_connection.script(fmt::format(
      "begin; delete from ecmigrate.bad_rows where migration = {0} and relation = {1}; "
      "insert into ecmigrate.walks (migration, relation, run, round, filenode, pages, again, oid) values ({0}, "
      "{1}, {2}, {3}, {4}, {5}, {6}, {1}::pg_catalog.regclass::pg_catalog.oid::bigint) "
      "on conflict (migration, relation) do update set run = excluded.run, round = excluded.round, "
      "filenode = excluded.filenode, "
      "pages = excluded.pages, again = excluded.again, oid = excluded.oid, next_page = 0, finished = false; "
      "commit",
      quote_literal(m_migration), quote_literal(relation.sql()), m_run, walk.round, walk.filenode, walk.pages,
      walk.again));
}

bool WalkJournal::open_window(const QualifiedName& relation, const WalkRecord& walk, const WindowRecord& window) {
  // Need not wait for the disk: a crash of the server that loses this loses every batch that came after it.
  const std::string sql = fmt::format(
      "begin; set local synchronous_commit = off; "
      "with walk as (update ecmigrate.walks set next_page = {} where {} and run = {} and next_page = {} returning 1) "
      "insert into ecmigrate.windows (migration, relation, round, run, filenode, first_page, end_page, passes, shrink, "
      "page) "
      "select {}, {}, {}, {}, {}, {}, {}, {}, {}, {} from walk returning 1; commit",
      window.end, of_window(relation, walk), m_run, window.first, quote_literal(m_migration),
      quote_literal(relation.sql()), walk.round, m_run, walk.filenode, window.first, window.end, window.passes,
      window.shrink, window.page);
  return m_connection.script(sql).front().size() == 1;
}

std::vector<WindowRecord> WalkJournal::reopen_skipped(const QualifiedName& relation, const WalkRecord& walk) {
  return windows_of(
      m_connection.query(fmt::format("update ecmigrate.windows set passes = 1, shrink = 1, pass = 0, page = "
                                     "first_page, sweeping = true, skipped = false, done = false "
                                     "where {} and run = {} and done and skipped returning {}",
                                     of_window(relation, walk), m_run, k_window_columns)));
}

bool WalkJournal::finish(const QualifiedName& relation, const WalkRecord& walk) {
  return m_connection
             .query(fmt::format(
                 "update ecmigrate.walks set finished = true where {} and run = {} "
                 "and filenode = pg_catalog.pg_relation_filenode({}::pg_catalog.regclass) "
                 "and not exists (select from ecmigrate.windows where {} and (not done or skipped)) returning 1",
                 of_window(relation, walk), m_run, quote_literal(relation.sql()), of_window(relation, walk)))
             .size() == 1;
}

std::string WalkJournal::before_sql(std::int64_t relation_oid) {
  return fmt::format(
      "pg_catalog.set_config('ecmigrate.rows_before', pg_catalog.pg_stat_get_xact_tuples_updated({0})::text, true), "
      "pg_catalog.set_config('ecmigrate.hot_rows_before', pg_catalog.pg_stat_get_xact_tuples_hot_updated({0})::text, "
      "true)",
      relation_oid);
}

std::string WalkJournal::checkpoint_sql(const QualifiedName& relation, std::int64_t relation_oid,
                                        const WalkRecord& walk, const WindowRecord& window) const {
  return fmt::format(
      "update ecmigrate.windows set pass = {}, page = {}, skipped = {}, done = {}, batches = {}, wal_bytes = {}, "
      "changed_at = clock_timestamp(), "
      "rows = rows + pg_catalog.pg_stat_get_xact_tuples_updated({oid}) - "
      "current_setting('ecmigrate.rows_before')::bigint, "
      "hot_rows = hot_rows + pg_catalog.pg_stat_get_xact_tuples_hot_updated({oid}) - "
      "current_setting('ecmigrate.hot_rows_before')::bigint "
      "where {} and first_page = {} and run = {} and not done and filenode = pg_catalog.pg_relation_filenode({oid}) "
      "returning rows, hot_rows",
      window.pass, window.page, window.skipped, window.done, window.written.batches, window.written.wal_bytes,
      of_window(relation, walk), window.first, m_run, fmt::arg("oid", relation_oid));
}

std::vector<BadRow> WalkJournal::bad_rows(const QualifiedName& relation) {
  const pg::Rows rows = m_connection.query(
      "select ctid_of_row, key, sqlstate, error from ecmigrate.bad_rows where migration = $1 and relation = $2 order "
      "by id",
      {m_migration, relation.sql()});
  std::vector<BadRow> found;
  for (int row = 0; row < rows.size(); ++row) {
    found.push_back({rows.text(row, 0), rows.text(row, 1), rows.text(row, 2), rows.text(row, 3)});
  }
  return found;
}

void WalkJournal::add_bad_row(const QualifiedName& relation, const BadRow& row) {
  m_connection.query(
      "insert into ecmigrate.bad_rows (migration, relation, ctid_of_row, key, sqlstate, error) values ($1, $2, $3, $4, "
      "$5, $6)",
      {m_migration, relation.sql(), row.ctid, row.key, row.sqlstate, row.error});
}

void WalkJournal::remove_bad_row(const QualifiedName& relation, const std::string& ctid) {
  m_connection.query("delete from ecmigrate.bad_rows where migration = $1 and relation = $2 and ctid_of_row = $3",
                     {m_migration, relation.sql(), ctid});
}

std::vector<std::pair<QualifiedName, bool>> leaves(pg::Connection& connection, const std::string& migration,
                                                   const QualifiedName& table) {
  const pg::Rows rows = connection.query(leaves_query(migration, table));
  std::vector<std::pair<QualifiedName, bool>> found;
  for (int row = 0; row < rows.size(); ++row) {
    found.emplace_back(QualifiedName{rows.text(row, 0), rows.text(row, 1)}, rows.boolean(row, 2));
  }
  return found;
}

std::string unwalked_sql(const std::string& migration, const QualifiedName& table) {
  return fmt::format("exists (select from ({}) l where not l.walked)", leaves_query(migration, table));
}

}  // namespace ecmigrate
