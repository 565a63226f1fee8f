// A standby that does not answer keeps the runner waiting, and nobody else.

#include <future>

#include "ecmigrate/base/error.hpp"
#include "faults/faulty_run.hpp"
#include "support/catch.hpp"
#include "support/fixtures.hpp"

namespace ecmigrate::test {

TEST_CASE("nobody waits under the lock for a synchronous standby, and the step is not done before it has it",
          "[standby]") {
  const std::string phase = GENERATE("expand", "contract");
  const OwnServer primary("full_page_writes=off");
  const OwnServer standby(&primary, "wal_receiver_status_interval=1s");
  Database database(primary.conninfo());
  database.wait_for("exists (select from pg_stat_replication where state = 'streaming')");
  primary.set("synchronous_standby_names", "*");
  database.wait_for("exists (select from pg_stat_replication where sync_state in ('sync', 'quorum'))");
  database.exec(k_users);
  if (phase == "contract") {
    migrate(database, k_split, "expand backfill verify");
  }
  std::promise<void> cut_off;
  bool gone = false;
  const auto cut = [&](pg::CallMoment moment, int, std::string_view sql) {
    if (moment == pg::CallMoment::before && !gone && sql.find("lock table") != std::string_view::npos) {
      standby.stop();
      gone = true;
      cut_off.set_value();
    }
  };
  Recorder recorder;
  auto run = std::async(std::launch::async,
                        [&] { migrate_with(database, k_split, phase, system_clock(), recorder, {}, cut); });
  const std::string waits =
      "exists (select from pg_stat_activity where wait_event = 'SyncRep' and application_name like "
      "'ecmigrate%')";
  REQUIRE(cut_off.get_future().wait_for(std::chrono::minutes(1)) == std::future_status::ready);
  database.wait_for(waits);
  CHECK(database.value("select count(*) from pg_locks where relation = 'users'::regclass and mode = "
                       "'AccessExclusiveLock'") == "0");
  // What a client sees, at once.
  const auto client = database.connect("options='-c statement_timeout=20s'");
  CHECK_NOTHROW(client->query("select count(*) from users"));
  CHECK(database.value("select state from ecmigrate.migrations") == (phase == "expand" ? "expanding" : "contracting"));
  CHECK(run.wait_for(std::chrono::seconds(0)) == std::future_status::timeout);
  primary.set("synchronous_standby_names", "");
  CHECK_NOTHROW(run.get());
}

}  // namespace ecmigrate::test
