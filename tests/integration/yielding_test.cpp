// What runs beside the backfill gives way: its vacuum to who waits behind it, its questions to their timeouts and to a
// request to stop.

#include <fmt/format.h>

#include <atomic>
#include <future>

#include "ecmigrate/base/error.hpp"
#include "faults/faulty_run.hpp"
#include "support/catch.hpp"
#include "support/fixtures.hpp"
#include "support/pausing.hpp"

namespace ecmigrate::test {

namespace {

/// When the vacuum runs, asks for a lock that it stops; looks whether that came before the backfill was done.
class AsksForLock final : public Observer {
 public:
  explicit AsksForLock(Database& database) : m_database(database), m_client(database.connect()) {}

  void on(const Event& event) override {
    if (const auto* note = std::get_if<event::Note>(&event)) {
      m_vacuums = m_vacuums || note->text.find("vacuuming users") != std::string::npos;
    }
    if (!std::holds_alternative<event::Progress>(event) || !m_vacuums) {
      return;
    }
    if (!m_asked.valid()) {
      m_database.wait_for("exists (select from pg_stat_progress_vacuum where relid = 'users'::regclass)");
      m_asked = std::async(std::launch::async, [this] {
        m_client->script("begin; lock table users in share update exclusive mode; commit");
      });
    } else if (m_asked.wait_for(std::chrono::seconds(0)) == std::future_status::ready) {
      m_got_it = m_got_it || std::get<event::Progress>(event).percent < 99;
    }
  }
  [[nodiscard]] bool asked() const { return m_asked.valid(); }
  [[nodiscard]] bool got_it() const { return m_got_it; }

 private:
  Database& m_database;
  std::unique_ptr<pg::Connection> m_client;
  bool m_vacuums = false;
  bool m_got_it = false;
  std::future<void> m_asked;
};

}  // namespace

TEST_CASE("our vacuum is cancelled when somebody waits behind it") {
  Database database;
  // Each page costs a vacuum 8 ms, so that it would take longer than the backfill.
  for (const std::string setting : {"hit", "miss", "dirty"}) {
    database.exec(fmt::format("alter database {} set vacuum_cost_page_{} = 10000", database.name(), setting));
  }
  database.exec(
      "create table users (id bigint primary key, full_name text not null, note text not null default repeat('n', "
      "100)); alter table users set (autovacuum_enabled = false); insert into users select i, 'Ann' || i || ' Lee' || "
      "i "
      "from generate_series(1, 160000) i; create index on users (full_name)");
  // Pointers to deleted rows stay until a vacuum takes them; dead versions of updated rows are pruned by the batches.
  database.exec("delete from users where id % 4 = 0");
  database.wait_for("pg_stat_get_dead_tuples('users'::regclass) >= 40000");
  migrate(database, k_split, "expand");
  AsksForLock observer(database);
  RunOptions options;
  options.pace.max_rows_rate = 15'000;
  backfill(database.conninfo(), options, observer);
  REQUIRE(observer.asked());
  CHECK(observer.got_it());
  CHECK(database.value("select count(*) from users where first_name is null") == "0");
}

TEST_CASE("a pause_query that is no SELECT is refused before anything is done") {
  Database database;
  database.exec(k_users);
  database.exec(
      "create table busy (n int); insert into busy values (1); create procedure end_it() language plpgsql as "
      "'begin commit; end'");
  const std::string query =
      GENERATE("delete from busy returning n", "with gone as (delete from busy returning n) select n from gone",
               "commit", "set transaction read write", "call end_it()", "select 1; delete from busy",
               "select n into copy from busy", "selekt 1");
  INFO(query);
  RunOptions options;
  options.pace.pause_query = query;
  options.max_duration = std::chrono::seconds(3);
  const Error at_expand = error_of([&] { migrate(database, k_split, "expand", nullptr, options); });
  CHECK(at_expand.outcome() == Outcome::plan_invalid);
  CHECK(std::string(at_expand.what()).find("pause_query") != std::string::npos);
  CHECK(database.value("select to_regnamespace('ecmigrate')") == "null");
  migrate(database, k_split, "expand");
  const Error at_backfill = error_of([&] { migrate(database, k_split, "backfill", nullptr, options); });
  CHECK(at_backfill.outcome() == Outcome::plan_invalid);
  CHECK(database.value("select count(*) from busy") == "1");
}

TEST_CASE("a pause_query may end in a semicolon or a comment, and be more than one line") {
  Database database;
  expand_users(database);
  database.exec("create table busy (n int)");
  RunOptions options;
  options.pace.pause_query = GENERATE("select count(*)\nfrom busy; \n", "select count(*) from busy -- jobs",
                                      "table busy", "with b as (select n from busy) select count(*) from b");
  INFO(options.pace.pause_query);
  options.max_duration = std::chrono::minutes(1);
  migrate(database, k_split, "backfill", nullptr, options);
  check_all_filled(database);
}

TEST_CASE("a pause_query that does not answer pauses the backfill, and a stop does not wait for it") {
  Database database;
  expand_users(database);
  const auto holder = database.connect();
  holder->query("select pg_advisory_lock(42)");
  RunOptions options;
  options.pace.pause_query = "select pg_advisory_xact_lock_shared(42) is null";
  options.max_duration = std::chrono::minutes(2);
  Recorder recorder;
  std::stop_source stop;
  auto run = std::async(std::launch::async, [&] {
    migrate_with(database, k_split, "backfill", system_clock(), recorder, options, nullptr, stop.get_token());
  });
  database.wait_for("exists (select from pg_locks where locktype = 'advisory' and not granted)");
  stop.request_stop();
  const bool ended = run.wait_for(std::chrono::seconds(60)) == std::future_status::ready;
  CHECK(ended);
  holder->query("select pg_advisory_unlock(42)");
  CHECK_THROWS_AS(run.get(), pg::Stopped);

  holder->query("select pg_advisory_lock(42)");
  CHECK(backfill_pauses_for(database, "cannot be read", options,
                            [&] { holder->query("select pg_advisory_unlock(42)"); }));
  check_all_filled(database);
}

}  // namespace ecmigrate::test
