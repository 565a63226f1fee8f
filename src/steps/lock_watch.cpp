#include "ecmigrate/steps/lock_watch.hpp"

#include <algorithm>
#include <condition_variable>
#include <mutex>

#include "ecmigrate/base/error.hpp"

namespace ecmigrate {

namespace {

// The first look comes early, as the first tries at a lock are short.
constexpr std::chrono::milliseconds k_first_look{15};
constexpr std::chrono::milliseconds k_shortest_pause{50};
constexpr std::chrono::milliseconds k_longest_pause{1'000};

// Without pg_monitor pg_stat_activity gives of another role's session no more than its database and its role; that a
// worker without a role is autovacuum's can be told, and by the table's age whether it would give way. Who waits is
// then in pg_locks, which hides nothing. pg_blocking_pids and pg_locks take all partitions of the lock table, so they
// are asked only of those who wait.
constexpr const char* k_query = R"(
with waiting as materialized (
  select a.pid from pg_catalog.pg_stat_activity a where a.wait_event_type = 'Lock'
  union select l.pid from pg_catalog.pg_locks l where not l.granted and not pg_catalog.pg_has_role('pg_read_all_stats', 'usage'))
select 'blocker', b.pid::text, coalesce(a.usename, ''), coalesce(a.application_name, ''),
  case when b.pid = 0 then 'prepared transaction' when a.backend_type is not null then a.backend_type
    when a.datid is not null and a.usesysid is null then 'autovacuum worker' else '' end,
  coalesce(a.state, ''), coalesce(extract(epoch from clock_timestamp() - a.xact_start) * 1000, 0),
  case when a.backend_type is null and a.usesysid is null and exists (select from pg_catalog.pg_locks l join pg_catalog.pg_class c on c.oid = l.relation
      where l.pid = b.pid and l.mode = 'ShareUpdateExclusiveLock' and l.granted and c.relkind in ('r', 't', 'm')
        and age(c.relfrozenxid) > current_setting('autovacuum_freeze_max_age')::integer)
    then '(to prevent wraparound)' else coalesce(left(a.query, 500), '') end
from (select distinct p.pid from waiting w cross join lateral unnest(pg_catalog.pg_blocking_pids(w.pid)) as p(pid) where w.pid = $1::integer) b
  left join pg_catalog.pg_stat_activity a on a.pid = b.pid
union all
select 'blocked', w.pid::text, '', '', '', '', coalesce((select max(extract(epoch from clock_timestamp() - l.waitstart) * 1000)
  from pg_catalog.pg_locks l where l.pid = w.pid and not l.granted), 0), ''
from waiting w where w.pid <> $1::integer and $1::integer = any (pg_catalog.pg_blocking_pids(w.pid)))";

}  // namespace

std::chrono::milliseconds watch_pause(std::chrono::milliseconds age) {
  return std::clamp(age / 20, k_shortest_pause, k_longest_pause);
}

LockWatch::LockWatch(pg::Connection& watcher, int watched_pid)
    : m_watcher(watcher), m_pid(std::to_string(watched_pid)) {
  m_thread = std::jthread([this](std::stop_token stop) { look(stop); });
}

LockWatchReport LockWatch::finish() {
  m_thread.request_stop();
  if (m_thread.joinable()) {
    m_thread.join();
  }
  m_report.blocked_sessions = static_cast<int>(m_blocked.size());
  return m_report;
}

void LockWatch::look(std::stop_token stop) {
  std::mutex mutex;
  std::condition_variable_any woken;
  const auto begin = std::chrono::steady_clock::now();
  std::chrono::milliseconds pause = k_first_look;
  for (;;) {
    std::unique_lock lock(mutex);
    if (woken.wait_for(lock, stop, pause, [&] { return stop.stop_requested(); })) {
      return;
    }
    pause =
        watch_pause(std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now() - begin));
    try {
      sample();
    } catch (const Error&) {
      m_report.lost = true;  // only the report gets poorer; the step itself does not depend on the watch
      return;
    } catch (const pg::Stopped&) {
      return;
    }
  }
}

void LockWatch::sample() {
  const pg::Rows rows = m_watcher.query(k_query, {m_pid});
  std::vector<Blocker> blockers;
  for (int row = 0; row < rows.size(); ++row) {
    if (rows.text(row, 0) == "blocked") {
      if (std::ranges::find(m_blocked, rows.text(row, 1)) == m_blocked.end()) {
        m_blocked.push_back(rows.text(row, 1));
      }
      m_report.blocked_longest_ms = std::max(m_report.blocked_longest_ms, rows.number(row, 6));
      continue;
    }
    blockers.push_back({static_cast<int>(rows.integer(row, 1)), rows.text(row, 2), rows.text(row, 3), rows.text(row, 4),
                        rows.text(row, 5), rows.number(row, 6), rows.text(row, 7)});
  }
  if (!blockers.empty()) {
    m_report.blockers = std::move(blockers);
  }
}

}  // namespace ecmigrate
