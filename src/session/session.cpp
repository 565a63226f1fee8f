#include "ecmigrate/session/session.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "ecmigrate/base/error.hpp"
#include "ecmigrate/base/text.hpp"
#include "ecmigrate/model/fixed_settings.hpp"
#include "ecmigrate/store/journal.hpp"

namespace ecmigrate {

namespace {

constexpr std::chrono::milliseconds k_run_lock_poll{200};
constexpr std::chrono::milliseconds k_reconnect_for{60'000};
constexpr std::chrono::milliseconds k_reconnect_pause{500};

// A session's own statement_timeout or lock_timeout (set for the role, say) must not cut a long step short; ours are
// set per transaction. row_security = off turns rows that would be hidden into an error. A runner whose host died must
// not keep a lock: the server asks after a silent one, and counts unanswered data, for about a minute. Without the last
// it would only do so once a long statement has ended; a server on a system that cannot look will not have it.
constexpr std::string_view k_settings =
    "set statement_timeout = 0; set lock_timeout = 0; set row_security = off; set idle_in_transaction_session_timeout "
    "= '30s'; set idle_session_timeout = 0; "
    "set tcp_keepalives_idle = 30; set tcp_keepalives_interval = 10; set tcp_keepalives_count = 3; set "
    "tcp_user_timeout = '60s'; do $$ begin set client_connection_check_interval = '10s'; exception when others then "
    "null; end $$";

// Nothing that it asks is worth a long wait; a query of the user's may be slow.
constexpr std::string_view k_watcher_settings = "set statement_timeout = '10s'; set lock_timeout = '2s'";

}  // namespace

Session::Session(pg::Target target, RunOptions options, Observer& observer, Clock& clock, std::stop_token stop)
    : m_target(std::move(target)),
      m_options(std::move(options)),
      m_observer(observer),
      m_clock(clock),
      m_stop(std::move(stop)),
      m_begin(clock.now()) {
  m_connection = std::make_unique<pg::Connection>(m_target);
  prepare(*m_connection);
  m_connection->cancel_on_stop(m_stop);
}

void Session::prepare(pg::Connection& connection) {
  if (connection.through_pooler()) {
    throw Error(Outcome::cannot_connect, "a connection pooler answers in the server's place",
                "Locks and settings of a session need the server itself: give its address in ECMIGRATE_DATABASE_URL.");
  }
  if (connection.server_version() < 140000) {
    throw Error(Outcome::cannot_connect, fmt::format("{}: version 14 or newer is needed", connection.description()));
  }
  connection.script(own_settings() + "; " + std::string(k_settings));
  const pg::Rows facts = connection.query(
      "select pg_catalog.pg_is_in_recovery(), (select setting::integer from pg_catalog.pg_settings where name = "
      "'deadlock_timeout')");
  if (facts.boolean(0, 0)) {
    throw Error(Outcome::cannot_connect, fmt::format("{} is a standby", connection.description()),
                "Connect to the primary.");
  }
  m_deadlock_timeout = std::chrono::milliseconds(facts.integer(0, 1));
  check_identity(connection);
}

void Session::check_identity(pg::Connection& connection) {
  // Everybody may call these functions, unless an administrator took that right away: then the database's number has to
  // do. The WAL file's name begins with the timeline; pg_control_checkpoint would give the old one until the first
  // checkpoint after a promotion.
  const bool may_ask =
      connection.query("select pg_catalog.has_function_privilege('pg_catalog.pg_control_system()', 'execute')")
          .boolean(0, 0);
  const pg::Rows rows = connection.query(fmt::format(
      "select {} || ' ' || oid, ('x' || substr(pg_catalog.pg_walfile_name(pg_catalog.pg_current_wal_insert_lsn()), 1, "
      "8))::bit(32)::integer "
      "from pg_catalog.pg_database where datname = current_database()",
      may_ask ? "(select system_identifier from pg_catalog.pg_control_system())" : "pg_catalog.current_database()"));
  const std::string system = rows.text(0, 0);
  const std::string timeline = rows.text(0, 1);
  if (!m_system.empty() && m_system != system) {
    throw Error(Outcome::outcome_unknown, "after a lost connection another database answers",
                "Look before running anything again.");
  }
  if (!m_timeline.empty() && m_timeline != timeline) {
    report(event::Note{event::Note::Level::info,
                       fmt::format("the server failed over: timeline {} → {}", m_timeline, timeline)});
  }
  m_system = system;
  m_timeline = timeline;
}

std::unique_ptr<pg::Connection> Session::open_connection() {
  auto connection = std::make_unique<pg::Connection>(m_target);
  prepare(*connection);
  connection->cancel_on_stop(m_stop);
  return connection;
}

pg::Connection& Session::watcher() {
  if (!m_watcher) {
    pg::Target target = m_target;
    target.hook = nullptr;  // its questions come when they come
    auto watcher = std::make_unique<pg::Connection>(target);
    prepare(*watcher);
    watcher->script(std::string(k_watcher_settings));
    watcher->cancel_on_stop(m_stop);
    m_watcher = std::move(watcher);
  }
  return *m_watcher;
}

std::vector<int> Session::own_backends() {
  std::vector<int> pids{m_connection->backend_pid()};
  if (m_watcher) {
    pids.push_back(m_watcher->backend_pid());
  }
  return pids;
}

void Session::warn(const std::string& text) {
  report(event::Note{event::Note::Level::warning, text});
}

void Session::check_stop() const {
  if (m_stop.stop_requested()) {
    throw pg::Stopped();
  }
}

Session::Holder Session::run_lock_holder(const std::pair<int, int>& key) {
  // Of another role's session only pid and role can be seen without pg_monitor.
  const pg::Rows rows = m_connection->query(
      "select a.pid, coalesce(a.usename, '?'), coalesce(a.application_name, ''), extract(epoch from clock_timestamp() "
      "- a.backend_start) * 1000, coalesce(host(a.client_addr), ''), pg_catalog.to_regclass('ecmigrate.runs') is not "
      "null "
      "from pg_catalog.pg_locks l join pg_catalog.pg_stat_activity a on a.pid = l.pid "
      "where l.locktype = 'advisory' and l.database = (select oid from pg_catalog.pg_database where datname = "
      "current_database()) "
      "and l.classid = $1::oid and l.objid = $2::bigint::oid and l.granted",
      {std::to_string(key.first), std::to_string(static_cast<std::uint32_t>(key.second))});
  if (rows.size() == 0) {
    return {"another runner", ""};
  }
  std::string who = fmt::format("pid {} {}{}{}", rows.text(0, 0), rows.text(0, 1), rows.text(0, 2).empty() ? "" : "@",
                                rows.text(0, 2));
  if (rows.boolean(0, 5)) {  // before the very first expand has made the journal, there is nothing to ask
    const pg::Rows run = m_connection->query(
        "select command, host, process, to_char(started_at at time zone 'utc', 'YYYY-MM-DD HH24:MI'), "
        "extract(epoch from clock_timestamp() - seen_at) * 1000 from ecmigrate.runs "
        "where backend = $1 and finished_at is null order by id desc limit 1",
        {rows.text(0, 0)});
    if (run.size() > 0) {
      who += fmt::format(" ({} on {}, process {}, begun at {} UTC", run.text(0, 0), run.text(0, 1), run.text(0, 2),
                         run.text(0, 3));
      who += run.is_null(0, 4)
                 ? ")"
                 : fmt::format(", last sign of life {} ago)", format_milliseconds(std::max(0.0, run.number(0, 4))));
    }
  }
  if (!rows.text(0, 4).empty()) {
    who += " from " + rows.text(0, 4);
  }
  if (!rows.is_null(0, 3)) {
    who += fmt::format(", connected for {}", format_milliseconds(rows.number(0, 3)));
  }
  return {who, rows.text(0, 0)};
}

void Session::require_writable() {
  if (m_connection->query("select current_setting('transaction_read_only')::boolean").boolean(0, 0)) {
    throw Error(
        Outcome::refused,
        fmt::format("transactions on {} are read only (default_transaction_read_only)", m_connection->description()),
        "Somebody wanted it so for this role or database. Where that is not meant for migrations: "
        "PGOPTIONS='-c default_transaction_read_only=off' ecmigrate …");
  }
}

void Session::take_run_lock(const std::string& migration) {
  m_migration = migration;
  const std::pair<int, int> key = Journal::run_lock(migration);
  const auto deadline = m_clock.now() + m_options.run_lock_wait;
  bool told = false;
  for (;;) {
    if (m_connection->query(fmt::format("select pg_catalog.pg_try_advisory_lock({}, {})", key.first, key.second))
            .boolean(0, 0)) {
      return;
    }
    const Holder holder = run_lock_holder(key);
    if (m_clock.now() >= deadline) {
      throw Error(Outcome::busy, fmt::format("migration \"{}\" is held by {}", migration, holder.who),
                  holder.pid.empty()
                      ? "Wait for it, or end it; nothing has to be cleaned up afterwards."
                      : fmt::format("Wait for it. If its host is gone, the server finds out within about a minute; to "
                                    "end it now, as the same role: select pg_terminate_backend({}). Nothing has to be "
                                    "cleaned up afterwards.",
                                    holder.pid));
    }
    if (!told) {
      report(event::Note{
          event::Note::Level::info,
          fmt::format("waiting for the run lock of \"{}\": held by {}; giving up in {}", migration, holder.who,
                      format_milliseconds(static_cast<double>((deadline - m_clock.now()).count())))});
      told = true;
    }
    m_clock.sleep(k_run_lock_poll, m_stop);
    check_stop();
  }
}

void Session::reconnect() {
  m_watcher.reset();
  const auto deadline = m_clock.now() + k_reconnect_for;
  for (;;) {
    try {
      m_connection->reconnect();
      prepare(*m_connection);
      if (!m_migration.empty()) {
        take_run_lock(m_migration);
      }
      return;
    } catch (const Error& error) {
      if (error.outcome() == Outcome::outcome_unknown) {
        throw;
      }
      if (error.outcome() == Outcome::busy || m_clock.now() >= deadline) {
        throw Error(Outcome::outcome_unknown,
                    fmt::format("the connection was lost and could not be made again: {}", error.what()),
                    "What was under way is either wholly done or not at all: run the same command again to find out "
                    "and go on.");
      }
    }
    m_clock.sleep(k_reconnect_pause, m_stop);
    check_stop();
  }
}

}  // namespace ecmigrate
