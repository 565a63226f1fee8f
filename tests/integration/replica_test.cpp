#include <fmt/format.h>

#include "ecmigrate/base/error.hpp"
#include "support/catch.hpp"
#include "support/fixtures.hpp"
#include "support/pausing.hpp"

namespace ecmigrate::test {

namespace {

const OwnServer& replicated_server() {
  static const OwnServer server("full_page_writes=off");
  return server;
}

/// Its replica, which has caught up.
const OwnServer& replica(Database& database) {
  static const OwnServer server(&replicated_server(), "wal_receiver_status_interval=1s");
  const std::string written = database.value("select pg_current_wal_lsn()");
  database.wait_for("exists (select from pg_stat_replication where state = 'streaming' and replay_lsn >= '" + written +
                    "')");
  return server;
}

}  // namespace

namespace {

/// While the backfill is paused for a replica: what it has written, and how far the replica is behind.
class WatchesLag final : public Observer {
 public:
  explicit WatchesLag(Database& primary, std::function<void()> resume)
      : m_primary(primary), m_resume(std::move(resume)) {}

  void on(const Event& event) override {
    const auto* progress = std::get_if<event::Progress>(&event);
    if (progress == nullptr || progress->slow_because.find("behind") == std::string::npos) {
      return;
    }
    ++m_looks;
    const std::string done = m_primary.value("select sum(batches) from ecmigrate.windows");
    if (m_looks == 1) {
      batches_at_pause = done;
      bytes_behind = std::stod(m_primary.value(
          "select max(pg_wal_lsn_diff(pg_current_wal_insert_lsn(), replay_lsn)) from pg_stat_replication"));
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

TEST_CASE("a replica whose replay stands still pauses the backfill until it has caught up", "[standby]") {
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
  options.pace.workers = 1;  // so that no batch is under way when it pauses
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
  // The limit, what the budget may save up, and the batch since the last look, which may be longer than a window's
  // mean.
  const double batch =
      std::stod(database.value("select max(wal_bytes / batches) from ecmigrate.windows where batches > 0"));
  CHECK(watch.bytes_behind <= k_rate * (0.5 + 0.25) + 4 * batch);
  check_all_filled(database);
  CHECK(database.value("select sum(rows) = (select count(*) from users) from ecmigrate.windows") == "t");
}

TEST_CASE("a replica that the role may not watch is named at the start, before anything is written", "[standby]") {
  Database database(replicated_server().conninfo());
  database.exec(k_users);
  replica(database);
  database.exec(
      fmt::format("create role blind login; grant create on database {} to blind; alter table users owner to "
                  "blind; grant create on schema public to blind",
                  database.name()));
  const auto run_as_blind = [&](const std::vector<std::string>& flags) {
    std::vector<std::string> arguments{"run", "PLAN", "--dbname", database.conninfo("user=blind")};
    arguments.insert(arguments.end(), flags.begin(), flags.end());
    return run_program(database, arguments, k_split);
  };
  const ProgramResult refused = run_as_blind({});
  INFO(refused.err);
  CHECK(refused.status == 3);
  CHECK(refused.err.find("max_replica_lag: blind may not see how far replica walreceiver is behind") !=
        std::string::npos);
  CHECK(refused.err.find("grant pg_monitor to blind; or set max_replica_lag to 0") != std::string::npos);
  CHECK(database.value("select to_regnamespace('ecmigrate')") == "null");
  CHECK(run_as_blind({"--max-replica-lag", "0s"}).status == 0);
  check_all_filled(database);
  database.exec("drop owned by blind cascade; drop role blind");
}

TEST_CASE("a replica that was there at the start and goes away pauses the backfill", "[standby]") {
  const OwnServer primary("full_page_writes=off");
  Database database(primary.conninfo());
  expand_users(database);
  const OwnServer other(&primary, "wal_receiver_status_interval=1s");
  database.wait_for("exists (select from pg_stat_replication where state = 'streaming' and replay_lsn is not null)");
  RunOptions options;
  options.max_duration = std::chrono::minutes(2);
  options.pace.replicas = 1;
  options.pace.max_rows_rate = 1'000;  // so that it lasts
  ActsOn begun("kept to max_rows_rate", [&] { other.stop(); });
  ActsOn paused("0 of 1 replicas are connected", [&] {
    CHECK(run_program(database, {"set", "PLAN", "replicas=0"}, k_split).status == 0);
  });
  Both both(begun, paused);
  backfill(database.conninfo(), options, both);
  CHECK(paused.seen());
  check_all_filled(database);
}

TEST_CASE("a query on a replica that keeps dead rows pauses the backfill", "[standby]") {
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

TEST_CASE("a replica that is too far behind ends the backfill at a checkpoint, from which the next run goes on",
          "[standby]") {
  Database database(replicated_server().conninfo());
  expand_wide_users(database);
  pg::Connection standby({replica(database).conninfo() + " dbname=postgres", "test", nullptr});
  standby.query("select pg_wal_replay_pause()");
  const ProgramResult ended = run_program(
      database,
      {"backfill", "PLAN", "--max-replica-lag", "0s", "--abort-replica-lag", "300ms", "--max-wal-rate", "2MB/s"},
      k_split);
  standby.query("select pg_wal_replay_resume()");
  CHECK(ended.status == 8);
  CHECK(ended.err.find("stopped at a checkpoint: replica walreceiver is ") != std::string::npos);
  CHECK(database.value("select finished from ecmigrate.walks") == "f");
  CHECK(database.value("select sum(rows) = (select count(*) from users where first_name is not null) and sum(rows) > 0 "
                       "from ecmigrate.windows") == "t");
  CHECK(run_program(database, {"backfill", "PLAN"}, k_split).status == 0);
  check_all_filled(database);
}

TEST_CASE("a backfill goes on after a failover to a replica, and says so", "[standby]") {
  const OwnServer primary("full_page_writes=off");
  Database database(primary.conninfo());
  expand_wide_users(database);
  const OwnServer other(&primary, "wal_receiver_status_interval=1s");
  const std::string written = database.value("select pg_current_wal_lsn()");
  database.wait_for("exists (select from pg_stat_replication where state = 'streaming' and replay_lsn >= '" + written +
                    "')");
  const std::string conninfo =
      fmt::format("host={},{} port=5432,5432 user=postgres dbname={} target_session_attrs=read-write", primary.folder(),
                  other.folder(), database.name());
  RunOptions options;
  options.pace.max_rows_rate = 2000;  // less than any machine can do
  options.max_duration = std::chrono::minutes(2);
  // In the middle of it, the primary crashes and the replica takes over.
  ActsOn fails_over("kept to max_rows_rate", [&] {
    CHECK(database.value(
              "select (select sum(rows) from ecmigrate.windows) > 0 and not finished from ecmigrate.walks") == "t");
    primary.stop();
    CHECK(pg::Connection({other.conninfo() + " dbname=postgres", "test", nullptr})
              .query("select pg_promote()")
              .boolean(0, 0));
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
  CHECK(survivor.query("select sum(rows) from ecmigrate.windows").integer(0, 0) == 12000);
}

TEST_CASE("a backfill stops when another system answers at the same address", "[standby]") {
  const OwnServer server("full_page_writes=off");
  auto database = std::make_unique<Database>(server.conninfo());
  expand_wide_users(*database);
  const std::string name = database->name();
  const std::string conninfo = database->conninfo();
  RunOptions options;
  options.pace.max_rows_rate = 2000;  // less than any machine can do
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
