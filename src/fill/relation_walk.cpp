#include "ecmigrate/fill/relation_walk.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>

#include "ecmigrate/base/error.hpp"
#include "ecmigrate/base/text.hpp"
#include "ecmigrate/fill/bottom_up_deletion.hpp"
#include "next_batch.hpp"

namespace ecmigrate {

namespace {

/// 12.5 MB of 8 kB pages: inside any shared_buffers, and far enough between two visits of a page.
constexpr std::int64_t k_window_pages = 1600;
/// How long a row takes is not known yet.
constexpr double k_first_batch_pages = 1;
/// Asking takes 3 ms, a hundredth of a window's time.
constexpr std::chrono::seconds k_choose_columns_every{10};

constexpr std::string_view k_now = "extract(epoch from clock_timestamp()) * 1000";
constexpr std::string_view k_wal = "pg_catalog.pg_wal_lsn_diff(pg_catalog.pg_current_wal_insert_lsn(), '0/0')";

}  // namespace

RelationWalk::RelationWalk(Session& session, WalkJournal journal, const SyncedTable& table, QualifiedName relation,
                           SnapshotWatch& snapshots)
    : m_session(session),
      m_journal(std::move(journal)),
      m_table(table),
      m_relation(std::move(relation)),
      m_chooser(session, table, m_relation, snapshots) {}

void RelationWalk::begin_or_resume(bool again) {
  m_facts = relation_facts(m_session.connection(), m_relation);
  auto found = m_journal.claim(m_relation);
  m_taken.clear();
  m_bad_rows = m_journal.bad_rows(m_relation);
  const bool rewritten = found && found->filenode != m_facts.filenode;
  if (!found || (rewritten && (!found->finished || !m_bad_rows.empty())) || (again && found->finished)) {
    if (rewritten) {
      m_session.report(event::Note{
          event::Note::Level::info,
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
    walk.filenode = m_facts.filenode;
    walk.pages = m_facts.pages;
    walk.again = again;
    m_bad_rows.clear();
    m_journal.begin(m_relation, walk);
    found = walk;
  }
  m_walk = *found;
  Written written = m_walk.written;
  for (const WindowRecord& window : m_walk.open) {
    written += window.written;
  }
  m_progress.begin(m_session.clock().now(), written, m_walk.again);
  m_chooser.begin(m_facts);
  choose_columns();
}

void RelationWalk::choose_columns() {
  m_chose_columns = m_session.clock().now();
  m_set_to_themselves.clear();
  for (const std::string& column :
       columns_set_to_themselves(m_session.connection(), m_facts.oid, filled_columns(m_table))) {
    m_set_to_themselves += fmt::format(", {0} = this.{0}", quote_identifier(column));
  }
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
  if (m_session.clock().now() - m_chose_columns >= k_choose_columns_every) {
    choose_columns();
  }
  const Passes passes = m_chooser.choose(m_walk, window.first, window.end, backends);
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
  if (!window.done) {
    m_walk.open.push_back(window);
  } else if (!m_walk.again) {
    m_chooser.learn_from(window);
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
  if (relation_facts(m_session.connection(), m_relation).filenode == m_walk.filenode) {
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
                     : fmt::format("case when this.ctid = any (array[{}]) then false else ({}) end", join(bad, ", "),
                                   pending());
}

std::string RelationWalk::update(const std::string& where) const {
  return fmt::format("update only {} as this set {}{} where {}", m_relation.sql(), fill_pending(m_table),
                     m_set_to_themselves, where);
}

std::string RelationWalk::message(const WindowRecord& before, const WindowRecord& after, Locked locked) const {
  const std::int64_t to = after.pass == before.pass ? after.page : before.end;
  std::string where = line_range(before.page, before.line, to, after.line);
  // The pass's rows first: of the others, no more than the key is looked at. The last pass takes whatever is left.
  if (before.pass + 1 < before.passes) {
    const std::int64_t begin = before.pass == 0 ? 0 : spread_end(before, before.pass - 1);
    where += fmt::format(" and ((({}) - {}) & 4294967295) < {}", m_table.spread, begin,
                         spread_end(before, before.pass) - begin);
  }
  where += " and " + work();
  if (locked == Locked::skip) {
    where = unlocked_rows(m_relation, where);
  }
  return fmt::format("begin; select {}, {}, {}; {}; {}; commit; select {}, {}", k_now, k_wal,
                     WalkJournal::before_sql(m_facts.oid), update(where),
                     m_journal.checkpoint_sql(m_relation, m_facts.oid, m_walk, after), k_now, k_wal);
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

void RelationWalk::batch_done(const WindowRecord& before, const WindowRecord& after, const BatchResult& result,
                              double wal_bytes) {
  WindowRecord& taken = *std::ranges::find(m_taken, after.first, &WindowRecord::first);
  m_wal_carry += after.done ? wal_bytes : 0;
  const double took_ms = result.end_ms - result.begin_ms;
  m_progress.batch_done(
      {after.written.rows - taken.written.rows, after.written.hot_rows - taken.written.hot_rows, 1, wal_bytes},
      took_ms);
  sizer(before).batch_took(took_ms, pages_between(before, after));
  taken = after;
}

BatchSizer& RelationWalk::sizer(const WindowRecord& window) {
  const auto target_ms = static_cast<double>(m_session.options().pace.target_batch.count());
  return m_sizers
      .try_emplace({window.passes, window.pass == 0}, target_ms, k_first_batch_pages,
                   static_cast<double>(k_window_pages))
      .first->second;
}

WindowRecord RelationWalk::next_batch(pg::Connection& connection, WindowRecord& window, double target_ms,
                                      std::int64_t most_pages) {
  BatchSizer& sizer_of_pass = sizer(window);
  sizer_of_pass.set_target(target_ms);
  return ecmigrate::next_batch(connection, m_relation, window, sizer_of_pass, most_pages);
}

void RelationWalk::tell_slow_row(double took_ms) {
  if (!std::exchange(m_told_slow_row, true)) {
    m_session.warn(fmt::format("{}: filling a single row takes {}, and a client that wants it waits as long",
                               m_relation.display(), format_milliseconds(took_ms)));
  }
}

void RelationWalk::shrink_batches(const WindowRecord& before, const WindowRecord& after) {
  sizer(before).batch_failed(pages_between(before, after));
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
  event::Progress progress = m_progress.progress(m_session.clock().now(), part_done(), m_walk.finished, m_facts.rows);
  progress.relation = m_relation.display();
  progress.workers = static_cast<int>(m_taken.size());
  if (!pace_because.empty()) {
    progress.slow_because = pace_because;
  }
  return progress;
}

event::WalkFinished RelationWalk::summary() const {
  event::WalkFinished finished = m_progress.summary(m_session.clock().now());
  finished.relation = m_relation.display();
  finished.quarantined = static_cast<std::int64_t>(m_bad_rows.size());
  return finished;
}

}  // namespace ecmigrate
