#include <fmt/format.h>

#include <future>

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

/// A database with 3,002 users of which none is filled.
void expand_users(Database& database) {
  database.exec(k_users);
  migrate(database, k_split, "expand");
}

/// Wide rows, so that filling all of them writes some 10 MB of WAL.
void expand_wide_users(Database& database) {
  database.exec(
      "create table users (id int primary key, full_name text not null, note text not null default repeat('n', 500)); "
      "insert into users (id, full_name) select i, 'Ann Lee' || i from generate_series(1, 12000) i; analyze users");
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

TEST_CASE("autovacuum that has to prevent wraparound on the table pauses the backfill") {
  Database database(loaded_server().conninfo());
  expand_users(database);
  // A vacuum that takes an hour, and more transactions than the table may wait for.
  database.exec("alter table users set (autovacuum_vacuum_cost_delay = 100, autovacuum_vacuum_cost_limit = 1)");
  database.exec(
      "create table burnt (n int); do $$ begin for i in 1..110000 loop begin insert into burnt values (1); exception when others then null; end; end loop; end $$");
  const std::string worker = "from pg_stat_progress_vacuum where relid = 'users'::regclass";
  database.wait_for("exists (select " + worker + ")");
  CHECK(backfill_pauses_for(database, "autovacuum works on the table to prevent wraparound", {}, [&] {
    // The next one comes within a second and would hold the table's lock again.
    for (bool changed = false; !changed;) {
      database.exec("select pg_terminate_backend(pid, 10000) " + worker);
      try {
        database.exec("set lock_timeout = '200ms'; alter table users reset (autovacuum_vacuum_cost_delay, autovacuum_vacuum_cost_limit)");
        changed = true;
      } catch (const pg::SqlError& error) {
        CHECK(error.sqlstate() == "55P03");
      }
    }
  }));
  check_all_filled(database);
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
  const OwnServer primary("full_page_writes=off");
  Database database(primary.conninfo());
  expand_wide_users(database);
  const OwnServer replica(&primary);
  pg::Connection standby({replica.conninfo() + " dbname=postgres", "test", nullptr});
  database.wait_for("exists (select from pg_stat_replication where state = 'streaming' and replay_lsn = pg_current_wal_insert_lsn())");
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
  CHECK(watch.told.find("replica walreceiver is ") != std::string::npos);
  CHECK(watch.told.find("behind (limit 500 ms)") != std::string::npos);
  CHECK(watch.batches_later == watch.batches_at_pause);
  // The limit, the time between two looks, what the budget may save up, and one batch.
  const double batch = std::stod(database.value("select max(wal_bytes / batches) from ecmigrate.walks"));
  CHECK(watch.bytes_behind <= k_rate * (0.5 + 0.5 + 0.25) + 2 * batch);
  check_all_filled(database);
  CHECK(database.value("select rows = (select count(*) from users) from ecmigrate.walks") == "t");
}

}  // namespace ecmigrate::test
