#include "backfill.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "ecmigrate/base/error.hpp"
#include "ecmigrate/base/text.hpp"
#include "relation_rows.hpp"

namespace ecmigrate {

namespace {

/// With more, the scans cost what fewer moved rows save (measured, docs/benchmarks.md).
constexpr int k_passes = 16;
/// 12.5 MB of 8 kB pages: inside any shared_buffers, and far enough between two visits of a page.
constexpr std::int64_t k_window_pages = 1600;
/// Below this a table is done before a second pass could use the room of the first.
constexpr std::int64_t k_small_table_pages = 64;
constexpr std::int64_t k_first_batch_pages = 32;
constexpr std::chrono::milliseconds k_report_every{250};
constexpr int k_most_reconnects = 20;
/// Enough for the percentiles; 32 kB.
constexpr std::size_t k_remembered_batches = 4096;

constexpr std::string_view k_now = "extract(epoch from clock_timestamp()) * 1000";
constexpr std::string_view k_wal = "pg_catalog.pg_wal_lsn_diff(pg_catalog.pg_current_wal_insert_lsn(), '0/0')";

bool row_is_at_fault(const pg::SqlError& error) {
  // Data exceptions, violated constraints, and what functions raise themselves.
  return error.is_class("22") || error.is_class("23") || error.is_class("P0") || error.is_class("38") || error.is_class("39");
}

}  // namespace

Backfill::Backfill(Session& session, Journal& journal, std::string migration, std::int64_t run, const SyncedTable& table, QualifiedName relation,
                   bool replace_replication_role)
    : m_session(session),
      m_journal(journal),
      m_migration(std::move(migration)),
      m_run(run),
      m_table(table),
      m_relation(std::move(relation)),
      m_replace_role(replace_replication_role),
      m_first_visits(static_cast<double>(session.options().pace.target_batch.count()), k_first_batch_pages, k_window_pages),
      m_later_visits(m_first_visits),
      m_pacer(session, m_migration, run, m_relation, [this](const std::string& why) {
        m_pace_because = why;
        report_progress(false);
      }) {}

bool Backfill::run() {
  m_begin = m_session.clock().now();
  begin_or_resume();
  m_rows_before = m_walk.rows;
  if (!m_walk.finished) {
    walk();
  }
  event::WalkFinished finished;
  finished.phase = "backfill";
  finished.relation = m_relation.display();
  finished.rows = m_walk.rows;
  finished.batches = m_walk.batches;
  finished.duration_ms = static_cast<double>((m_session.clock().now() - m_begin).count());
  finished.batch_p50_ms = percentile(m_batch_ms, 0.5);
  finished.batch_p99_ms = percentile(m_batch_ms, 0.99);
  finished.hot_percent = m_walk.rows == 0 ? 0 : 100.0 * static_cast<double>(m_walk.hot_rows) / static_cast<double>(m_walk.rows);
  finished.wal_bytes = m_walk.wal_bytes;
  finished.already_done = m_batch_ms.empty();
  m_session.report(finished);
  return m_walk.rows != m_rows_before;
}

std::int64_t Backfill::filenode_and_pages(std::int64_t& pages) {
  const pg::Rows rows = m_session.connection().query(
      "select pg_catalog.pg_relation_filenode($1::pg_catalog.regclass), "
      "pg_catalog.pg_relation_size($1::pg_catalog.regclass) / current_setting('block_size')::bigint, "
      "(select reltuples from pg_catalog.pg_class where oid = $1::pg_catalog.regclass)",
      {m_relation.sql()});
  pages = rows.integer(0, 1);
  m_rows_estimated = std::max(0.0, rows.number(0, 2));
  return rows.integer(0, 0);
}

void Backfill::begin_or_resume() {
  std::int64_t pages = 0;
  const std::int64_t filenode = filenode_and_pages(pages);
  const auto found = m_journal.claim_walk(m_migration, m_run, m_relation);
  if (found && (found->finished || found->filenode == filenode)) {
    m_walk = *found;
    set_order();
    return;
  }
  if (found) {
    m_session.report(event::Note{event::Note::Level::info,
                                 fmt::format("{} was rewritten (VACUUM FULL, CLUSTER or the like): walking it again", m_relation.display())});
  }
  m_walk = found.value_or(WalkRecord{});
  m_walk.window = m_walk.page = 0;
  m_walk.pass = 0;
  m_walk.sweeping = m_walk.skipped = false;
  m_walk.filenode = filenode;
  m_walk.pages = pages;
  m_journal.begin_walk(m_migration, m_run, m_relation, m_walk);
  set_order();
}

void Backfill::set_order() {
  m_order.pages = m_walk.pages;
  m_order.passes = m_walk.sweeping || m_walk.pages < k_small_table_pages ? 1 : k_passes;
  m_order.window_pages = k_window_pages;
}

void Backfill::walk() {
  m_wal_begin = m_walk.wal_bytes;
  while (!m_walk.finished) {
    m_pacer.wait_for_turn();
    sizer().set_target(static_cast<double>(m_pacer.limits().target_batch.count()));
    if (at_end(m_order, {m_walk.window, m_walk.pass, m_walk.page})) {
      finish();
    } else {
      batch();
    }
    report_progress(false);
  }
  report_progress(true);
}

/// Rows that were locked in the first round are looked for in a second one, over the whole relation.
void Backfill::finish() {
  WalkRecord next = m_walk;
  if (m_walk.skipped) {
    next.window = next.page = 0;
    next.pass = 0;
    next.sweeping = true;
    next.skipped = false;
  } else {
    next.finished = true;
  }
  try {
    const auto results = m_session.connection().script("begin; " + Journal::walk_before_sql(m_relation) + "; " +
                                                       Journal::walk_sql(m_migration, m_run, m_relation, next) + "; commit");
    if (results.back().size() == 0) {
      find_out_who_moved();
      return;
    }
  } catch (const pg::SqlError& error) {
    if (!error.connection_lost()) {
      throw;
    }
    connect_again(error);
    return;
  }
  m_walk = next;
  set_order();
}

void Backfill::batch() {
  const PagePosition position{m_walk.window, m_walk.pass, m_walk.page};
  const std::int64_t to = batch_end(m_order, position, sizer().pages());
  try {
    send(to, m_locked);
    m_tries = 0;
    m_waiting_since.reset();
    if (m_locked == Locked::fail) {
      m_slow_because.clear();
    }
    m_locked = Locked::fail;
  } catch (const pg::SqlError& error) {
    recover(error, to);
  }
}

void Backfill::recover(const pg::SqlError& error, std::int64_t to) {
  if (error.connection_lost()) {
    connect_again(error);
  } else if (error.sqlstate() == "55P03") {
    if (m_walk.sweeping) {
      sweep_again(error);
    } else {
      m_slow_because = "rows locked by the application are left for a second round";
      m_locked = Locked::skip;
    }
  } else if (error.sqlstate() == "40P01" || error.sqlstate() == "40001") {
    m_slow_because = error.what();
    if (++m_tries > k_most_reconnects) {
      throw error;
    }
  } else if (row_is_at_fault(error)) {
    name_bad_row(m_walk.page, to, error);
  } else {
    throw error;
  }
}

void Backfill::connect_again(const pg::SqlError& error) {
  if (++m_tries > k_most_reconnects) {
    throw error;
  }
  m_session.warn("the connection was lost; connecting again and going on from the last checkpoint");
  m_session.reconnect();
  begin_or_resume();
}

void Backfill::find_out_who_moved() {
  std::int64_t pages = 0;
  if (filenode_and_pages(pages) == m_walk.filenode) {
    throw Error(Outcome::busy, fmt::format("another runner has taken over the walk over {}", m_relation.display()));
  }
  begin_or_resume();
}

/// In the second round a locked row is waited for, a short time each try, so that the runner never stands in a queue.
void Backfill::sweep_again(const pg::SqlError& error) {
  if (!m_waiting_since) {
    m_waiting_since = m_session.clock().now();
  }
  m_slow_because = "waiting for a row that a transaction of the application holds";
  if (m_session.clock().now() - *m_waiting_since > m_session.options().lock_budget) {
    throw Error(Outcome::lock_not_obtained, fmt::format("a row of {} in pages {} and after stays locked: {}", m_relation.display(), m_walk.page, error.what()),
                "Look for old transactions in pg_stat_activity and run the same command again; finished rows are kept.");
  }
  m_session.clock().sleep(m_pacer.limits().target_batch, m_session.stop());
}

std::string Backfill::statement(std::int64_t from, std::int64_t to, Locked locked) const {
  std::vector<std::string> pending;
  for (const SyncedMapping& mapping : m_table.mappings) {
    pending.push_back("(" + mapping.pending + ")");
  }
  std::string where = fmt::format("{} and ({})", page_range(from, to), join(pending, " or "));
  // Rows of earlier passes are no longer pending, so the upper bound is enough, and the last pass needs none.
  if (m_walk.pass + 1 < m_order.passes) {
    where += fmt::format(" and ({}) < {}", m_table.spread, spread_end(m_order, m_walk.pass));
  }
  if (locked == Locked::skip) {
    where = fmt::format("this.ctid = any (array(select this.ctid from {} as this where {} for no key update skip locked))", m_relation.sql(), where);
  }
  return fmt::format("update {} as this set {} where {}", m_relation.sql(), fill_pending(m_table), where);
}

std::int64_t Backfill::row_lock_timeout() const {
  return std::max<std::int64_t>(1, std::min(m_pacer.limits().target_batch, m_session.deadlock_timeout() / 2).count());
}

WalkRecord Backfill::after(std::int64_t to) const {
  WalkRecord next = m_walk;
  const PagePosition position = after_batch(m_order, {m_walk.window, m_walk.pass, m_walk.page}, to);
  next.window = position.window;
  next.pass = position.pass;
  next.page = position.page;
  ++next.batches;
  return next;
}

std::string Backfill::message(std::int64_t to, const WalkRecord& next, Locked locked) const {
  std::string sql = "begin; set local ecmigrate.fill = 'on'; ";
  if (m_replace_role) {
    sql += "set local session_replication_role = replica; ";
  }
  // Data and checkpoint are in one transaction, so if a crash of the server loses it, both are lost: no need to wait
  // for the disk.
  sql += "set local synchronous_commit = off; ";
  sql += fmt::format("set local lock_timeout = {}; ", row_lock_timeout());
  sql += fmt::format("select {}, {}; {}; ", k_now, k_wal, Journal::walk_before_sql(m_relation));
  sql += statement(m_walk.page, to, locked) + "; ";
  sql += Journal::walk_sql(m_migration, m_run, m_relation, next) + "; ";
  return sql + fmt::format("commit; select {}, {}", k_now, k_wal);
}

void Backfill::send(std::int64_t to, Locked locked) {
  BatchSizer& sizer_of_pass = sizer();
  WalkRecord next = after(to);
  next.skipped = next.skipped || locked == Locked::skip;
  const std::vector<pg::Rows> results = m_session.connection().script(message(to, next, locked));
  // Times and WAL before; counters before; UPDATE; checkpoint; times and WAL after.
  const pg::Rows& before = results.at(0);
  const pg::Rows& checkpoint = results.at(3);
  const pg::Rows& after_commit = results.at(4);
  if (checkpoint.size() == 0) {
    find_out_who_moved();
    return;
  }
  next.rows = checkpoint.integer(0, 0);
  next.hot_rows = checkpoint.integer(0, 1);
  next.wal_bytes = m_walk.wal_bytes + after_commit.number(0, 1) - before.number(0, 1);
  m_batch_rows = results.at(2).affected();
  m_pacer.batch_done(static_cast<double>(m_batch_rows), next.wal_bytes - m_walk.wal_bytes);
  m_walk = next;
  const double took_ms = after_commit.number(0, 0) - before.number(0, 0);
  if (m_batch_ms.size() == k_remembered_batches) {
    m_batch_ms.erase(m_batch_ms.begin(), m_batch_ms.begin() + k_remembered_batches / 2);
  }
  m_batch_ms.push_back(took_ms);
  sizer_of_pass.batch_took(took_ms);
}

bool Backfill::raises(const std::string& condition) {
  std::string sql = fmt::format("begin; set local ecmigrate.fill = 'on'; set local lock_timeout = {}; ", row_lock_timeout());
  if (m_replace_role) {
    sql += "set local session_replication_role = replica; ";
  }
  sql += fmt::format("update {} as this set {} where {}; rollback", m_relation.sql(), fill_pending(m_table), condition);
  try {
    m_session.connection().script(sql);
    return false;
  } catch (const pg::SqlError& error) {
    if (error.sqlstate() == "55P03") {
      return false;  // somebody holds it: it will be met again
    }
    if (!row_is_at_fault(error)) {
      throw;
    }
    return true;
  }
}

void Backfill::name_bad_row(std::int64_t from, std::int64_t to, const pg::SqlError& error) {
  std::vector<std::string> pending;
  for (const SyncedMapping& mapping : m_table.mappings) {
    pending.push_back("(" + mapping.pending + ")");
  }
  const std::string work = join(pending, " or ");
  while (to - from > 1) {
    const std::int64_t middle = from + (to - from) / 2;
    (raises(fmt::format("{} and ({})", page_range(from, middle), work)) ? to : from) = middle;
  }
  const pg::Rows rows = m_session.connection().query(
      fmt::format("select this.ctid::text, {} from {} as this where {} and ({})", row_key(m_table.key), m_relation.sql(), page_range(from, to), work));
  for (int row = 0; row < rows.size(); ++row) {
    if (raises(fmt::format("this.ctid = {}", quote_literal(rows.text(row, 0))))) {
      throw Error(Outcome::failed, fmt::format("{} row {}: {}", m_relation.display(), rows.text(row, 1), error.what()),
                  "Mend the row or `up`, and run the same command again; finished rows are kept.");
    }
  }
  throw error;
}

void Backfill::report_progress(bool last) {
  const auto now = m_session.clock().now();
  const double part = walked(m_order, {m_walk.window, m_walk.pass, m_walk.page});
  m_eta.at(static_cast<double>(now.count()), part);
  if (!last && now - m_reported < k_report_every) {
    return;
  }
  m_reported = now;
  const double seconds = std::max(0.001, static_cast<double>((now - m_begin).count()) / 1000);
  event::Progress progress;
  progress.phase = "backfill";
  progress.relation = m_relation.display();
  // The second round starts from the first page again; the percent that was shown does not.
  m_percent = last ? 100 : std::max(m_percent, std::min(99.9, 100 * part));
  progress.percent = m_percent;
  progress.rows = m_walk.rows;
  progress.rows_estimated = std::max(m_walk.rows, static_cast<std::int64_t>(m_rows_estimated));
  progress.rows_per_second = static_cast<double>(m_walk.rows - m_rows_before) / seconds;
  if (const auto eta = last ? std::nullopt : m_eta.estimate()) {
    progress.eta_ms = eta->likely_ms;
    progress.eta_low_ms = eta->low_ms;
    progress.eta_high_ms = eta->high_ms;
  }
  progress.batch_rows = m_batch_rows;
  progress.batch_ms = m_batch_ms.empty() ? 0 : m_batch_ms.back();
  progress.hot_percent = m_walk.rows == 0 ? 0 : 100.0 * static_cast<double>(m_walk.hot_rows) / static_cast<double>(m_walk.rows);
  progress.wal_bytes_per_second = (m_walk.wal_bytes - m_wal_begin) / seconds;
  progress.slow_because = m_pace_because.empty() ? m_slow_because : m_pace_because;
  m_session.report(progress);
}

}  // namespace ecmigrate
