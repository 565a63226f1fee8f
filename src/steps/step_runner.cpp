#include "ecmigrate/steps/step_runner.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <random>
#include <ranges>

#include "ecmigrate/base/error.hpp"
#include "ecmigrate/base/text.hpp"
#include "ecmigrate/pg/sqlstate.hpp"
#include "ecmigrate/steps/lock_watch.hpp"

namespace ecmigrate {

namespace {

/// A catalogue change that takes longer than this under ACCESS EXCLUSIVE is not one: better an error than an outage.
constexpr std::string_view k_ddl_timeout = "20s";

/// Above deadlock_timeout the server cancels an autovacuum that is in the way; below it never does.
constexpr std::chrono::milliseconds k_above_deadlock_timeout{200};

/// Of the last of several locks, too.
constexpr std::chrono::milliseconds k_least_wait{10};

constexpr std::chrono::milliseconds k_first_pause{200};
constexpr std::chrono::milliseconds k_longest_pause{5'000};

/// A statement that brings the server down each time must not do so for ever.
constexpr int k_most_lost_connections = 5;

constexpr std::string_view k_clock = "extract(epoch from clock_timestamp()) * 1000";

bool is_lock_failure(const pg::SqlError& error) {
  return error.sqlstate() == pg::sqlstate::k_lock_not_available ||
         error.sqlstate() == pg::sqlstate::k_deadlock_detected;
}

/// LOCK TABLE takes the partitions of a table one after the other, each with a wait of its own; statement_timeout
/// bounds them together. The same SQLSTATE much later is a catalogue change that took too long.
bool is_lock_statement_timeout(const pg::SqlError& error, double waited_ms, std::chrono::milliseconds timeout) {
  return error.sqlstate() == pg::sqlstate::k_query_canceled && waited_ms < static_cast<double>(timeout.count()) + 5'000;
}

/// Doubles each time, with full jitter, so that two runners do not stay in step.
std::chrono::milliseconds pause_after(int tries) {
  static thread_local std::mt19937 random{std::random_device{}()};
  const auto longest = std::min<std::chrono::milliseconds>(k_longest_pause, k_first_pause * (1 << std::min(tries, 6)));
  return std::chrono::milliseconds(
      std::uniform_int_distribution<std::int64_t>(longest.count() / 2, longest.count())(random));
}

bool plain_autovacuum(const Blocker& blocker) {
  return blocker.backend_type == "autovacuum worker" &&
         blocker.query.find("to prevent wraparound") == std::string::npos;
}

}  // namespace

std::chrono::milliseconds lock_try_timeout(int tries, std::chrono::milliseconds longest) {
  constexpr std::array<int, 6> k_ladder{100, 100, 200, 300, 400, 500};
  const std::chrono::milliseconds step(
      k_ladder[std::min<std::size_t>(static_cast<std::size_t>(tries), k_ladder.size() - 1)]);
  return tries < static_cast<int>(k_ladder.size()) ? std::min(step, longest) : longest;
}

std::string lock_relations(const Step& step) {
  std::vector<std::string> names;
  for (const LockRequest& lock : step.locks) {
    names.push_back(lock.relation.display());
  }
  return join(names, ", ");
}

std::string lock_statement(const LockRequest& lock) {
  if (!lock.sequence) {
    return fmt::format("lock table {} in {} mode", lock.relation.sql(), lock_mode_name(lock.mode));
  }
  // Given to whom it belongs: of a sequence's locks the only one to be had without changing anything.
  return fmt::format(
      "do $ecmigrate$ begin execute (select pg_catalog.format('alter sequence %s owner to %I', "
      "c.oid::pg_catalog.regclass, pg_catalog.pg_get_userbyid(c.relowner)) from pg_catalog.pg_class c where c.oid = "
      "{}::pg_catalog.regclass); end $ecmigrate$",
      quote_literal(lock.relation.sql()));
}

std::string describe(const Blocker& blocker) {
  if (blocker.pid == 0) {
    return "a prepared transaction (see pg_prepared_xacts)";
  }
  if (blocker.state.empty() && blocker.backend_type.empty()) {
    return fmt::format("pid {} {} (the rest is hidden without pg_monitor)", blocker.pid,
                       blocker.user.empty() ? "?" : blocker.user);
  }
  if (blocker.user.empty() && blocker.transaction_age_ms <= 0) {
    return fmt::format("pid {} {}", blocker.pid, blocker.backend_type);
  }
  return fmt::format("pid {} {}@{}, {} for {}", blocker.pid, blocker.user.empty() ? "?" : blocker.user,
                     blocker.application.empty() ? blocker.backend_type : blocker.application,
                     blocker.state.empty() ? "running" : blocker.state,
                     format_milliseconds(blocker.transaction_age_ms));
}

int StepRunner::run(const std::vector<Step>& steps) {
  const std::vector<std::string> done = m_journal.done_steps(m_migration, m_phase);
  const auto is_done = [&](const Step& step) { return std::ranges::find(done, step.id) != done.end(); };
  int found_done = 0;  // in a row: they are told as one
  int index = 0;
  int changed = 0;
  for (const Step& step : steps) {
    event::StepFinished finished;
    finished.phase = m_phase;
    finished.step = step.title;
    finished.index = ++index;
    finished.of = static_cast<int>(steps.size());
    finished.relation = lock_relations(step);
    finished.mode = step.locks.empty() ? std::string() : std::string(lock_mode_name(step.locks.front().mode));
    if (is_done(step)) {
      ++found_done;
      if (index < finished.of && is_done(steps[static_cast<std::size_t>(index)])) {
        continue;
      }
      if (found_done > 1) {
        finished.step = fmt::format("{} steps", found_done);
      }
      finished.already_done = true;
      found_done = 0;
    } else {
      m_session.check_stop();
      run_step(step, finished);
      ++changed;
    }
    m_session.report(finished);
  }
  return changed;
}

void StepRunner::run_step(const Step& step, event::StepFinished& finished) {
  const auto begin = m_session.clock().now();
  try {
    switch (step.kind) {
      case Step::Kind::transaction:
      case Step::Kind::validate:
        run_transaction(step, finished);
        break;
      case Step::Kind::index_build:
        build_index(step);
        break;
      case Step::Kind::index_drop:
        drop_index(step);
        break;
    }
  } catch (const pg::SqlError& error) {
    throw pg::SqlError(error.sqlstate(), fmt::format("{}: {}", step.title, error.what()), error.hint(),
                       error.position());
  }
  finished.duration_ms = static_cast<double>((m_session.clock().now() - begin).count());
  if (step.kind == Step::Kind::transaction || step.kind == Step::Kind::validate) {
    // The step did not wait for a standby, as it held its lock; now we do, since what this writes comes after it.
    m_session.connection().query(
        "select pg_catalog.set_config('synchronous_commit', 'on', false) where "
        "pg_catalog.current_setting('synchronous_commit') in ('off', 'local')");
    m_journal.record_lock(m_migration, m_run, finished);
  }
}

std::string StepRunner::message(const Step& step, std::chrono::milliseconds timeout) const {
  // Under the lock nobody waits for a standby; what comes after it does.
  std::string sql = fmt::format("begin; set local synchronous_commit = local; select 'requested', {}; ", k_clock);
  for (const LockRequest& lock : step.locks) {
    // Each may take what the others have left of one time, which begins with the message. A sequence comes when the
    // table is locked already: whoever has it without the table, by a bare nextval(), is not waited for.
    const std::chrono::milliseconds most = lock.sequence ? k_least_wait : timeout;
    sql += fmt::format(
        "select pg_catalog.set_config('lock_timeout', t, true), pg_catalog.set_config('statement_timeout', t, true) "
        "from (select greatest({}, {} - extract(epoch from clock_timestamp() - now()) * 1000)::integer::text) as t(t); "
        "{}; ",
        k_least_wait.count(), most.count(), lock_statement(lock));
  }
  sql += fmt::format("select 'granted', {}; ", k_clock);
  // For what the statements lock beside, such as the plan's own `sql`.
  sql += fmt::format("set local lock_timeout = {}; ", std::max(timeout, k_least_wait).count());
  if (!step.locks.empty()) {
    sql +=
        fmt::format("set local statement_timeout = '{}'; ", step.kind == Step::Kind::transaction ? k_ddl_timeout : "0");
  }
  for (const std::string& statement : step.sql) {
    sql += statement + ";\n";
  }
  return sql + Journal::step_sql(m_migration, m_phase, step.id, true) +
         fmt::format("; commit; select 'released', {}", k_clock);
}

pg::Connection* StepRunner::watcher() {
  try {
    return &m_session.watcher();
  } catch (const Error&) {
    return nullptr;  // only the report gets poorer; the step itself does not depend on the watch
  }
}

StepRunner::Attempt StepRunner::attempt(const Step& step, std::chrono::milliseconds timeout) {
  Attempt attempt;
  const std::string sql = message(step, timeout);
  std::optional<LockWatch> watch;
  if (pg::Connection* connection = watcher()) {
    watch.emplace(*connection, m_session.connection().backend_pid());
  }
  const auto begin = m_session.clock().now();
  try {
    Times times;
    for (const pg::Rows& rows : m_session.connection().script(sql)) {
      if (rows.size() == 1 && rows.columns() == 2) {
        const std::string what = rows.text(0, 0);
        double* const time = what == "requested"  ? &times.requested
                             : what == "granted"  ? &times.granted
                             : what == "released" ? &times.released
                                                  : nullptr;
        if (time != nullptr) {
          *time = rows.number(0, 1);
        }
      }
    }
    attempt.waited_ms = times.granted - times.requested;
    attempt.times = times;
  } catch (const pg::SqlError& error) {
    attempt.waited_ms = static_cast<double>((m_session.clock().now() - begin).count());
    if (!is_lock_failure(error) && !is_lock_statement_timeout(error, attempt.waited_ms, timeout)) {
      throw;
    }
  }
  if (!watch) {
    return attempt;
  }
  LockWatchReport seen = watch->finish();
  if (seen.lost) {
    m_session.forget_watcher();
  }
  attempt.blockers = std::move(seen.blockers);
  attempt.blocked_sessions = seen.blocked_sessions;
  attempt.blocked_longest_ms = seen.blocked_longest_ms;
  return attempt;
}

void StepRunner::run_transaction(const Step& step, event::StepFinished& finished) {
  const auto deadline = m_session.clock().now() + m_session.options().lock_budget;
  bool wait_out_autovacuum = false;
  int lost = 0;
  std::vector<Blocker> blockers;  // of the last try that saw any: a short one may end before the watch has looked
  for (int tries = 0;; ++tries) {
    auto timeout = lock_try_timeout(tries, m_session.options().lock_timeout);
    if (wait_out_autovacuum) {
      timeout = m_session.deadlock_timeout() + k_above_deadlock_timeout;
    }
    Attempt result;
    try {
      result = attempt(step, timeout);
    } catch (const pg::SqlError& error) {
      if (!error.connection_lost() || ++lost > k_most_lost_connections) {
        throw;
      }
      if (done_after_reconnect(step)) {
        return;
      }
      continue;
    }
    finished.tries = tries + 1;
    finished.waited_ms += result.waited_ms;
    finished.blocked_sessions = std::max(finished.blocked_sessions, result.blocked_sessions);
    finished.blocked_longest_ms = std::max(finished.blocked_longest_ms, result.blocked_longest_ms);
    if (result.times) {
      finished.held_ms = result.times->released - result.times->granted;
      return;
    }
    if (!result.blockers.empty()) {
      blockers = result.blockers;
    }
    const auto pause = pause_after(tries);
    if (m_session.clock().now() + pause > deadline) {
      give_up(step, tries + 1, blockers);
    }
    m_session.report(event::LockTryFailed{m_phase, step.title, lock_relations(step), finished.mode, tries + 1,
                                          result.waited_ms, static_cast<double>(pause.count()), result.blockers});
    wait_out_autovacuum = !result.blockers.empty() && std::ranges::all_of(result.blockers, plain_autovacuum);
    m_session.clock().sleep(pause, m_session.stop());
    m_session.check_stop();
  }
}

bool StepRunner::done_after_reconnect(const Step& step) {
  // The answer to COMMIT may be what was lost: the journal's row was in the same transaction, so it knows.
  m_session.warn("the connection was lost; connecting again");
  m_session.reconnect();
  if (!m_journal.is_newest_run(m_migration, m_run)) {
    throw Error(Outcome::outcome_unknown,
                fmt::format("while the connection was lost, somebody else ran \"{}\"", m_migration),
                "This run has ended, and changed nothing since. ecmigrate status says where the migration stands.");
  }
  const std::vector<std::string> done = m_journal.done_steps(m_migration, m_phase);
  return std::ranges::find(done, step.id) != done.end();
}

void StepRunner::give_up(const Step& step, int tries, const std::vector<Blocker>& blockers) {
  std::string who;
  for (const Blocker& blocker : blockers) {
    who += fmt::format("\n  {}", describe(blocker));
  }
  throw Error(Outcome::lock_not_obtained,
              fmt::format("{}: no lock on {} within {} ({} tries); nothing was changed by this step{}", step.title,
                          lock_relations(step),
                          format_milliseconds(static_cast<double>(m_session.options().lock_budget.count())), tries,
                          who.empty() ? std::string() : "; in the way:" + who),
              "Run the same command again when they are gone, or give more time with --lock-budget.");
}

std::optional<bool> StepRunner::index_validity(const Step& step) {
  const pg::Rows rows = m_session.connection().query(
      "select i.indisvalid and i.indisready and i.indislive from pg_catalog.pg_index i where i.indexrelid = "
      "pg_catalog.to_regclass($1)",
      {step.index->sql()});
  return rows.size() == 0 ? std::nullopt : std::optional(rows.boolean(0, 0));
}

void StepRunner::drop_invalid(const Step& step) {
  run_concurrently(step, fmt::format("drop index concurrently if exists {}", step.index->sql()));
}

/// --index-wait ran out. Whom the build waited for, dropping what it left may wait for, too.
void StepRunner::give_up_index(const Step& step) {
  const std::optional<Blocker> blocker = std::exchange(m_index_blocker, std::nullopt);
  bool dropped = true;
  try {
    drop_invalid(step);
  } catch (const pg::SqlError& error) {
    if (!is_lock_failure(error)) {
      throw;
    }
    dropped = false;
  }
  throw Error(Outcome::lock_not_obtained,
              fmt::format("{}: it waited {} (--index-wait) for transactions that had the table before{}; {}",
                          step.title, format_milliseconds(static_cast<double>(m_session.options().index_wait.count())),
                          blocker ? "; the last:\n  " + describe(*blocker) : std::string(),
                          dropped ? "no part of the index is left"
                                  : fmt::format("{} is left invalid: nobody uses it, and the next run drops it",
                                                step.index->display())),
              "Run the same command again when they are gone.");
}

void StepRunner::build_index(const Step& step) {
  // It cannot be in a transaction, so the journal says "started" before and "done" after; in between, the catalog
  // tells.
  m_journal.record_step(m_migration, m_phase, step.id, false);
  for (int tries = 0;; ++tries) {
    const std::optional<bool> valid = index_validity(step);
    if (valid.value_or(false)) {
      break;
    }
    if (valid) {
      m_session.report(
          event::Note{event::Note::Level::info,
                      fmt::format("dropping {}, which an earlier try left invalid", step.index->display())});
      drop_invalid(step);
    }
    try {
      run_concurrently(step, step.sql.front());
    } catch (const pg::SqlError& error) {
      constexpr int k_most_tries = 5;
      if (error.connection_lost() && tries < k_most_lost_connections) {
        m_session.reconnect();
      } else if (error.connection_lost()) {
        throw;
      } else if (error.sqlstate() == pg::sqlstate::k_lock_not_available) {
        give_up_index(step);
      } else if (!is_lock_failure(error) || tries + 1 >= k_most_tries) {
        drop_invalid(step);
        throw;
      }
    }
  }
  m_journal.record_step(m_migration, m_phase, step.id, true);
}

void StepRunner::drop_index(const Step& step) {
  m_journal.record_step(m_migration, m_phase, step.id, false);
  for (int lost = 0; index_validity(step).has_value();) {
    try {
      run_concurrently(step, step.sql.front());
    } catch (const pg::SqlError& error) {
      if (error.sqlstate() == pg::sqlstate::k_lock_not_available) {
        throw Error(
            Outcome::lock_not_obtained,
            fmt::format("{}: it waited {} (--index-wait) for transactions that had the table before; the index "
                        "is invalid until the next run, which goes on with it",
                        step.title, format_milliseconds(static_cast<double>(m_session.options().index_wait.count()))),
            "Run the same command again when they are gone.");
      }
      if (!error.connection_lost() || ++lost > k_most_lost_connections) {
        throw;
      }
      m_session.reconnect();
    }
  }
  m_journal.record_step(m_migration, m_phase, step.id, true);
}

void StepRunner::run_concurrently(const Step& step, const std::string& sql) {
  // A short lock_timeout would end the build while it waits for an old transaction and leave an invalid index.
  m_session.connection().query(fmt::format("set lock_timeout = {}", m_session.options().index_wait.count()));
  const int pid = m_session.connection().backend_pid();
  pg::Connection* const watcher = this->watcher();
  std::atomic<bool> lost = false;
  std::jthread progress([&](std::stop_token stop) {
    constexpr std::chrono::milliseconds k_look_every{500};
    while (watcher != nullptr) {
      m_session.clock().sleep(k_look_every, stop);
      if (stop.stop_requested()) {
        return;
      }
      try {
        const pg::Rows rows = watcher->query(
            "select p.phase, case when p.blocks_total > 0 then 100.0 * p.blocks_done / p.blocks_total else 0 end, "
            "a.pid, a.usename, a.application_name, "
            "a.state, extract(epoch from clock_timestamp() - a.xact_start) * 1000, left(a.query, 500), a.backend_type "
            "from pg_catalog.pg_stat_progress_create_index p left join pg_catalog.pg_stat_activity a on a.pid = "
            "nullif(p.current_locker_pid, 0) "
            "where p.pid = $1",
            {std::to_string(pid)});
        if (rows.size() == 1) {
          event::IndexProgress now{step.index->display(), rows.text(0, 0), rows.number(0, 1), std::nullopt};
          if (!rows.is_null(0, 2)) {
            now.waiting_for = Blocker{static_cast<int>(rows.integer(0, 2)),
                                      rows.text(0, 3),
                                      rows.text(0, 4),
                                      rows.text(0, 8),
                                      rows.text(0, 5),
                                      rows.number(0, 6),
                                      rows.text(0, 7)};
            m_index_blocker = now.waiting_for;
          }
          m_session.report(now);
        }
      } catch (const Error&) {
        lost = true;
        return;  // only the progress line is lost
      } catch (const pg::Stopped&) {
        return;
      }
    }
  });
  m_session.connection().query(sql);
  progress.request_stop();
  progress.join();
  if (lost) {
    m_session.forget_watcher();
  }
  m_session.connection().query("set lock_timeout = 0");
}

}  // namespace ecmigrate
