#include <fmt/format.h>

#include <future>
#include <tuple>

#include "support/catch.hpp"
#include "support/fixtures.hpp"
#include "support/pausing.hpp"

// Every signal is tripped on a real server, whose settings would disturb the other tests.

namespace ecmigrate::test {

namespace {

const OwnServer& loaded_server() {
  static const OwnServer server(
      "full_page_writes=off archive_mode=on archive_command=true max_prepared_transactions=4 autovacuum_naptime=1s "
      "autovacuum_freeze_max_age=100000");
  return server;
}

/// The same, by a role that owns the table and may see nothing of others. It may not even ask which system this is.
void expand_users_as_blind(Database& database) {
  database.exec(fmt::format(
      "create role blind login; grant create on database {} to blind; grant create on schema public to blind; "
      "revoke execute on function pg_control_system() from public; set role blind",
      database.name()));
  database.exec(k_users);
  database.exec("reset role");
  CHECK(run_program(database, {"expand", "PLAN", "--dbname", database.conninfo("user=blind")}, k_split).status == 0);
}

/// Whether a statement that would take long was cancelled. For threads, where Catch2 cannot check.
bool is_cancelled(const Database& database, const std::string& sql) {
  try {
    database.connect()->query(sql);
    return false;
  } catch (const pg::SqlError&) {
    return true;
  }
}

/// Sessions at work in a database, until they are told to stop.
class Busy {
 public:
  Busy(Database& database, int sessions) : m_database(database) {
    for (int i = 0; i < sessions; ++i) {
      m_sessions.push_back(
          std::async(std::launch::async, [&database] { return is_cancelled(database, "select pg_sleep(600)"); }));
    }
    database.wait_for(fmt::format(
        "count(*) = {} from pg_stat_activity where query = 'select pg_sleep(600)' and state = 'active'", sessions));
  }
  ~Busy() { stop(); }
  Busy(const Busy&) = delete;
  Busy& operator=(const Busy&) = delete;

  void stop() {
    m_database.exec(
        "select pg_cancel_backend(pid) from pg_stat_activity where query = 'select pg_sleep(600)' and state = "
        "'active'");
    for (std::future<bool>& session : m_sessions) {
      CHECK(session.get());
    }
    m_sessions.clear();
  }

 private:
  Database& m_database;
  std::vector<std::future<bool>> m_sessions;
};

void switch_wal(Database& database) {
  database.exec("select pg_logical_emit_message(false, 'test', 'something to switch from'); select pg_switch_wal()");
}

/// From here on nothing is archived. set() cannot tell: the archiver reloads on its own, and may archive some files
/// first.
void break_archiving(const OwnServer& server, Database& database) {
  server.set("archive_command", "false");
  const std::string failing =
      "(select coalesce(last_failed_time > coalesce(last_archived_time, '-infinity'), false) from pg_stat_archiver)";
  for (int i = 0; i < 20 && database.value("select " + failing) != "t"; ++i) {
    switch_wal(database);
    database.wait_for(failing + " or not exists (select from pg_ls_archive_statusdir() where name like '%.ready')");
  }
}

}  // namespace

TEST_CASE("sessions that wait for a lock of the backfill's pause it") {
  Database database;
  expand_users(database);
  CHECK(run_program(database, {"pause", "PLAN"}, k_split).status == 0);
  RunOptions options;
  options.pace.max_waiting_sessions = 1;
  options.max_duration = std::chrono::minutes(2);
  std::vector<std::future<bool>> waiting;
  // The run lock is the one that the backfill holds for long.
  ActsOn paused("paused by", [&] {
    const std::string lock = database.value(
        "select format('%s, %s', classid, objid::bigint::bit(32)::int) from pg_locks where locktype = 'advisory' and "
        "granted "
        "and database = (select oid from pg_database where datname = current_database())");
    for (int i = 0; i < 2; ++i) {
      waiting.push_back(std::async(std::launch::async, [&database, lock] {
        return is_cancelled(database, fmt::format("select pg_advisory_lock({})", lock));
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
  for (std::future<bool>& one : waiting) {
    CHECK(one.get());
  }
  check_all_filled(database);
}

TEST_CASE("WAL that cannot be archived pauses the backfill") {
  const OwnServer& server = loaded_server();
  Database database(server.conninfo());
  expand_users(database);
  break_archiving(server, database);
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
  database.wait_for("safe_wal_size is not null from pg_replication_slots");  // else this session has not reloaded yet
  for (int i = 0; i < 20 && database.value("select safe_wal_size < 32 * 1024 * 1024 from pg_replication_slots") != "t";
       ++i) {
    switch_wal(database);
  }
  CHECK(backfill_pauses_for(database, "replication slot lazy is about to lose WAL", {},
                            [&] { database.exec("select pg_drop_replication_slot('lazy')"); }));
  server.set("max_slot_wal_keep_size", "");
  check_all_filled(database);
}

namespace {

/// `storage`: what of the table's makes autovacuum come for it.
void check_pauses_for_wraparound_vacuum(Database& database, const std::string& role, const std::string& storage) {
  // A vacuum that takes an hour, for nothing but wraparound, and more transactions than the table may wait for.
  database.exec(
      "alter table users set (autovacuum_vacuum_cost_delay = 100, autovacuum_vacuum_cost_limit = 1, "
      "autovacuum_vacuum_insert_threshold = -1" +
      storage + ")");
  database.exec(
      "create table burnt (n int); do $$ begin for i in 1..110000 loop begin insert into burnt values (1); exception "
      "when others then null; end; end loop; end $$");
  const std::string worker =
      "from pg_stat_progress_vacuum v join pg_stat_activity a using (pid) where v.relid = 'users'::regclass and "
      "a.query like '%to prevent wraparound%'";
  database.wait_for("exists (select " + worker + ")");
  RunOptions options;
  options.max_duration = std::chrono::minutes(2);
  ActsOn observer("autovacuum works on the table to prevent wraparound", [&] {
    // The next worker comes within a second and would hold the table's lock again.
    for (bool changed = false; !changed;) {
      database.exec("select pg_terminate_backend(pid, 10000) " + worker);
      try {
        database.exec(
            "set lock_timeout = '200ms'; alter table users reset (autovacuum_vacuum_cost_delay, "
            "autovacuum_vacuum_cost_limit)");
        changed = true;
      } catch (const pg::SqlError& error) {
        CHECK(error.sqlstate() == "55P03");
      }
    }
  });
  backfill(database.conninfo(role), options, observer);
  database.exec("reset lock_timeout");  // what the caller tidies up may wait for the next worker
  CHECK(observer.seen());
  check_all_filled(database);
}

}  // namespace

TEST_CASE("autovacuum that has to prevent wraparound on the table pauses the backfill") {
  const OwnServer server("full_page_writes=off autovacuum_naptime=1s");
  Database database(server.conninfo());
  expand_users(database);
  check_pauses_for_wraparound_vacuum(database, "", ", autovacuum_freeze_max_age = 100000");
}

TEST_CASE("a role that may not see autovacuum pauses for it by its lock") {
  Database database(loaded_server().conninfo());
  expand_users_as_blind(database);
  check_pauses_for_wraparound_vacuum(database, "user=blind", "");
  database.exec("drop owned by blind cascade; drop role blind");
}

TEST_CASE("sessions at work pause the backfill, and above another limit end it", "[superuser]") {
  Database database;
  expand_users(database);
  RunOptions options;
  options.pace.max_active_sessions = 1;
  Busy busy(database, 2);
  const ProgramResult ended = run_program(database, {"backfill", "PLAN", "--abort-active-sessions", "1"}, k_split);
  CHECK(ended.status == 8);
  CHECK(ended.err.find("stopped at a checkpoint: 2 sessions are active (abort_active_sessions 1)") !=
        std::string::npos);
  CHECK(backfill_pauses_for(database, "2 sessions are active (limit 1)", options, [&] { busy.stop(); }));
  check_all_filled(database);
}

TEST_CASE("a limit that the role may not watch is refused at the start, with the grant", "[superuser]") {
  Database database;
  expand_users_as_blind(database);
  const auto backfill_as_blind = [&](const std::vector<std::string>& flags) {
    std::vector<std::string> arguments{"backfill", "PLAN", "--dbname", database.conninfo("user=blind")};
    arguments.insert(arguments.end(), flags.begin(), flags.end());
    return run_program(database, arguments, k_split);
  };
  for (const auto& [flag, value, why] :
       {std::tuple("--max-active-sessions", "5", "max_active_sessions: blind may not see other users' sessions"),
        std::tuple("--abort-active-sessions", "5", "abort_active_sessions: blind may not see other users' sessions"),
        std::tuple("--max-snapshot-age", "10m", "max_snapshot_age: blind may not see other users' sessions"),
        std::tuple("--max-archive-queue", "9", "max_archive_queue: blind may not see the archive's queue")}) {
    const ProgramResult refused = backfill_as_blind({flag, value});
    INFO(refused.err);
    CHECK(refused.status == 3);
    CHECK(refused.err.find(why) != std::string::npos);
    CHECK(refused.err.find("grant pg_monitor to blind") != std::string::npos);
  }
  CHECK(database.value("select state from ecmigrate.migrations") == "expanded");
  // What is set from outside wins.
  CHECK(run_program(database, {"set", "PLAN", "max_active_sessions=0", "--dbname", database.conninfo("user=blind")},
                    k_split)
            .status == 0);
  CHECK(backfill_as_blind({"--max-active-sessions", "5"}).status == 0);
  database.exec("grant pg_monitor to blind");
  CHECK(backfill_as_blind({"--max-archive-queue", "100000"}).status == 0);
  check_all_filled(database);
  database.exec("drop owned by blind cascade; drop role blind");
}

TEST_CASE("a plan's limit that the role may not watch is refused before anything is written", "[superuser]") {
  Database database;
  database.exec(k_users);
  database.exec(
      fmt::format("create role blind login; grant create on database {} to blind; alter table users owner to "
                  "blind; grant create on schema public to blind",
                  database.name()));
  const std::string plan = std::string(k_split) + "backfill: { max_active_sessions: 5 }\n";
  const auto as_blind = [&](const std::string& command) {
    return run_program(database, {command, "PLAN", "--dbname", database.conninfo("user=blind")}, plan);
  };
  const std::string what = "max_active_sessions: blind may not see other users' sessions";
  const std::string remedy = "grant pg_monitor to blind; or set max_active_sessions to 0";
  const ProgramResult planned = as_blind("plan");
  CHECK(planned.status == 0);
  CHECK(planned.out.find("  backfill will be refused: " + what + "\n    Run: " + remedy) != std::string::npos);
  const ProgramResult refused = as_blind("run");
  CHECK(refused.status == 3);
  CHECK(refused.err.find("error: " + what) != std::string::npos);
  CHECK(refused.err.find(remedy) != std::string::npos);
  CHECK(database.value("select to_regnamespace('ecmigrate')") == "null");
  const ProgramResult expanded = as_blind("expand");
  CHECK(expanded.status == 0);
  CHECK(expanded.err.find("warning: backfill will be refused: " + what) != std::string::npos);
  database.exec("drop owned by blind cascade; drop role blind");
}

TEST_CASE("a right to see that is taken away meanwhile is a reason to stop, which names the grant", "[superuser]") {
  Database database;
  expand_users_as_blind(database);
  database.exec("grant pg_monitor to blind");
  RunOptions options;
  options.max_duration = std::chrono::minutes(2);
  options.pace.max_active_sessions = 1000;
  options.pace.max_archive_queue = 100'000;
  options.pace.max_rows_rate = 1'000;  // so that it lasts
  ActsOn begun("kept to max_rows_rate", [&] { database.exec("revoke pg_monitor from blind"); });
  ActsOn paused("grant pg_monitor", [&] { database.exec("grant pg_monitor to blind"); });
  Both both(begun, paused);
  backfill(database.conninfo("user=blind"), options, both);
  CHECK(paused.seen());
  CHECK(paused.told().find("other users' sessions cannot be watched") != std::string::npos);
  CHECK(paused.told().find("the archive's queue cannot be read") != std::string::npos);
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
  // A commit that finds another one waiting is written with that, so not each takes as long: time for several looks.
  const ProgramResult ended = run_program(
      database, {"backfill", "PLAN", "--abort-commit-latency", "50ms", "--max-rows-rate", "100/s"}, k_split);
  CHECK(ended.status == 8);
  CHECK(ended.err.find("stopped at a checkpoint: a commit takes ") != std::string::npos);
  CHECK(ended.err.find("(abort_commit_latency 50.0 ms)") != std::string::npos);
  RunOptions options;
  options.pace.max_commit_latency = std::chrono::milliseconds(50);
  options.pace.max_rows_rate = 1'000;
  CHECK(backfill_pauses_for(database, "a commit takes ", options, [&] { server.set("commit_delay", ""); }));
  server.set("commit_siblings", "");
  check_all_filled(database);
}

TEST_CASE("WAL files that wait to be archived pause the backfill") {
  const OwnServer& server = loaded_server();
  Database database(server.conninfo());
  expand_users(database);
  break_archiving(server, database);
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

TEST_CASE("an old snapshot pauses the backfill, which names its holder", "[superuser]") {
  Database database;
  expand_users(database);
  // Another database's does not count: it keeps no row of ours.
  Database other;
  other.exec("begin isolation level repeatable read; select txid_current()");
  const auto holder = database.connect("application_name=report");
  holder->script("begin isolation level repeatable read; select 1");
  RunOptions options;
  options.pace.max_snapshot_age = std::chrono::milliseconds(1);
  CHECK(backfill_pauses_for(
      database,
      fmt::format("keeps dead rows (limit 1.0 ms): pid {} postgres@report, idle in transaction", holder->backend_pid()),
      options, [&] { holder->query("commit"); }));
  check_all_filled(database);
  other.exec("commit");
}

TEST_CASE("a forgotten prepared transaction pauses the backfill", "[superuser]") {
  Database database;
  expand_users(database);
  database.exec("begin; create table held (n int); prepare transaction 'forgotten'");
  RunOptions options;
  options.pace.max_snapshot_age = std::chrono::milliseconds(1);
  CHECK(backfill_pauses_for(database, "prepared transaction forgotten of postgres", options,
                            [&] { database.exec("rollback prepared 'forgotten'"); }));
  check_all_filled(database);
}

}  // namespace ecmigrate::test
