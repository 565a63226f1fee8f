#include "ecmigrate/fill/upkeep.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "ecmigrate/base/text.hpp"
#include "ecmigrate/fill/relation_rows.hpp"

namespace ecmigrate {

namespace {

constexpr std::chrono::milliseconds k_look_every{2'000};
constexpr std::chrono::milliseconds k_look_behind_every{200};
/// After it gave way; whoever waited has something to do.
constexpr std::chrono::milliseconds k_rest{30'000};
constexpr double k_dead_share = 0.2;
constexpr double k_least_left = 0.1;

// As gentle as autovacuum is by default (autovacuum_vacuum_cost_delay); without a conflict with the workers' writes.
constexpr std::string_view k_settings = "set vacuum_cost_delay = '2ms'; set vacuum_cost_limit = 200";

}  // namespace

Upkeep::~Upkeep() {
  if (m_running) {
    try {
      m_connection->cancel();
      m_connection->finish_script();
    } catch (...) {
      // That it was cancelled.
    }
  }
}

void Upkeep::give_way() {
  const auto now = m_session.clock().now();
  if (!m_running || m_gave_way || now - m_looked_behind < k_look_behind_every) {
    return;
  }
  m_looked_behind = now;
  try {
    if (m_session.watcher()
            .query("select exists (select from pg_catalog.pg_locks l where not l.granted and $1::integer = any "
                   "(pg_catalog.pg_blocking_pids(l.pid)))",
                   {std::to_string(m_connection->backend_pid())})
            .boolean(0, 0)) {
      m_connection->cancel();
      m_gave_way = true;
    }
  } catch (const Error&) {
    m_session.forget_watcher();  // the next look asks another
  }
}

void Upkeep::consider(const QualifiedName& relation, double part_done, const std::vector<int>& backends) {
  if (m_running) {
    if (m_connection->answered()) {
      m_running = false;
      m_looked = m_session.clock().now() + (m_gave_way ? k_rest : std::chrono::milliseconds(0));
      m_gave_way = false;
      try {
        m_connection->finish_script();
      } catch (const pg::SqlError&) {
        m_connection.reset();  // the workers meet the same trouble, or it was this table's turn to be locked
      }
    }
    return;
  }
  const auto now = m_session.clock().now();
  if (now - m_looked < k_look_every || 1 - part_done < k_least_left) {
    return;
  }
  m_looked = now;
  try {
    if (pays(relation, backends)) {
      start(relation);
    }
  } catch (const Error& error) {
    m_connection.reset();
    m_session.forget_watcher();
    m_session.report(event::Note{event::Note::Level::info,
                                 fmt::format("{} was not vacuumed: {}", relation.display(), error.what())});
  }
}

std::vector<int> Upkeep::backends() const {
  return m_connection ? std::vector<int>{m_connection->backend_pid()} : std::vector<int>();
}

bool Upkeep::pays(const QualifiedName& relation, const std::vector<int>& backends) {
  const pg::Rows rows = m_session.watcher().query(
      "select pg_catalog.pg_stat_get_dead_tuples(oid), greatest(reltuples, 1), exists (select from "
      "pg_catalog.pg_stat_progress_vacuum v where v.relid = c.oid), "
      "pg_catalog.pg_has_role(relowner, 'usage') from pg_catalog.pg_class c where oid = $1::pg_catalog.regclass",
      {relation.sql()});
  const double dead = rows.number(0, 0);
  const double left = m_relation == relation.sql() ? m_dead_after : 0;
  if (dead < left) {
    m_dead_after = dead;
  }
  if (dead - std::min(dead, left) < k_dead_share * rows.number(0, 1) || rows.boolean(0, 2) || !rows.boolean(0, 3)) {
    return false;
  }
  const auto holder = m_snapshots.look(m_session.watcher(), backends);
  m_relation = relation.sql();
  m_dead_after = dead;  // until it is seen to be less
  return !holder || holder->age_ms < k_old_snapshot_ms;
}

void Upkeep::start(const QualifiedName& relation) {
  if (!m_connection) {
    m_connection = m_session.open_connection();
    m_connection->script(std::string(k_settings));
  }
  m_session.report(event::Note{
      event::Note::Level::info,
      fmt::format("  vacuuming {}: a fifth of its rows are dead, and their room is needed", relation.display())});
  m_connection->send_script(fmt::format("vacuum (truncate false, skip_locked) {}", relation.sql()));
  m_running = true;
}

void analyze_new_columns(Session& session, const SyncedTable& table) {
  std::vector<std::string> columns;
  for (const std::string& column : filled_columns(table)) {
    columns.push_back(quote_identifier(column));
  }
  if (!columns.empty()) {
    session.connection().script(fmt::format("analyze (skip_locked) {} ({})", table.table.sql(), join(columns, ", ")));
  }
}

}  // namespace ecmigrate
