#include "repair.hpp"

#include <fmt/format.h>

#include "ecmigrate/base/error.hpp"
#include "ecmigrate/fill/relation_rows.hpp"
#include "ecmigrate/pg/sqlstate.hpp"
#include "next_batch.hpp"

namespace ecmigrate {

namespace {

constexpr double k_first_batch_pages = 1;
constexpr double k_most_batch_pages = 1600;
constexpr int k_most_tries = 20;

/// A replica's writes are not held to foreign keys, and these may have been validated already.
bool has_foreign_keys(pg::Connection& connection, const QualifiedName& relation) {
  return connection
      .query(
          "select exists (select from pg_catalog.pg_constraint where conrelid = $1::pg_catalog.regclass and contype "
          "= 'f')",
          {relation.sql()})
      .boolean(0, 0);
}

bool is_smaller_worth_a_try(const pg::SqlError& error) {
  return error.sqlstate() == pg::sqlstate::k_deadlock_detected ||
         error.sqlstate() == pg::sqlstate::k_serialization_failure ||
         error.sqlstate() == pg::sqlstate::k_query_canceled || error.sqlstate() == pg::sqlstate::k_out_of_memory;
}

}  // namespace

Repair::Repair(Session& session, const QualifiedName& relation, bool replace_replication_role)
    : m_session(session),
      m_relation(relation),
      m_target(session.options().pace.target_batch),
      m_sizer(static_cast<double>(m_target.count()), k_first_batch_pages, k_most_batch_pages),
      m_role(writer_settings(session.connection(), relation,
                             replace_replication_role && !has_foreign_keys(session.connection(), relation))) {}

std::int64_t Repair::run(const std::string& set, const std::string& condition, std::int64_t from, std::int64_t to) {
  WindowRecord window;
  window.first = window.page = from;
  window.end = to;
  Tries tries;
  std::int64_t written = 0;
  while (!window.done) {
    m_session.check_stop();
    const WindowRecord after = next_batch(m_session.connection(), m_relation, window, m_sizer, to - from);
    std::string where = fmt::format(
        "{} and ({})", line_range(window.page, window.line, after.done ? to : after.page, after.line), condition);
    if (tries.skip_locked) {
      where = unlocked_rows(m_relation, where);
    }
    const auto begin = m_session.clock().now();
    try {
      written +=
          m_session.connection().script(message(set, where, batch_timeout(window, after, m_target))).front().affected();
    } catch (const pg::SqlError& error) {
      recover(window, after, tries, error);
      continue;
    }
    if (std::exchange(tries.skip_locked, false)) {
      continue;  // the rows that were locked are still to be done
    }
    m_sizer.batch_took(static_cast<double>((m_session.clock().now() - begin).count()), pages_between(window, after));
    tries = {};
    window = after;
  }
  return written;
}

std::string Repair::message(const std::string& set, const std::string& where, std::chrono::milliseconds timeout) const {
  // What comes after it waits for the disk, and this with it; so that no row stays locked for a disk or a standby.
  return fmt::format(
      "begin; set local ecmigrate.fill = 'on'; set local synchronous_commit = off; set local lock_timeout = {}; set "
      "local statement_timeout = {}; {}update only {} as this set {} where {}; commit",
      batch_lock_timeout(m_target, m_session.deadlock_timeout()).count(), timeout.count(), m_role, m_relation.sql(),
      set, where);
}

void Repair::recover(const WindowRecord& before, const WindowRecord& after, Tries& tries, const pg::SqlError& error) {
  if (error.sqlstate() != pg::sqlstate::k_lock_not_available) {
    if (!is_smaller_worth_a_try(error) || ++tries.failed > k_most_tries) {
      throw error;
    }
    m_sizer.batch_failed(pages_between(before, after));
    return;
  }
  const auto now = m_session.clock().now();
  if (!tries.waiting_since) {  // the others of the batch first
    tries.waiting_since = now;
    tries.skip_locked = true;
    return;
  }
  tries.skip_locked = false;
  if (now - *tries.waiting_since > m_session.options().lock_budget) {
    throw Error(
        Outcome::lock_not_obtained,
        fmt::format("a row of {} in pages {} and after stays locked: {}", m_relation.display(), before.page,
                    error.what()),
        "Look for old transactions in pg_stat_activity and run the same command again; what is repaired is kept.");
  }
  m_session.clock().sleep(m_target, m_session.stop());
}

}  // namespace ecmigrate
