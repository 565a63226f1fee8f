#include <fmt/format.h>

#include <future>

#include "ecmigrate/base/error.hpp"
#include "ecmigrate/engine/windows.hpp"
#include "support/catch.hpp"
#include "support/fixtures.hpp"
#include "support/pausing.hpp"

// Every signal is tripped on a real server, whose settings would disturb the other tests.

namespace ecmigrate::test {

namespace {

const OwnServer& loaded_server() {
  static const OwnServer server(
      "full_page_writes=off archive_mode=on archive_command=true max_prepared_transactions=4 autovacuum_naptime=1s autovacuum_freeze_max_age=100000");
  return server;
}

const OwnServer& replicated_server() {
  static const OwnServer server("full_page_writes=off autovacuum_naptime=1s");
  return server;
}

/// Its replica, which has caught up.
const OwnServer& replica(Database& database) {
  static const OwnServer server(&replicated_server(), "wal_receiver_status_interval=1s");
  const std::string written = database.value("select pg_current_wal_lsn()");
  database.wait_for("exists (select from pg_stat_replication where state = 'streaming' and replay_lsn >= '" + written + "')");
  return server;
}

/// A database with 3,002 users of which none is filled.
void expand_users(Database& database) {
  database.exec(k_users);
  migrate(database, k_split, "expand");
}

/// The same, by a role that owns the table and may see nothing of others. It may not even ask which system this is.
void expand_users_as_blind(Database& database) {
  database.exec(fmt::format("create role blind login; grant create on database {} to blind; grant create on schema public to blind; "
                            "revoke execute on function pg_control_system() from public; set role blind", database.name()));
  database.exec(k_users);
  database.exec("reset role");
  CHECK(run_program(database, {"expand", "PLAN", "--dbname", database.conninfo("user=blind")}, k_split).status == 0);
}

/// Wide rows, so that filling 12,000 of them writes some 10 MB of WAL.
void expand_wide_users(Database& database, int rows = 12'000) {
  database.exec(fmt::format(
      "create table users (id int primary key, full_name text not null, note text not null default repeat('n', 500)); "
      "insert into users (id, full_name) select i, 'Ann Lee' || i from generate_series(1, {}) i; analyze users", rows));
  migrate(database, k_split, "expand");
}

void check_all_filled(Database& database) {
  CHECK(database.value("select count(*) from users where first_name is null") == "0");
}

/// Tells two observers.
class Both final : public Observer {
 public:
  Both(Observer& first, Observer& second) : m_first(first), m_second(second) {}
  void on(const Event& event) override {
    m_first.on(event);
    m_second.on(event);
  }

 private:
  Observer& m_first;
  Observer& m_second;
};

/// Sessions at work in a database, until they are told to stop.
class Busy {
 public:
  Busy(Database& database, int sessions) : m_database(database) {
    for (int i = 0; i < sessions; ++i) {
      m_sessions.push_back(std::async(std::launch::async, [&database] { CHECK_THROWS_AS(database.connect()->query("select pg_sleep(600)"), pg::SqlError); }));
    }
    database.wait_for(fmt::format("count(*) = {} from pg_stat_activity where query = 'select pg_sleep(600)' and state = 'active'", sessions));
  }
  ~Busy() { stop(); }
  Busy(const Busy&) = delete;
  Busy& operator=(const Busy&) = delete;

  void stop() { m_database.exec("select pg_cancel_backend(pid) from pg_stat_activity where query = 'select pg_sleep(600)' and state = 'active'"); }

 private:
  Database& m_database;
  std::vector<std::future<void>> m_sessions;
};

void switch_wal(Database& database) {
  database.exec("select pg_logical_emit_message(false, 'test', 'something to switch from'); select pg_switch_wal()");
}

}  // namespace

TEST_CASE("sessions that wait for a lock of the backfill's pause it") {
  Database database;
  expand_users(database);
  CHECK(run_program(database, {"pause", "PLAN"}, k_split).status == 0);
  RunOptions options;
  options.pace.max_waiting_sessions = 1;
  options.max_duration = std::chrono::minutes(2);
  std::vector<std::future<void>> waiting;
  // The run lock is the one that the backfill holds for long.
  ActsOn paused("paused by", [&] {
    const std::string lock = database.value(
        "select format('%s, %s', classid, objid::bigint::bit(32)::int) from pg_locks where locktype = 'advisory' and granted "
        "and database = (select oid from pg_database where datname = current_database())");
    for (int i = 0; i < 2; ++i) {
      waiting.push_back(std::async(std::launch::async, [&database, lock] {
        CHECK_THROWS_AS(database.connect()->query(fmt::format("select pg_advisory_lock({})", lock)), pg::SqlError);
      }));
    }
    database.wait_for("count(*) = 2 from pg_locks where locktype = 'advisory' and not granted");
    CHECK(run_program(database, {"resume", "PLAN"}, k_split).status == 0);
  });
  ActsOn waited("2 sessions wait for the backfill's locks", [&] {
    database.exec("select pg_cancel_backend(pid) from pg_locks where locktype = 'advisory' and not granted");
  });
  Both both(paused, waited);
  backfill(database.conninfo(), options, both);
  CHECK(waited.seen());
  check_all_filled(database);
}

TEST_CASE("WAL that cannot be archived pauses the backfill") {
  const OwnServer& server = loaded_server();
  Database database(server.conninfo());
  expand_users(database);
  server.set("archive_command", "false");
  switch_wal(database);
  database.wait_for("last_failed_time > coalesce(last_archived_time, '-infinity') from pg_stat_archiver");
  CHECK(backfill_pauses_for(database, "WAL archiving fails", {}, [&] {
    server.set("archive_command", "");
    switch_wal(database);
  }));
  check_all_filled(database);
}

TEST_CASE("a replication slot that is about to lose WAL pauses the backfill") {
  const OwnServer& server = loaded_server();
  Database database(server.conninfo());
  expand_users(database);
  server.set("max_slot_wal_keep_size", "64MB");
  database.exec("select pg_create_physical_replication_slot('lazy', true)");
  for (int i = 0; i < 20 && database.value("select safe_wal_size < 32 * 1024 * 1024 from pg_replication_slots") == "f"; ++i) {
    switch_wal(database);
  }
  CHECK(backfill_pauses_for(database, "replication slot lazy is about to lose WAL", {}, [&] { database.exec("select pg_drop_replication_slot('lazy')"); }));
  server.set("max_slot_wal_keep_size", "");
  check_all_filled(database);
}

namespace {

/// `storage`: what of the table's makes autovacuum come for it.
void check_pauses_for_wraparound_vacuum(Database& database, const std::string& role, const std::string& storage) {
  // A vacuum that takes an hour, and more transactions than the table may wait for.
  database.exec("alter table users set (autovacuum_vacuum_cost_delay = 100, autovacuum_vacuum_cost_limit = 1" + storage + ")");
  database.exec(
      "create table burnt (n int); do $$ begin for i in 1..110000 loop begin insert into burnt values (1); exception when others then null; end; end loop; end $$");
  const std::string worker = "from pg_stat_progress_vacuum where relid = 'users'::regclass";
  database.wait_for("exists (select " + worker + ")");
  RunOptions options;
  options.max_duration = std::chrono::minutes(2);
  ActsOn observer("autovacuum works on the table to prevent wraparound", [&] {
    // The next worker comes within a second and would hold the table's lock again.
    for (bool changed = false; !changed;) {
      database.exec("select pg_terminate_backend(pid, 10000) " + worker);
      try {
        database.exec("set lock_timeout = '200ms'; alter table users reset (autovacuum_vacuum_cost_delay, autovacuum_vacuum_cost_limit)");
        changed = true;
      } catch (const pg::SqlError& error) {
        CHECK(error.sqlstate() == "55P03");
      }
    }
  });
  backfill(database.conninfo(role), options, observer);
  CHECK(observer.seen());
  check_all_filled(database);
}

}  // namespace

TEST_CASE("autovacuum that has to prevent wraparound on the table pauses the backfill") {
  Database database(replicated_server().conninfo());
  expand_users(database);
  check_pauses_for_wraparound_vacuum(database, "", ", autovacuum_freeze_max_age = 100000");
}

TEST_CASE("a role that may not see autovacuum pauses for it by its lock") {
  Database database(loaded_server().conninfo());
  expand_users_as_blind(database);
  check_pauses_for_wraparound_vacuum(database, "user=blind", "");
  database.exec("drop owned by blind cascade; drop role blind");
}

namespace {

/// While the backfill is paused for a replica: what it has written, and how far the replica is behind.
class WatchesLag final : public Observer {
 public:
  explicit WatchesLag(Database& primary, std::function<void()> resume) : m_primary(primary), m_resume(std::move(resume)) {}

  void on(const Event& event) override {
    const auto* progress = std::get_if<event::Progress>(&event);
    if (progress == nullptr || progress->slow_because.find("behind") == std::string::npos) {
      return;
    }
    ++m_looks;
    const std::string done = m_primary.value("select sum(batches) from ecmigrate.walks");
    if (m_looks == 1) {
      batches_at_pause = done;
      bytes_behind = std::stod(m_primary.value("select max(pg_wal_lsn_diff(pg_current_wal_insert_lsn(), replay_lsn)) from pg_stat_replication"));
      told = progress->slow_because;
    } else if (m_looks == 4) {
      batches_later = done;
      m_resume();
    }
  }

  std::string told;
  std::string batches_at_pause;
  std::string batches_later;
  double bytes_behind = 0;

 private:
  Database& m_primary;
  std::function<void()> m_resume;
  int m_looks = 0;
};

}  // namespace

TEST_CASE("a replica whose replay stands still pauses the backfill until it has caught up") {
  Database database(replicated_server().conninfo());
  expand_wide_users(database);
  pg::Connection standby({replica(database).conninfo() + " dbname=postgres", "test", nullptr});
  standby.query("select pg_wal_replay_pause()");
  RunOptions options;
  // With a budget, WAL behind is a question of time, on a slow machine too.
  constexpr double k_rate = 2.0 * 1024 * 1024;
  options.pace.max_wal_rate = k_rate;
  options.pace.max_replica_lag = std::chrono::milliseconds(500);
  options.pace.target_batch = std::chrono::milliseconds(10);
  options.max_duration = std::chrono::minutes(2);
  WatchesLag watch(database, [&] {
    standby.query("select pg_wal_replay_resume()");
    CHECK(run_program(database, {"set", "PLAN", "max_wal_rate=0/s"}, k_split).status == 0);
  });
  backfill(database.conninfo(), options, watch);
  standby.query("select pg_wal_replay_resume()");  // where the test failed
  CHECK(watch.told.find("replica walreceiver is ") != std::string::npos);
  CHECK(watch.told.find("behind (limit 500 ms)") != std::string::npos);
  CHECK(watch.batches_later == watch.batches_at_pause);
  // The limit, the time between two looks, what the budget may save up, and one batch.
  const double batch = std::stod(database.value("select max(wal_bytes / batches) from ecmigrate.walks"));
  CHECK(watch.bytes_behind <= k_rate * (0.5 + 0.5 + 0.25) + 2 * batch);
  check_all_filled(database);
  CHECK(database.value("select rows = (select count(*) from users) from ecmigrate.walks") == "t");
}

TEST_CASE("sessions at work pause the backfill, and above another limit end it") {
  Database database;
  expand_users(database);
  RunOptions options;
  options.pace.max_active_sessions = 1;
  Busy busy(database, 2);
  const ProgramResult ended = run_program(database, {"backfill", "PLAN", "--abort-active-sessions", "1"}, k_split);
  CHECK(ended.status == 8);
  CHECK(ended.err.find("stopped at a checkpoint: 2 sessions are active (abort_active_sessions 1)") != std::string::npos);
  CHECK(backfill_pauses_for(database, "2 sessions are active (limit 1)", options, [&] { busy.stop(); }));
  check_all_filled(database);
}

TEST_CASE("what a role may not see is a reason to stop, which names the grant") {
  Database database;
  expand_users_as_blind(database);
  RunOptions options;
  options.max_duration = std::chrono::minutes(2);
  options.pace.max_active_sessions = 5;
  options.pace.max_archive_queue = 100'000;
  ActsOn observer("grant pg_monitor", [&] { database.exec("grant pg_monitor to blind"); });
  backfill(database.conninfo("user=blind"), options, observer);
  CHECK(observer.seen());
  CHECK(observer.told().find("other users' sessions cannot be watched") != std::string::npos);
  CHECK(observer.told().find("the archive's queue cannot be read") != std::string::npos);
  check_all_filled(database);
  database.exec("drop owned by blind cascade; drop role blind");
}

TEST_CASE("slow commits pause the backfill, and above another limit end it") {
  const OwnServer& server = loaded_server();
  Database database(server.conninfo());
  expand_users(database);
  // Each commit that waits for the disk waits a tenth of a second first.
  server.set("commit_siblings", "0");
  server.set("commit_delay", "100000");
  const ProgramResult ended = run_program(database, {"backfill", "PLAN", "--abort-commit-latency", "80ms"}, k_split);
  CHECK(ended.status == 8);
  CHECK(ended.err.find("stopped at a checkpoint: a commit takes ") != std::string::npos);
  CHECK(ended.err.find("(abort_commit_latency 80.0 ms)") != std::string::npos);
  RunOptions options;
  options.pace.max_commit_latency = std::chrono::milliseconds(80);
  CHECK(backfill_pauses_for(database, "a commit takes ", options, [&] { server.set("commit_delay", ""); }));
  server.set("commit_siblings", "");
  check_all_filled(database);
}

TEST_CASE("WAL files that wait to be archived pause the backfill") {
  const OwnServer& server = loaded_server();
  Database database(server.conninfo());
  expand_users(database);
  server.set("archive_command", "false");
  for (int i = 0; i < 3; ++i) {
    switch_wal(database);
  }
  RunOptions options;
  options.pace.max_archive_queue = 2;
  CHECK(backfill_pauses_for(database, "WAL files wait to be archived (limit 2)", options, [&] {
    server.set("archive_command", "");
    switch_wal(database);
  }));
  check_all_filled(database);
}

TEST_CASE("an old snapshot pauses the backfill, which names its holder") {
  Database database;
  expand_users(database);
  // Another database's does not count: it keeps no row of ours.
  Database other;
  other.exec("begin isolation level repeatable read; select txid_current()");
  const auto holder = database.connect("application_name=report");
  holder->script("begin isolation level repeatable read; select 1");
  RunOptions options;
  options.pace.max_snapshot_age = std::chrono::milliseconds(1);
  CHECK(backfill_pauses_for(database, fmt::format("keeps dead rows (limit 1.0 ms): pid {} postgres@report, idle in transaction", holder->backend_pid()), options,
                            [&] { holder->query("commit"); }));
  check_all_filled(database);
  other.exec("commit");
}

TEST_CASE("a forgotten prepared transaction pauses the backfill") {
  Database database;
  expand_users(database);
  database.exec("begin; create table held (n int); prepare transaction 'forgotten'");
  RunOptions options;
  options.pace.max_snapshot_age = std::chrono::milliseconds(1);
  CHECK(backfill_pauses_for(database, "prepared transaction forgotten of postgres", options, [&] { database.exec("rollback prepared 'forgotten'"); }));
  check_all_filled(database);
}

TEST_CASE("a query on a replica that keeps dead rows pauses the backfill") {
  Database database(replicated_server().conninfo());
  expand_wide_users(database);
  const OwnServer& server = replica(database);
  server.set("hot_standby_feedback", "on");
  pg::Connection standby({server.conninfo() + " dbname=" + database.name(), "test", nullptr});
  standby.script("begin isolation level repeatable read; select count(*) from users");
  database.wait_for("exists (select from pg_stat_replication where backend_xmin is not null)");
  RunOptions options;
  options.pace.max_snapshot_age = std::chrono::milliseconds(300);
  options.pace.max_rows_rate = 8000;  // so that it lasts
  CHECK(backfill_pauses_for(database, "a query on replica walreceiver (pid ", options, [&] {
    standby.query("commit");
    CHECK(run_program(database, {"set", "PLAN", "max_rows_rate=0/s"}, k_split).status == 0);
  }));
  server.set("hot_standby_feedback", "");
  check_all_filled(database);
}

TEST_CASE("a replica that is too far behind ends the backfill at a checkpoint, from which the next run goes on") {
  Database database(replicated_server().conninfo());
  expand_wide_users(database);
  pg::Connection standby({replica(database).conninfo() + " dbname=postgres", "test", nullptr});
  standby.query("select pg_wal_replay_pause()");
  const ProgramResult ended =
      run_program(database, {"backfill", "PLAN", "--max-replica-lag", "0s", "--abort-replica-lag", "300ms", "--max-wal-rate", "2MB/s"}, k_split);
  standby.query("select pg_wal_replay_resume()");
  CHECK(ended.status == 8);
  CHECK(ended.err.find("stopped at a checkpoint: replica walreceiver is ") != std::string::npos);
  CHECK(database.value("select finished from ecmigrate.walks") == "f");
  CHECK(database.value("select rows = (select count(*) from users where first_name is not null) and rows > 0 from ecmigrate.walks") == "t");
  CHECK(run_program(database, {"backfill", "PLAN"}, k_split).status == 0);
  check_all_filled(database);
}

TEST_CASE("a query of the user's ends the backfill") {
  Database database;
  expand_users(database);
  const ProgramResult ended = run_program(database, {"backfill", "PLAN", "--abort-query", "select true"}, k_split);
  CHECK(ended.status == 8);
  CHECK(ended.err.find("stopped at a checkpoint: abort_query says so") != std::string::npos);
  CHECK(database.value("select outcome from ecmigrate.runs order by id desc limit 1") == "work_remains");
}

namespace {

std::vector<Window> windows(const std::string& text) {
  std::vector<Window> read;
  REQUIRE(parse_windows(text, read).empty());
  return read;
}

}  // namespace

TEST_CASE("outside its windows the backfill waits, and says when the next begins", "[version]") {
  Database database;
  expand_users(database);
  const auto around_now = [&](const std::string& from, const std::string& to) {
    return database.value(fmt::format("select to_char(t + interval '{}', 'HH24:MI-') || to_char(t + interval '{}', 'HH24:MI') || ' UTC' from (select now() at time zone 'UTC' as t) n", from, to));
  };
  RunOptions options;
  const std::string later = around_now("2 hours", "3 hours");
  options.pace.windows = windows(later);
  const std::string begins = later.substr(0, 5) + " UTC";
  CHECK(backfill_pauses_for(database, begins, options, [&] {
    CHECK(database.value("select count(*) from users where first_name is not null") == "0");
    CHECK(run_program(database, {"set", "PLAN", "windows=" + around_now("-1 hour", "1 hour")}, k_split).status == 0);
  }));
  check_all_filled(database);
}

TEST_CASE("windows follow the clocks on the wall, by the server's knowledge of time zones", "[version]") {
  Database database;
  const auto connection = database.connect("options='-c TimeZone=Asia/Tokyo'");
  const auto next = [&](const std::string& text, const std::string& at) { return next_window(*connection, windows(text), at).value_or("open"); };
  CHECK_FALSE(next_window(*connection, {}));
  CHECK(next("22:00-06:00 Europe/Berlin", "2026-11-23 21:59:59 Europe/Berlin") == "Mon 22:00 Europe/Berlin");
  CHECK(next("22:00-06:00 Europe/Berlin", "2026-11-23 22:00 Europe/Berlin") == "open");
  CHECK(next("22:00-06:00 Europe/Berlin", "2026-11-24 05:59 Europe/Berlin") == "open");
  CHECK(next("22:00-06:00 Europe/Berlin", "2026-11-24 06:00 Europe/Berlin") == "Tue 22:00 Europe/Berlin");
  // Summer time ends on 25 October: 03:00 comes back as 02:00.
  CHECK(next("02:30-02:45 Europe/Berlin", "2026-10-25 01:40 UTC") == "open");
  CHECK(next("22:00-06:00 Europe/Berlin", "2026-10-25 04:59 UTC") == "open");
  CHECK(next("22:00-06:00 Europe/Berlin", "2026-10-24 04:01 UTC") == "Sat 22:00 Europe/Berlin");
  // Without a zone it is the server's.
  CHECK(next("09:00-10:00", "2026-11-23 00:30 UTC") == "open");
  CHECK(next("09:00-10:00", "2026-11-23 01:00 UTC") == "Tue 09:00 Asia/Tokyo");
  // Days are those on which a window begins.
  CHECK(next("Fri 22:00-06:00 UTC", "2026-11-28 05:00 UTC") == "open");
  CHECK(next("Fri 22:00-06:00 UTC", "2026-11-28 23:00 UTC") == "Fri 22:00 UTC");
  CHECK(next("Sat,Sun 00:00-24:00 UTC", "2026-11-29 23:59 UTC") == "open");
  CHECK(next("Sat,Sun 00:00-24:00 UTC", "2026-11-30 00:00 UTC") == "Sat 00:00 UTC");
  CHECK(next("01:00-02:00 UTC, 12:00-13:00 UTC", "2026-11-30 11:00 UTC") == "Mon 12:00 UTC");
}

TEST_CASE("a time zone that the server does not know is an error, not a pause", "[version]") {
  Database database;
  expand_users(database);
  const ProgramResult begun = run_program(database, {"backfill", "PLAN", "--windows", "22:00-06:00 Europe/Berln"}, k_split);
  CHECK(begun.status == 3);
  CHECK(begun.err.find("windows: the server knows no time zone \"Europe/Berln\"") != std::string::npos);
  const ProgramResult set = run_program(database, {"set", "PLAN", "windows=22:00-06:00 Europe/Berln"}, k_split);
  CHECK(set.status == 2);
  CHECK(database.value("select count(*) from ecmigrate.steering") == "0");
}

TEST_CASE("a throttled backfill rests, says by whose word, and goes on at once when told to", "[version]") {
  Database database;
  expand_users(database);
  CHECK(run_program(database, {"throttle", "PLAN", "0.99", "for", "2h"}, k_split).status == 0);
  CHECK(backfill_pauses_for(database, "throttled to 1 % by postgres until ", {}, [&] {
    CHECK(run_program(database, {"throttle", "PLAN", "0"}, k_split).status == 0);
  }));
  check_all_filled(database);
}

TEST_CASE("a throttle keeps its share of the time, and ends by itself", "[version]") {
  Database database;
  expand_wide_users(database, 1000);
  CHECK(run_program(database, {"throttle", "PLAN", "0.9"}, k_split).status == 0);
  CHECK(database.value("select throttle_until is null from ecmigrate.steering") == "t");
  RunOptions options;
  options.pace.target_batch = std::chrono::milliseconds(5);
  Recorder recorder;
  migrate(database, k_split, "backfill", &recorder, options);
  const event::WalkFinished finished = recorder.all<event::WalkFinished>().at(0);
  // Half of the batches took at least the median, and each is a tenth of its time at most. The last is not followed by a rest.
  CHECK(finished.duration_ms >= 10 * finished.batch_p50_ms * static_cast<double>(finished.batches - 1) / 2);
  database.exec("update ecmigrate.steering set throttle_until = now()");
  Recorder second;
  database.exec("update ecmigrate.walks set finished = false, page = 0, window_page = 0, pass = 0");
  migrate(database, k_split, "backfill", &second);
  for (const event::Progress& progress : second.all<event::Progress>()) {
    CHECK(progress.slow_because.find("throttled") == std::string::npos);
  }
}

TEST_CASE("status shows what was set from outside", "[version]") {
  Database database;
  expand_users(database);
  for (const std::vector<std::string>& steer : {std::vector<std::string>{"pause", "PLAN"}, {"throttle", "PLAN", "0.25", "for", "1h"}, {"set", "PLAN", "max_wal_rate=8MB/s"}}) {
    CHECK(run_program(database, steer, k_split).status == 0);
  }
  const std::string text = run_program(database, {"status"}).out;
  CHECK(text.find("  paused by postgres\n  throttled to 75 % by postgres until ") != std::string::npos);
  CHECK(text.find("  set: max_wal_rate=8MB/s\n") != std::string::npos);
  CHECK(run_program(database, {"status", "--json"}).out.find(R"("paused":true,"throttle":0.25,"limits":{"max_wal_rate":"8MB/s"})") != std::string::npos);
  CHECK(run_program(database, {"resume", "PLAN"}, k_split).status == 0);
  CHECK(run_program(database, {"throttle", "PLAN", "0"}, k_split).status == 0);
  CHECK(run_program(database, {"status"}).out.find(" by postgres") == std::string::npos);
}

TEST_CASE("a wrong throttle is refused", "[version]") {
  Database database;
  expand_users(database);
  for (const std::string ratio : {"1", "1.5", "half", "nan", "0.5x"}) {
    CHECK(run_program(database, {"throttle", "PLAN", ratio}, k_split).status == 2);
  }
  CHECK(run_program(database, {"throttle", "PLAN", "0.5", "2h"}, k_split).status == 2);
  CHECK(run_program(database, {"throttle", "PLAN", "0.5", "for", "ever"}, k_split).status == 2);
  CHECK(database.value("select count(*) from ecmigrate.steering") == "0");
}

TEST_CASE("a backfill goes on after a failover to a replica, and says so") {
  const OwnServer primary("full_page_writes=off");
  Database database(primary.conninfo());
  expand_wide_users(database);
  const OwnServer other(&primary, "wal_receiver_status_interval=1s");
  const std::string written = database.value("select pg_current_wal_lsn()");
  database.wait_for("exists (select from pg_stat_replication where state = 'streaming' and replay_lsn >= '" + written + "')");
  const std::string conninfo = fmt::format("host={},{} port=5432,5432 user=postgres dbname={} target_session_attrs=read-write", primary.folder(), other.folder(), database.name());
  RunOptions options;
  options.pace.max_rows_rate = 8000;
  options.max_duration = std::chrono::minutes(2);
  // In the middle of it, the primary crashes and the replica takes over.
  ActsOn fails_over("kept to max_rows_rate", [&] {
    CHECK(database.value("select rows > 0 and not finished from ecmigrate.walks") == "t");
    primary.stop();
    CHECK(pg::Connection({other.conninfo() + " dbname=postgres", "test", nullptr}).query("select pg_promote()").boolean(0, 0));
  });
  Recorder recorder;
  Both both(fails_over, recorder);
  backfill(conninfo, options, both);
  CHECK(fails_over.seen());
  std::string notes;
  for (const event::Note& note : recorder.all<event::Note>()) {
    notes += note.text + "\n";
  }
  CHECK(notes.find("the server failed over: timeline 1 → 2") != std::string::npos);
  pg::Connection survivor({conninfo, "test", nullptr});
  CHECK(survivor.query("select count(*) from users where first_name is null").integer(0, 0) == 0);
  CHECK(survivor.query("select rows from ecmigrate.walks").integer(0, 0) == 12000);
}

TEST_CASE("a backfill stops when another system answers at the same address") {
  const OwnServer server("full_page_writes=off");
  auto database = std::make_unique<Database>(server.conninfo());
  expand_wide_users(*database);
  const std::string name = database->name();
  const std::string conninfo = database->conninfo();
  RunOptions options;
  options.pace.max_rows_rate = 8000;
  options.max_duration = std::chrono::minutes(2);
  ActsOn replaced("kept to max_rows_rate", [&] {
    const std::string oid = database->value("select oid from pg_database where datname = current_database()");
    server.replace();
    // Its first database has the same name, and even the same number.
    pg::Connection fresh({server.conninfo() + " dbname=postgres", "test", nullptr});
    fresh.query("create database " + name);
    CHECK(fresh.query("select oid from pg_database where datname = '" + name + "'").text(0, 0) == oid);
  });
  try {
    backfill(conninfo, options, replaced);
    FAIL("it went on");
  } catch (const Error& error) {
    CHECK(error.outcome() == Outcome::outcome_unknown);
    CHECK(std::string(error.what()) == "after a lost connection another database answers");
  }
  CHECK(replaced.seen());
}

}  // namespace ecmigrate::test
