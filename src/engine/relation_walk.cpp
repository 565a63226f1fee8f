#include "relation_walk.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "ecmigrate/base/error.hpp"
#include "ecmigrate/base/text.hpp"
#include "ecmigrate/engine/bottom_up_deletion.hpp"
#include "relation_rows.hpp"

namespace ecmigrate {

namespace {

/// 12.5 MB of 8 kB pages: inside any shared_buffers, and far enough between two visits of a page.
constexpr std::int64_t k_window_pages = 1600;
/// Below this a table is done before a second pass could use the room of the first.
constexpr std::int64_t k_small_table_pages = 64;
constexpr std::int64_t k_first_batch_pages = 32;
constexpr std::int64_t k_sample_pages = 16;
/// A new row's share of more bytes until the first window has shown it.
constexpr double k_usual_growth = 0.13;
/// Less than this share of the rows in place, and further passes are only scans.
constexpr double k_least_hot = 0.3;
constexpr std::int64_t k_telling_rows = 1000;
/// Enough for the percentiles; 32 kB.
constexpr std::size_t k_remembered_batches = 4096;

constexpr std::string_view k_now = "extract(epoch from clock_timestamp()) * 1000";
constexpr std::string_view k_wal = "pg_catalog.pg_wal_lsn_diff(pg_catalog.pg_current_wal_insert_lsn(), '0/0')";

double share(double part, double whole) {
  return whole == 0 ? 0 : part / whole;
}

double hot_share(const Written& written) {
  return share(static_cast<double>(written.hot_rows), static_cast<double>(written.rows));
}

}  // namespace

RelationWalk::RelationWalk(Session& session, WalkJournal journal, const SyncedTable& table, QualifiedName relation, SnapshotWatch& snapshots)
    : m_session(session), m_journal(std::move(journal)), m_table(table), m_relation(std::move(relation)), m_snapshots(snapshots) {}

std::int64_t RelationWalk::filenode_and_pages(std::int64_t& pages) {
  const pg::Rows rows = m_session.connection().query(
      "select pg_catalog.pg_relation_filenode(c.oid), pg_catalog.pg_relation_size(c.oid) / current_setting('block_size')::bigint, c.reltuples, c.oid::bigint, "
      "current_setting('block_size'), pg_catalog.pg_relation_size(nullif(c.reltoastrelid, 0)) > 0, "
      "(select count(*) from pg_catalog.pg_index i where i.indrelid = c.oid) from pg_catalog.pg_class c where c.oid = $1::pg_catalog.regclass",
      {m_relation.sql()});
  pages = rows.integer(0, 1);
  m_rows_estimated = std::max(0.0, rows.number(0, 2));
  m_oid = rows.integer(0, 3);
  m_page_bytes = rows.number(0, 4);
  m_toasted = !rows.is_null(0, 5) && rows.boolean(0, 5);
  m_indexes = static_cast<int>(rows.integer(0, 6));
  return rows.integer(0, 0);
}

void RelationWalk::begin_or_resume(bool again) {
  std::int64_t pages = 0;
  const std::int64_t filenode = filenode_and_pages(pages);
  auto found = m_journal.claim(m_relation);
  m_taken.clear();
  m_bad_rows = m_journal.bad_rows(m_relation);
  const bool rewritten = found && found->filenode != filenode;
  if (!found || (rewritten && (!found->finished || !m_bad_rows.empty())) || (again && found->finished)) {
    if (rewritten) {
      m_session.report(event::Note{event::Note::Level::info,
                                   fmt::format("{} was rewritten (VACUUM FULL, CLUSTER or the like): walking it again", m_relation.display())});
    }
    WalkRecord walk = found.value_or(WalkRecord{});
    for (const WindowRecord& window : walk.open) {  // of a round that is over
      walk.written += window.written;
    }
    walk.open.clear();
    walk.round += found ? 1 : 0;
    walk.next = 0;
    walk.finished = false;
    walk.filenode = filenode;
    walk.pages = pages;
    walk.again = again;
    m_bad_rows.clear();
    m_journal.begin(m_relation, walk);
    found = walk;
  }
  m_walk = *found;
  m_written = m_walk.written;
  for (const WindowRecord& window : m_walk.open) {
    m_written += window.written;
  }
  m_obstacle = indexed_new_column();
  m_set_to_themselves.clear();
  for (const std::string& column : columns_set_to_themselves(m_session.connection(), m_oid, filled_columns(m_table))) {
    m_set_to_themselves += fmt::format(", {0} = this.{0}", quote_identifier(column));
  }
  if (m_begin.count() == 0) {
    m_begin = m_session.clock().now();
    m_before = m_written;
  }
}

/// An index on a column that is being filled gets an entry for every row, so none can be rewritten in place.
std::string RelationWalk::indexed_new_column() {
  std::vector<std::string> names;
  for (const std::string& column : filled_columns(m_table)) {
    names.push_back(quote_literal(column));
  }
  if (names.empty()) {
    return {};
  }
  const pg::Rows rows = m_session.connection().query(fmt::format(
      "select a.attname, i.relname from pg_catalog.pg_depend d join pg_catalog.pg_class i on i.oid = d.objid and i.relkind = 'i' "
      "join pg_catalog.pg_attribute a on a.attrelid = d.refobjid and a.attnum = d.refobjsubid "
      "where d.classid = 'pg_catalog.pg_class'::regclass and d.refobjid = {} and a.attname in ({}) order by 1, 2 limit 1",
      m_oid, join(names, ", ")));
  return rows.size() == 0 ? std::string() : fmt::format("{} has an index ({}), so no row can be rewritten in place", rows.text(0, 0), rows.text(0, 1));
}

/// Somebody who needs every version of the rows since long, so that no room is made.
std::string RelationWalk::old_snapshot(const std::vector<int>& backends) {
  const auto holder = m_snapshots.look(m_session.connection(), backends);
  if (!holder || holder->age_ms < k_old_snapshot_ms) {
    return {};
  }
  return fmt::format("{} keeps all replaced rows for {} now, so they make no room", holder->text, format_milliseconds(holder->age_ms));
}

PageSample RelationWalk::sample(std::int64_t first, std::int64_t end) {
  PageSample sample;
  sample.pages = std::min(k_sample_pages, end - first);
  sample.page_bytes = m_page_bytes;
  sample.indexes = m_indexes;
  // From the middle: the first pages of a window may hold rows that the window before moved there.
  const std::int64_t from = first + (end - first - sample.pages) / 2;
  // Whole rows would be fetched from their TOAST table; their length is not what is on the page then.
  const std::string bytes = m_toasted ? "0" : "pg_catalog.sum((pg_catalog.pg_column_size(this.*) + 7) & ~7)";
  const pg::Rows rows = m_session.connection().query(
      fmt::format("select count(*), {} from only {} as this where {}", bytes, m_relation.sql(), page_range(from, from + sample.pages)));
  sample.rows = rows.integer(0, 0);
  sample.row_bytes = rows.number(0, 1);
  return sample;
}

Passes RelationWalk::choose(std::int64_t first, std::int64_t end, const std::vector<int>& backends) {
  Passes passes;
  if (m_walk.again) {
    passes.because = "every page is looked at once more";
  } else if (m_walk.pages < k_small_table_pages) {
    passes.because = "the table is small";
  } else {
    PageSample seen = sample(first, end);
    if (m_toasted) {
      seen.row_bytes = static_cast<double>(seen.pages) * m_page_bytes;  // full, as far as is known
    } else {
      m_row_bytes = share(seen.row_bytes, static_cast<double>(seen.rows));
    }
    passes = choose_passes(seen, m_growth.value_or(k_usual_growth), m_obstacle.empty() ? old_snapshot(backends) : m_obstacle);
  }
  // The figures of a reason change from window to window; another reason is the news.
  std::string reason = passes.because;
  std::erase_if(reason, [](char c) { return c >= '0' && c <= '9'; });
  if (reason != m_told_reason) {
    m_told_reason = reason;
    m_session.report(event::Note{event::Note::Level::info, fmt::format("  backfill {}   {} {}: {}", m_relation.display(), passes.count,
                                                                       passes.count == 1 ? "pass" : "passes", passes.because)});
  }
  return passes;
}

std::optional<WindowRecord> RelationWalk::take(int workers, const std::vector<int>& backends) {
  if (!m_walk.open.empty()) {
    const WindowRecord window = m_walk.open.front();
    m_walk.open.erase(m_walk.open.begin());
    m_taken.push_back(window);
    return window;
  }
  if (m_walk.finished || m_walk.next >= m_walk.pages) {
    return std::nullopt;
  }
  WindowRecord window;
  window.first = window.page = m_walk.next;
  window.end = window_end(window.first, m_walk.pages, workers, k_window_pages);
  const Passes passes = choose(window.first, window.end, backends);
  window.passes = passes.count;
  window.shrink = passes.shrink;
  if (!m_journal.open_window(m_relation, m_walk, window)) {
    throw Error(Outcome::busy, fmt::format("another runner has taken over the walk over {}", m_relation.display()));
  }
  m_walk.next = window.end;
  window.written.wal_bytes = std::exchange(m_wal_carry, 0);
  m_taken.push_back(window);
  return window;
}

void RelationWalk::give_back(const WindowRecord& window) {
  std::erase_if(m_taken, [&](const WindowRecord& taken) { return taken.first == window.first; });
  if (window.done) {
    learn_from(window);
  } else {
    m_walk.open.push_back(window);
  }
}

/// Whether rows stay on their pages, and by how much a row grows.
void RelationWalk::learn_from(const WindowRecord& window) {
  if (window.sweeping || m_walk.again || window.written.rows < k_telling_rows) {
    return;
  }
  if (!m_growth && m_row_bytes > 0) {
    const PageSample after = sample(window.first, window.end);
    m_growth = std::max(0.0, share(after.row_bytes, static_cast<double>(after.rows)) / m_row_bytes - 1);
  }
  const double hot = hot_share(window.written);
  if (window.passes > 1 && hot < k_least_hot) {
    m_obstacle = fmt::format("only {:.0f}% of the rows stayed on their pages", 100 * hot);
  }
}

bool RelationWalk::finish_if_done() {
  if (m_walk.finished || !m_taken.empty() || !m_walk.open.empty() || m_walk.next < m_walk.pages) {
    return false;
  }
  m_walk.open = m_journal.reopen_skipped(m_relation, m_walk);
  if (!m_walk.open.empty()) {
    return false;
  }
  if (!m_journal.finish(m_relation, m_walk)) {
    find_out_who_moved();
    return false;
  }
  m_walk.finished = true;
  return true;
}

void RelationWalk::find_out_who_moved() {
  std::int64_t pages = 0;
  if (filenode_and_pages(pages) == m_walk.filenode) {
    throw Error(Outcome::busy, fmt::format("another runner has taken over the walk over {}", m_relation.display()));
  }
  begin_or_resume(false);
}

std::string RelationWalk::pending() const {
  std::vector<std::string> pending;
  for (const SyncedMapping& mapping : m_table.mappings) {
    pending.push_back("(" + mapping.pending + ")");
  }
  return join(pending, " or ");
}

std::string RelationWalk::work() const {
  std::vector<std::string> bad;
  for (const BadRow& row : m_bad_rows) {
    bad.push_back(quote_literal(row.ctid) + "::tid");
  }
  // Of rows that are set aside, the expressions must not be looked at.
  return bad.empty() ? fmt::format("({})", pending())
                     : fmt::format("case when this.ctid = any (array[{}]) then false else ({}) end", join(bad, ", "), pending());
}

std::string RelationWalk::unlocked(const std::string& where) const {
  return fmt::format("this.ctid = any (array(select this.ctid from only {} as this where {} for no key update skip locked))", m_relation.sql(), where);
}

std::string RelationWalk::update(const std::string& where) const {
  return fmt::format("update only {} as this set {}{} where {}", m_relation.sql(), fill_pending(m_table), m_set_to_themselves, where);
}

std::string RelationWalk::message(const WindowRecord& before, const WindowRecord& after, Locked locked) const {
  const std::int64_t to = after.pass == before.pass ? after.page : before.end;
  std::string where = page_range(before.page, to);
  // The pass's rows first: of the others, no more than the key is looked at. The last pass takes whatever is left.
  if (before.pass + 1 < before.passes) {
    const std::int64_t begin = before.pass == 0 ? 0 : spread_end(before, before.pass - 1);
    where += fmt::format(" and (({} - {}) & 4294967295) < {}", m_table.spread, begin, spread_end(before, before.pass) - begin);
  }
  where += " and " + work();
  if (locked == Locked::skip) {
    where = unlocked(where);
  }
  return fmt::format("begin; select {}, {}, {}; {}; {}; commit; select {}, {}", k_now, k_wal, WalkJournal::before_sql(m_oid), update(where),
                     m_journal.checkpoint_sql(m_relation, m_oid, m_walk, after), k_now, k_wal);
}

RelationWalk::BatchResult RelationWalk::read(const std::vector<pg::Rows>& results) {
  BatchResult result;
  result.begin_ms = results.at(0).number(0, 0);
  result.wal_before = results.at(0).number(0, 1);
  result.rows = results.at(1).affected();
  if (results.at(2).size() == 1) {
    result.sums = {results.at(2).integer(0, 0), results.at(2).integer(0, 1)};
  }
  result.end_ms = results.at(3).number(0, 0);
  result.wal_after = results.at(3).number(0, 1);
  return result;
}

void RelationWalk::batch_done(const WindowRecord& after, const BatchResult& result, double wal_bytes) {
  WindowRecord& taken = *std::ranges::find(m_taken, after.first, &WindowRecord::first);
  m_written += Written{after.written.rows - taken.written.rows, after.written.hot_rows - taken.written.hot_rows, 1, wal_bytes};
  m_wal_carry += after.done ? wal_bytes : 0;
  m_batch_rows = result.rows;
  const double took_ms = result.end_ms - result.begin_ms;
  if (m_batch_ms.size() == k_remembered_batches) {
    m_batch_ms.erase(m_batch_ms.begin(), m_batch_ms.begin() + k_remembered_batches / 2);
  }
  m_batch_ms.push_back(took_ms);
  sizer(taken).batch_took(took_ms);
  taken = after;
}

BatchSizer& RelationWalk::sizer(const WindowRecord& window) {
  const auto target_ms = static_cast<double>(m_session.options().pace.target_batch.count());
  return m_sizers.try_emplace({window.passes, window.pass == 0}, target_ms, k_first_batch_pages, k_window_pages).first->second;
}

std::int64_t RelationWalk::batch_pages(const WindowRecord& window, double target_ms) {
  BatchSizer& sizer_of_pass = sizer(window);
  sizer_of_pass.set_target(target_ms);
  return sizer_of_pass.pages();
}

void RelationWalk::shrink_batches(const WindowRecord& window) {
  sizer(window).batch_took(1e9);
}

double RelationWalk::part_done() const {
  if (m_walk.finished || m_walk.pages == 0) {
    return m_walk.finished ? 1 : 0;
  }
  auto done = static_cast<double>(m_walk.next);
  for (const auto* windows : {&m_walk.open, &m_taken}) {
    for (const WindowRecord& window : *windows) {
      done -= static_cast<double>(window.end - window.first) - pages_walked(window);
    }
  }
  return done / static_cast<double>(m_walk.pages);
}

event::Progress RelationWalk::progress(const std::string& pace_because) {
  const auto now = m_session.clock().now();
  m_eta.at(static_cast<double>(now.count()), part_done());
  const double seconds = std::max(0.001, static_cast<double>((now - m_begin).count()) / 1000);
  event::Progress progress;
  progress.phase = "backfill";
  progress.relation = m_relation.display();
  // Windows that are opened again begin at their first page; the percent that was shown does not fall.
  m_percent = m_walk.finished ? 100 : std::max(m_percent, std::min(99.9, 100 * part_done()));
  progress.percent = m_percent;
  progress.rows = m_written.rows;
  progress.rows_estimated = std::max(m_written.rows, static_cast<std::int64_t>(m_rows_estimated));
  progress.rows_per_second = static_cast<double>(m_written.rows - m_before.rows) / seconds;
  if (const auto eta = m_walk.finished ? std::nullopt : m_eta.estimate()) {
    progress.eta_ms = eta->likely_ms;
    progress.eta_low_ms = eta->low_ms;
    progress.eta_high_ms = eta->high_ms;
  }
  progress.batch_rows = m_batch_rows;
  progress.batch_ms = m_batch_ms.empty() ? 0 : m_batch_ms.back();
  progress.batch_p50_ms = percentile(m_batch_ms, 0.5);
  progress.batch_p99_ms = percentile(m_batch_ms, 0.99);
  progress.workers = static_cast<int>(m_taken.size());
  progress.hot_percent = 100 * hot_share(m_written);
  progress.wal_bytes_per_second = (m_written.wal_bytes - m_before.wal_bytes) / seconds;
  progress.slow_because = pace_because.empty() ? m_slow_because : pace_because;
  return progress;
}

event::WalkFinished RelationWalk::summary() const {
  event::WalkFinished finished;
  finished.phase = "backfill";
  finished.relation = m_relation.display();
  finished.rows = m_written.rows - (m_walk.again ? m_before.rows : 0);
  finished.batches = m_written.batches;
  finished.duration_ms = static_cast<double>((m_session.clock().now() - m_begin).count());
  finished.batch_p50_ms = percentile(m_batch_ms, 0.5);
  finished.batch_p99_ms = percentile(m_batch_ms, 0.99);
  finished.hot_percent = 100 * hot_share(m_written);
  finished.wal_bytes = m_written.wal_bytes;
  finished.already_done = m_batch_ms.empty();
  finished.quarantined = static_cast<std::int64_t>(m_bad_rows.size());
  return finished;
}

}  // namespace ecmigrate
