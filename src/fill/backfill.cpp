#include "ecmigrate/fill/backfill.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <thread>
#include <tuple>

#include "bad_rows.hpp"
#include "ecmigrate/base/error.hpp"
#include "ecmigrate/base/text.hpp"
#include "ecmigrate/fill/relation_rows.hpp"
#include "ecmigrate/pg/sqlstate.hpp"
#include "next_batch.hpp"

namespace ecmigrate {

namespace {

constexpr std::chrono::milliseconds k_report_every{250};
constexpr std::chrono::milliseconds k_look_at_stop_every{100};
constexpr int k_most_tries = 20;
constexpr std::int64_t k_batches_a_pass = 8;

// A worker's session does nothing but batches. Data and checkpoint are in one transaction, so if a crash of the server
// loses it, both are lost: no need to wait for the disk. Compiling a batch's statement takes longer than running it.
constexpr std::string_view k_worker_settings = "set ecmigrate.fill = 'on'; set synchronous_commit = off; set jit = off";

// Most of a backfill's WAL are whole pages, which are written after each checkpoint at their first change. Where the
// role may, they are compressed; the figures are in docs/benchmarks.md. (The older pglz costs a third of the time.)
constexpr const char* k_compress =
    "select pg_catalog.set_config(name, 'lz4', false) from pg_catalog.pg_settings "
    "where name = 'wal_compression' and setting = 'off' and 'lz4' = any (enumvals) and "
    "pg_catalog.has_parameter_privilege(name, 'SET')";

}  // namespace

int default_workers(const pg::Connection& connection) {
  return connection.on_this_machine() ? std::clamp(static_cast<int>(std::thread::hardware_concurrency()) / 2, 1, 4) : 1;
}

Backfill::Backfill(Session& session, std::string migration, std::int64_t run, bool replace_replication_role, bool again)
    : m_session(session),
      m_migration(std::move(migration)),
      m_run(run),
      m_replace_role(replace_replication_role),
      m_again(again),
      m_default_workers(default_workers(session.connection())),
      m_pacer(session, m_migration, m_run, m_snapshots),
      m_upkeep(session, m_snapshots) {}

void Backfill::add(const SyncedTable& table, const QualifiedName& relation) {
  m_walks.push_back(std::make_unique<RelationWalk>(m_session, WalkJournal(m_session.connection(), m_migration, m_run),
                                                   table, relation, m_snapshots));
}

bool Backfill::run() {
  try {
    while (!m_begun || !finished()) {
      try {
        go_on();
      } catch (const pg::SqlError& error) {
        if (!error.connection_lost()) {
          throw;
        }
        connect_again(error);
      }
    }
  } catch (...) {
    drain();
    throw;
  }
  return std::ranges::any_of(m_walks, [](const auto& walk) { return walk->wrote(); });
}

void Backfill::begin() {
  for (const auto& walk : m_walks) {
    walk->begin_or_resume(m_again);
    retry_bad_rows(m_session, *walk, m_replace_role);
    if (walk->finished()) {
      m_session.report(walk->summary());
    }
  }
  m_begun = true;
}

void Backfill::go_on() {
  m_session.check_stop();
  if (!m_begun) {
    begin();
  } else if (m_stale) {
    begin_again(nullptr);
  }
  m_stale = false;
  give_work();
  m_upkeep.give_way();
  if (const auto busy =
          std::ranges::find_if(m_workers, [](const Worker& worker) { return worker.under_way.has_value(); });
      busy != m_workers.end()) {
    m_pacer.look_if_due(busy->walk->relation(), backends());
    m_upkeep.consider(busy->walk->relation(), busy->walk->part_done(), backends());
  }
  wait();
  const auto ready = std::ranges::find_if(
      m_workers, [](const Worker& worker) { return worker.under_way && worker.connection->answered(); });
  if (ready != m_workers.end()) {
    receive(*ready);
  }
  report(false);
  finish_walks();
}

std::vector<BadRow> Backfill::bad_rows() const {
  std::vector<BadRow> found;
  for (const auto& walk : m_walks) {
    std::ranges::copy(walk->bad_rows(), std::back_inserter(found));
  }
  return found;
}

bool Backfill::finished() const {
  return std::ranges::all_of(m_walks, [](const auto& walk) { return walk->finished(); });
}

void Backfill::finish_walks() {
  for (const auto& walk : m_walks) {
    if (!walk->finished() && walk->finish_if_done()) {
      m_session.report(walk->progress({}));
      m_session.report(walk->summary());
    }
  }
}

int Backfill::wanted_workers() {
  const int asked = m_pacer.limits().workers;
  return std::min(asked > 0 ? asked : m_default_workers, m_most_workers);
}

void Backfill::give_work() {
  const auto wanted = static_cast<std::size_t>(wanted_workers());
  if (m_workers.size() < wanted) {
    m_workers.resize(wanted);
  }
  m_wait = std::chrono::milliseconds(0);
  for (std::size_t i = 0; i < m_workers.size(); ++i) {
    Worker& worker = m_workers[i];
    if (worker.under_way) {
      continue;
    }
    if (i >= wanted) {
      return_window(worker);
      continue;
    }
    if ((worker.walk == nullptr && !find_window(worker)) || m_session.clock().now() < worker.not_before) {
      continue;
    }
    const Pacer::Turn turn = m_pacer.turn(worker.walk->relation(), backends());
    if (turn.because != m_pace_because) {
      m_pace_because = turn.because;
      report(true);
    }
    m_wait = turn.wait;
    if (m_wait.count() > 0) {
      worker.waiting_since.reset();  // a pause is not a wait for a row
      break;
    }
    if (worker.connection || open_connection(worker)) {
      send(worker);
    }
  }
}

bool Backfill::find_window(Worker& worker) {
  for (const auto& walk : m_walks) {
    if (walk->finished()) {
      continue;
    }
    if (const auto window = walk->take(wanted_workers(), backends())) {
      worker.walk = walk.get();
      worker.window = *window;
      worker.locked = RelationWalk::Locked::fail;
      worker.tries = 0;
      worker.waiting_since.reset();
      return true;
    }
  }
  return false;
}

void Backfill::return_window(Worker& worker) {
  if (worker.walk != nullptr) {
    worker.walk->give_back(worker.window);
    worker.walk = nullptr;
  }
}

/// The application's triggers are written for sessions that find its tables by their bare names.
bool Backfill::triggers_fire() {
  return std::ranges::any_of(m_walks, [&](const auto& walk) {
    return update_triggers_fire(m_session.connection(), walk->relation(), m_replace_role);
  });
}

bool Backfill::open_connection(Worker& worker) {
  try {
    worker.connection = m_session.open_connection();
    worker.connection->script(std::string(k_worker_settings));
    if (m_replace_role) {
      worker.connection->query("set session_replication_role = replica");
    }
    if (triggers_fire()) {
      worker.connection->query("set search_path to default");
    }
    if (worker.connection->server_version() >= 150000) {
      worker.connection->query(k_compress);
    }
    worker.lock_timeout = worker.statement_timeout = std::chrono::milliseconds(0);
    return true;
  } catch (const Error& error) {
    worker.connection.reset();
    const auto connected =
        std::ranges::count_if(m_workers, [](const Worker& other) { return other.connection != nullptr; });
    if (error.outcome() != Outcome::cannot_connect || connected == 0) {
      throw;
    }
    m_session.warn(fmt::format("no connection for a further worker ({}): going on with {}", error.what(), connected));
    m_most_workers = static_cast<int>(connected);
    return_window(worker);
    return false;
  }
}

void Backfill::send(Worker& worker) {
  WindowRecord& window = worker.window;
  const auto target = m_pacer.limits().target_batch;
  std::int64_t most_pages = window.end - window.first;
  if (window.passes > 1 && wanted_workers() > 1) {
    // A snapshot of another worker's batch must be over when this page is visited again.
    most_pages = std::max<std::int64_t>(1, most_pages / k_batches_a_pass);
  }
  WindowRecord after =
      worker.walk->next_batch(*worker.connection, window, static_cast<double>(target.count()), most_pages);
  after.skipped = after.skipped || worker.locked == RelationWalk::Locked::skip;
  set_timeouts(worker, batch_lock_timeout(target, m_session.deadlock_timeout()), batch_timeout(window, after, target));
  worker.connection->send_script(worker.walk->message(window, after, worker.locked));
  worker.under_way = after;
  worker.sent = m_session.clock().now();
}

void Backfill::set_timeouts(Worker& worker, std::chrono::milliseconds lock, std::chrono::milliseconds statement) {
  if (lock == worker.lock_timeout && statement == worker.statement_timeout) {
    return;
  }
  // Not in the batch's message: its rollback would take the settings back. The server counts, so that the promise holds
  // also while this runner stands still.
  worker.connection->script(
      fmt::format("set lock_timeout = {}; set statement_timeout = {}", lock.count(), statement.count()));
  worker.lock_timeout = lock;
  worker.statement_timeout = statement;
}

void Backfill::wait() {
  std::vector<pg::Connection*> busy;
  auto longest = m_wait.count() > 0 ? std::min(m_wait, k_look_at_stop_every) : k_look_at_stop_every;
  for (const Worker& worker : m_workers) {
    if (worker.under_way) {
      busy.push_back(worker.connection.get());
    } else if (worker.walk != nullptr) {
      const auto left = worker.not_before - m_session.clock().now();
      longest = left.count() > 0 ? std::min(longest, left) : longest;
    }
  }
  if (!busy.empty()) {
    pg::wait_for_any(busy, longest);
  } else if (m_wait.count() > 0 ||
             std::ranges::any_of(m_workers, [](const Worker& worker) { return worker.walk != nullptr; })) {
    m_session.clock().sleep(longest, m_session.stop());
  }
}

void Backfill::receive(Worker& worker) {
  const WindowRecord after = *worker.under_way;
  worker.under_way.reset();
  std::vector<pg::Rows> results;
  try {
    results = worker.connection->finish_script();
  } catch (const pg::SqlError& error) {
    recover(worker, after, error);
    return;
  }
  checkpointed(worker, after, RelationWalk::read(results));
}

void Backfill::checkpointed(Worker& worker, WindowRecord after, const RelationWalk::BatchResult& result) {
  if (!result.sums) {
    RelationWalk& walk = *worker.walk;
    drain();
    walk.find_out_who_moved();
    begin_again(&walk);
    return;
  }
  const double wal_bytes = std::max(0.0, result.wal_after - std::max(result.wal_before, m_wal_counted));
  m_wal_counted = std::max(m_wal_counted, result.wal_after);
  m_pacer.batch_done(static_cast<double>(result.rows), wal_bytes, result.end_ms - result.begin_ms);
  std::tie(after.written.rows, after.written.hot_rows) = *result.sums;
  after.written.wal_bytes += wal_bytes;
  worker.walk->batch_done(worker.window, after, result, wal_bytes);
  if (const double took_ms = result.end_ms - result.begin_ms;
      worker.statement_timeout.count() == 0 &&
      took_ms > static_cast<double>(longest_batch(m_pacer.limits().target_batch).count())) {
    worker.walk->tell_slow_row(took_ms);
  }
  worker.window = after;
  worker.tries = 0;
  m_reconnects = 0;
  worker.waiting_since.reset();
  if (worker.locked == RelationWalk::Locked::fail) {
    worker.walk->slow({});
  }
  worker.locked = RelationWalk::Locked::fail;
  if (after.done) {
    return_window(worker);
  }
}

/// A lost connection is everybody's business, see run().
void Backfill::recover(Worker& worker, const WindowRecord& after, const pg::SqlError& error) {
  if (error.sqlstate() == pg::sqlstate::k_lock_not_available) {
    // Who skipped the rows that are locked and still meets one needs a stronger lock than it looked for.
    if (worker.window.sweeping || worker.locked == RelationWalk::Locked::skip) {
      wait_for_row(worker, error);
    } else {
      worker.walk->slow("rows locked by the application are left for a second round");
      worker.locked = RelationWalk::Locked::skip;
    }
  } else if (row_is_at_fault(error)) {
    const std::int64_t to = after.pass == worker.window.pass ? after.page : worker.window.end;
    bool found = false;
    try {
      found = set_bad_rows_aside(m_session, *worker.connection, *worker.walk, worker.window.page,
                                 std::max(to, worker.window.page + 1), m_pacer.limits().quarantine);
    } catch (const pg::SqlError& other) {
      if (row_is_at_fault(other)) {
        throw;
      }
      recover(worker, after, other);  // the search may meet what any batch may
      return;
    }
    if (!found) {
      try_smaller(worker, after, error);
    }
  } else if (error.sqlstate() == pg::sqlstate::k_deadlock_detected ||
             error.sqlstate() == pg::sqlstate::k_serialization_failure ||
             error.sqlstate() == pg::sqlstate::k_query_canceled || error.sqlstate() == pg::sqlstate::k_out_of_memory) {
    // Deadlock, serialization, cancelled by somebody or for its length, out of memory.
    try_smaller(worker, after, error);
    if (error.sqlstate() == pg::sqlstate::k_query_canceled && worker.statement_timeout.count() > 0 &&
        m_session.clock().now() - worker.sent >= worker.statement_timeout) {
      worker.walk->slow("a batch took too long: it was cancelled and is tried smaller");
    }
  } else if (error.sqlstate() == pg::sqlstate::k_undefined_column ||
             error.sqlstate() == pg::sqlstate::k_insufficient_privilege) {
    // A column that the batch set to itself was renamed or dropped, or the right to write it is gone.
    worker.walk->choose_columns();
    try_again(worker, error);
  } else {
    throw error;
  }
}

void Backfill::try_again(Worker& worker, const pg::SqlError& error) {
  if (++worker.tries > k_most_tries) {
    throw error;
  }
  worker.walk->slow(error.what());
}

void Backfill::try_smaller(Worker& worker, const WindowRecord& after, const pg::SqlError& error) {
  try_again(worker, error);
  worker.walk->shrink_batches(worker.window, after);
}

/// In the second round a locked row is waited for, a short time each try, so that the runner never stands in a queue.
void Backfill::wait_for_row(Worker& worker, const pg::SqlError& error) {
  const auto now = m_session.clock().now();
  if (!worker.waiting_since) {
    worker.waiting_since = now;
  }
  worker.walk->slow("waiting for a row that a transaction of the application holds");
  if (now - *worker.waiting_since > m_session.options().lock_budget) {
    throw Error(
        Outcome::lock_not_obtained,
        fmt::format("a row of {} in pages {} and after stays locked: {}", worker.walk->relation().display(),
                    worker.window.page, error.what()),
        "Look for old transactions in pg_stat_activity and run the same command again; finished rows are kept.");
  }
  worker.not_before = now + m_pacer.limits().target_batch;
}

void Backfill::connect_again(const pg::SqlError& error) {
  if (++m_reconnects > k_most_tries) {
    throw error;
  }
  m_session.warn("the connection was lost; connecting again and going on from the last checkpoint");
  drain();
  m_workers.clear();
  m_session.reconnect();
  m_stale = true;
}

void Backfill::begin_again(const RelationWalk* but) {
  for (const auto& walk : m_walks) {
    if (walk.get() != but && !walk->finished()) {
      walk->begin_or_resume(false);
    }
  }
}

void Backfill::drain() {
  for (Worker& worker : m_workers) {
    if (worker.under_way) {
      worker.under_way.reset();
      try {
        worker.connection->finish_script();
      } catch (...) {
        // What it did is in the journal, which is read again before anybody goes on.
      }
    }
    worker.walk = nullptr;
  }
}

std::vector<int> Backfill::backends() const {
  std::vector<int> pids = m_session.own_backends();
  std::ranges::copy(m_upkeep.backends(), std::back_inserter(pids));
  for (const Worker& worker : m_workers) {
    if (worker.connection) {
      pids.push_back(worker.connection->backend_pid());
    }
  }
  return pids;
}

void Backfill::report(bool now) {
  const auto time = m_session.clock().now();
  if (!now && time - m_reported < k_report_every) {
    return;
  }
  m_reported = time;
  bool first = true;
  for (const auto& walk : m_walks) {
    const bool at_work =
        std::ranges::any_of(m_workers, [&](const Worker& worker) { return worker.walk == walk.get(); });
    if (!walk->finished() && (first || at_work)) {
      event::Progress progress = walk->progress(m_pace_because);
      progress.paused_percent = m_pacer.paused_percent();
      progress.lag_ms = m_pacer.lag_ms();
      progress.reasons = m_pacer.reasons();
      m_session.report(progress);
      first = false;
    }
  }
}

}  // namespace ecmigrate
