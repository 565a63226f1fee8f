#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "ecmigrate/base/error.hpp"
#include "support/catch.hpp"
#include "support/fixtures.hpp"
#include "support/pausing.hpp"
#include "support/plain_ddl.hpp"
#include "support/server.hpp"

namespace ecmigrate::test {

namespace {

/// About 2,600 full pages, so that there are several windows. No autovacuum: it would do the backfill's vacuum, and the
/// snapshot of an autoanalyze keeps replaced rows.
void make_many_users(Database& database, const std::string& options = {}) {
  database.exec(
      "create table users (id bigint primary key, full_name text not null, note text not null default repeat('n', "
      "100)) " +
      options);
  database.exec("alter table users set (autovacuum_enabled = false)");
  database.exec("insert into users select i, 'Ann' || i || ' Lee' || i from generate_series(1, 120000) i");
  database.exec("create index on users (full_name)");
  database.exec("vacuum analyze users");
}

RunOptions workers(int number) {
  RunOptions options;
  options.pace.workers = number;
  return options;
}

/// Holds the backfill up at its first vacuum until that is done: how long it takes is the machine's affair.
class WaitsForVacuum final : public Observer {
 public:
  explicit WaitsForVacuum(Database& database) : m_database(database) {}

  void on(const Event& event) override {
    // The note comes before the vacuum is sent, the next progress after.
    if (const auto* note = std::get_if<event::Note>(&event)) {
      m_begins = m_begins || note->text.find("vacuuming users") != std::string::npos;
    } else if (m_begins && !m_waited && std::holds_alternative<event::Progress>(event)) {
      m_waited = true;
      m_database.wait_for(
          "vacuum_count > 1 from pg_stat_user_tables where relname = 'users'");  // the first was the test's own
    }
  }
  [[nodiscard]] bool waited() const { return m_waited; }

 private:
  Database& m_database;
  bool m_begins = false;
  bool m_waited = false;
};

std::string pass_notes(const Recorder& recorder) {
  std::string notes;
  for (const event::Note& note : recorder.all<event::Note>()) {
    if (note.text.find(" pass") != std::string::npos) {
      notes += note.text + "\n";
    }
  }
  return notes;
}

constexpr const char* k_all_right =
    "select count(*) from users where first_name is distinct from split_part(full_name, ' ', 1) or last_name is "
    "distinct from split_part(full_name, ' ', 2)";

const std::string k_bad_plan = R"yaml(
name: parse
operations:
  - split_column:
      table: users
      column: full_name
      into:
        - { name: number, type: integer, nullable: false, up: "full_name::integer" }
      down: "number::text"
)yaml";

/// Two of 500 names are not numbers, and expand's trial of `up` does not meet them.
void make_users_with_bad_rows(Database& database) {
  database.exec("create table users (id bigint primary key, full_name text not null)");
  database.exec("insert into users select i, i::text from generate_series(1, 500) i");
  database.exec("update users set full_name = 'x' || id where id in (7, 333)");
  RunOptions options;
  options.check_rows = 1;
  migrate(database, k_bad_plan, "expand", nullptr, options);
}

}  // namespace

TEST_CASE("several workers fill a table, each row once, in windows side by side", "[version]") {
  const int number = GENERATE(1, 2, 4);
  Database database;
  make_many_users(database);
  migrate(database, k_split, "expand");
  Recorder recorder;
  migrate(database, k_split, "backfill", &recorder, workers(number));
  CHECK(database.value(k_all_right) == "0");
  CHECK(database.value("select sum(rows) from ecmigrate.windows") == "120000");
  CHECK(database.value("select bool_and(done) from ecmigrate.windows") == "t");
  // No page is in two windows, none is left out.
  CHECK(database.value("select count(*) from (select first_page, lag(end_page, 1, 0::bigint) over (order by "
                       "first_page) as before from ecmigrate.windows) w "
                       "where first_page <> before") == "0");
  CHECK(database.value("select max(end_page) = (select pages from ecmigrate.walks) from ecmigrate.windows") == "t");
  int at_once = 0;
  double percent = 0;
  for (const auto& progress : recorder.all<event::Progress>()) {
    at_once = std::max(at_once, progress.workers);
    CHECK(progress.percent >= percent);
    percent = progress.percent;
  }
  CHECK(percent == 100);
  CHECK(at_once <= number);
  // Where four share few processors, each may have to wait in the middle of a batch, and its snapshot keeps replaced
  // rows.
  CHECK(recorder.all<event::WalkFinished>().at(0).hot_percent > (number < 4 ? 70 : 50));
  migrate(database, k_split, "verify contract");
}

TEST_CASE("with several workers the leaves of a partitioned table are filled at the same time") {
  Database database;
  database.exec("create table users (id bigint primary key, full_name text not null) partition by range (id)");
  for (int i = 0; i < 4; ++i) {
    database.exec(fmt::format("create table users_{0} partition of users for values from ({1}) to ({2})", i,
                              i * 5000 + 1, (i + 1) * 5000 + 1));
  }
  database.exec("insert into users select i, 'Ann' || i || ' Lee' || i from generate_series(1, 20000) i");
  migrate(database, k_split, "expand");
  std::set<int> backends;
  int most = 0;
  std::set<int> busy;
  migrate(database, k_split, "backfill", nullptr, workers(4),
          [&](pg::CallMoment moment, int socket, std::string_view sql) {
            if (sql.find("update only \"public\".\"users_") != std::string_view::npos) {
              backends.insert(socket);
              moment == pg::CallMoment::before ? (void)busy.insert(socket) : (void)busy.erase(socket);
              most = std::max(most, static_cast<int>(busy.size()));
            }
          });
  CHECK(backends.size() > 1);
  CHECK(most > 1);
  CHECK(database.value(k_all_right) == "0");
  migrate(database, k_split, "verify contract");
}

TEST_CASE("the number of workers is changed from outside while they run") {
  Database database;
  make_many_users(database);
  migrate(database, k_split, "expand");
  bool changed = false;
  Recorder recorder;
  RunOptions options = workers(3);
  options.pace.max_rows_rate = 40'000;
  migrate(database, k_split, "backfill", &recorder, options, [&](pg::CallMoment, int, std::string_view sql) {
    if (!changed && fills(sql)) {
      changed = true;
      CHECK(run_program(database, {"set", "PLAN", "workers=1", "max_rows_rate=0/s"}, k_split).status == 0);
    }
  });
  CHECK(recorder.all<event::Progress>().back().workers <= 1);
  CHECK(database.value(k_all_right) == "0");
}

TEST_CASE("a second backfill of a finished table reads every row once and writes nothing", "[version]") {
  Database database;
  make_many_users(database);
  migrate(database, k_split, "expand backfill verify");
  const std::string versions = "select md5(string_agg(xmin::text || ctid::text, ',' order by id)) from users";
  const std::string before = database.value(versions);
  std::int64_t pages = 0;
  Recorder recorder;
  migrate(database, k_split, "backfill", &recorder, {});
  pages =
      std::stoll(database.value("select sum((end_page - first_page) * passes) from ecmigrate.windows where round = 1"));
  CHECK(std::to_string(pages) == database.value("select pages from ecmigrate.walks"));
  CHECK(database.value(versions) == before);
  CHECK(recorder.all<event::WalkFinished>().at(0).rows == 0);
  CHECK(database.value("select state from ecmigrate.migrations") == "verified");
  migrate(database, k_split, "contract");
}

TEST_CASE("a second backfill fills what became pending behind the trigger's back, and what was verified no longer is") {
  // Without NOT NULL on the new columns, which would not let it happen.
  std::string plan = k_split;
  for (std::size_t at = plan.find("false"); at != std::string::npos; at = plan.find("false")) {
    plan.replace(at, 5, "true");
  }
  Database database;
  database.exec(k_users);
  migrate(database, plan, "expand backfill verify");
  database.exec(
      "set session_replication_role = replica; insert into users (full_name, email) values ('Nob Ody', 'n'); reset "
      "session_replication_role");
  migrate(database, plan, "backfill");
  CHECK(database.value("select first_name from users where email = 'n'") == "Nob");
  CHECK(database.value("select state from ecmigrate.migrations") == "backfilled");
}

TEST_CASE("full pages are swept in many passes and most rows stay on them", "[version]") {
  Database database;
  make_many_users(database);
  migrate(database, k_split, "expand");
  Recorder recorder;
  migrate(database, k_split, "backfill", &recorder, workers(1));
  CHECK(pass_notes(recorder).find("16 passes: the pages are full") != std::string::npos);
  CHECK(recorder.all<event::WalkFinished>().at(0).hot_percent > 70);
}

TEST_CASE("pages with room are swept so often that every row fits", "[version]") {
  const auto [fillfactor, passes] =
      GENERATE(std::pair{"80", "select max(passes) between 4 and 12"}, std::pair{"40", "select max(passes) = 1"});
  Database database;
  make_many_users(database, fmt::format("with (fillfactor = {})", fillfactor));
  migrate(database, k_split, "expand");
  Recorder recorder;
  migrate(database, k_split, "backfill", &recorder, workers(1));
  INFO(pass_notes(recorder));
  CHECK(database.value(std::string(passes) + " from ecmigrate.windows") == "t");
  CHECK(recorder.all<event::WalkFinished>().at(0).hot_percent > 95);
}

TEST_CASE("one pass is chosen where a new column has an index, and it is named") {
  Database database;
  make_many_users(database);
  migrate(database, k_split, "expand");
  database.exec("create index users_first_name on users (lower(first_name))");
  Recorder recorder;
  migrate(database, k_split, "backfill", &recorder, workers(1));
  CHECK(pass_notes(recorder).find("1 pass: first_name has an index (users_first_name)") != std::string::npos);
  CHECK(database.value("select max(passes) from ecmigrate.windows") == "1");
}

TEST_CASE("one pass is chosen once a window has shown that rows do not stay, and the share is told") {
  Database database;
  make_many_users(database);
  database.exec(
      "create index on users (note); create function touch() returns trigger language plpgsql as "
      "'begin new.note := new.id || repeat(''m'', 95); return new; end'; "
      "create trigger touch before update on users for each row execute function touch(); alter table users enable "
      "always trigger touch");
  migrate(database, k_split, "expand");
  Recorder recorder;
  migrate(database, k_split, "backfill", &recorder, workers(1));
  CHECK(pass_notes(recorder).find("of the rows stayed on their pages") != std::string::npos);
  CHECK(database.value("select min(passes) from ecmigrate.windows") == "1");
  CHECK(database.value(k_all_right) == "0");
}

TEST_CASE("a table whose rows all move is vacuumed on the way, and does not double", "[version]") {
  Database database;
  make_many_users(database);
  migrate(database, k_split, "expand");
  database.exec("create index users_first_name on users (first_name)");
  const std::string size = "select pg_relation_size('users')";
  const double before = std::stod(database.value(size));
  RunOptions options = workers(1);
  options.pace.max_rows_rate = 15'000;  // so that the server has counted the dead rows
  WaitsForVacuum observer(database);
  backfill(database.conninfo(), options, observer);
  CHECK(observer.waited());
  CHECK(std::stod(database.value(size)) < 1.95 * before);
  CHECK(database.value(k_all_right) == "0");
}

TEST_CASE("a table whose rows stay on their pages is not vacuumed") {
  // On a busy machine a statement may take so long that its snapshot keeps the rows from staying: one of three tries.
  std::string vacuums;
  for (int i = 0; i < 3 && vacuums != "1"; ++i) {
    Database database;
    make_many_users(database);
    migrate(database, k_split, "expand");
    RunOptions options = workers(1);
    options.pace.max_rows_rate = 40'000;
    migrate(database, k_split, "backfill", nullptr, options);
    vacuums = database.value("select vacuum_count from pg_stat_user_tables where relname = 'users'");
  }
  CHECK(vacuums == "1");  // the test's own
}

TEST_CASE("a null in a NOT NULL column names the column and the row, not a constraint of ours") {
  Database database;
  database.exec(k_users);
  const std::string plan =
      "name: nulls\noperations:\n  - add_column: { table: users, up: \"nullif(email, 'user7@example.com')\", "
      "column: { name: mail, type: text, nullable: false } }\n";
  RunOptions one_row;
  one_row.check_rows = 1;
  migrate(database, plan, "expand", nullptr, one_row);
  const Error error = error_of([&] { migrate(database, plan, "backfill"); });
  INFO(error.what());
  CHECK_THAT(error.what(),
             Catch::Matchers::Contains("users row id=7: mail would be null, which the plan does not allow"));
}

TEST_CASE("one pass and no vacuum, as long as an old snapshot keeps replaced rows, and its holder is named") {
  Database database;
  make_many_users(database);
  migrate(database, k_split, "expand");
  const auto holder = database.connect("application_name=report");
  holder->script("begin isolation level repeatable read; select count(*) from users");
  while (database.value("select clock_timestamp() - xact_start > interval '10 seconds' from pg_stat_activity where "
                        "application_name = 'report'") != "t") {
    shell("sleep 0.2");
  }
  Recorder recorder;
  RunOptions options = workers(1);
  options.pace.max_rows_rate = 30'000;
  migrate(database, k_split, "backfill", &recorder, options);
  CHECK(database.value("select vacuum_count from pg_stat_user_tables where relname = 'users'") ==
        "1");  // the test's own
  CHECK(pass_notes(recorder).find("1 pass: pid ") != std::string::npos);
  CHECK(pass_notes(recorder).find("@report, idle in transaction keeps all replaced rows for ") != std::string::npos);
  CHECK(database.value("select max(passes) from ecmigrate.windows") == "1");
}

TEST_CASE("the planner knows the new columns when they are verified", "[version]") {
  Database database;
  database.exec(k_users);
  migrate(database, k_split, "expand backfill verify");
  CHECK(database.value(
            "select count(*) from pg_stats where tablename = 'users' and attname in ('first_name', 'last_name')") ==
        "2");
}

TEST_CASE("tables without a key, and with keys of any kind, stay on their pages") {
  const std::string key =
      GENERATE("", "n uuid primary key default gen_random_uuid(), ", "n text primary key default md5(random()::text), ",
               "n integer default 7, m serial, primary key (n, m), ");
  Database database;
  database.exec(
      fmt::format("create table users ({}full_name text not null, note text not null default repeat('n', 100)) "
                  "with (autovacuum_enabled = false)",
                  key));
  database.exec("insert into users (full_name) select 'Ann' || i || ' Lee' || i from generate_series(1, 40000) i");
  database.exec("vacuum analyze users");
  migrate(database, k_split, "expand");
  Recorder recorder;
  migrate(database, k_split, "backfill verify", &recorder, workers(2));
  CHECK(database.value(k_all_right) == "0");
  CHECK(recorder.all<event::WalkFinished>().at(0).hot_percent > 50);
}

TEST_CASE("a row that cannot be filled ends the backfill and is named") {
  Database database;
  make_users_with_bad_rows(database);
  const Error error = error_of([&] { migrate(database, k_bad_plan, "backfill"); });
  CHECK(error.outcome() == Outcome::failed);
  CHECK(std::string(error.what()).find("users row id=7: invalid input syntax for type integer: \"x7\"") !=
        std::string::npos);
}

TEST_CASE("rows that cannot be filled are set aside where the plan says so, and nothing is dropped while any is left",
          "[version]") {
  const int number = GENERATE(1, 2);
  Database database;
  make_users_with_bad_rows(database);
  RunOptions options = workers(number);
  options.pace.quarantine = true;
  const Error error = error_of([&] { migrate(database, k_bad_plan, "backfill", nullptr, options); });
  CHECK(error.outcome() == Outcome::work_remains);
  CHECK(std::string(error.what()).find("2 rows are set aside") != std::string::npos);
  CHECK(std::string(error.what()).find("id=333: invalid input syntax for type integer: \"x333\"") != std::string::npos);
  CHECK(database.value("select count(*) from users where number is null") == "2");
  CHECK(database.rows("select key, sqlstate from ecmigrate.bad_rows order by key") == "id=333|22P02\nid=7|22P02");
  CHECK(error_of([&] { migrate(database, k_bad_plan, "verify"); }).outcome() == Outcome::refused);
  CHECK(error_of([&] { migrate(database, k_bad_plan, "contract"); }).outcome() == Outcome::refused);

  database.exec("update users set full_name = '7' where id = 7");  // the trigger fills it
  CHECK(error_of([&] { migrate(database, k_bad_plan, "backfill", nullptr, options); }).outcome() ==
        Outcome::work_remains);
  CHECK(database.value("select key from ecmigrate.bad_rows") == "id=333");
  database.exec("delete from users where id = 333");
  migrate(database, k_bad_plan, "backfill verify contract");
  CHECK(database.value("select count(*) from users where number <> id") == "0");
}

TEST_CASE("a bad row is found behind one that somebody holds") {
  Database database;
  make_users_with_bad_rows(database);
  const auto holder = database.connect();
  holder->script("begin; select from users where id in (3, 331) for update");
  const Error error = error_of([&] { migrate(database, k_bad_plan, "backfill"); });
  CHECK(std::string(error.what()).find("users row id=7: ") != std::string::npos);
}

TEST_CASE("a bad row is still known after the table was rewritten, and is not waited for while somebody holds it") {
  Database database;
  make_users_with_bad_rows(database);
  RunOptions options;
  options.pace.quarantine = true;
  CHECK(error_of([&] { migrate(database, k_bad_plan, "backfill", nullptr, options); }).outcome() ==
        Outcome::work_remains);
  database.exec("delete from users where id < 7");
  database.exec("vacuum full users");
  CHECK(error_of([&] { migrate(database, k_bad_plan, "backfill", nullptr, options); }).outcome() ==
        Outcome::work_remains);
  CHECK(database.rows("select key from ecmigrate.bad_rows order by key") == "id=333\nid=7");
  const auto holder = database.connect();
  holder->script("begin; select from users where id = 7 for update");
  CHECK(error_of([&] { migrate(database, k_bad_plan, "backfill", nullptr, options); }).outcome() ==
        Outcome::work_remains);
}

TEST_CASE("a worker's session that idled for too long in a pause is made anew") {
  Database database;
  make_many_users(database);
  migrate(database, k_split, "expand");
  bool ended = false;
  Recorder recorder;
  migrate(database, k_split, "backfill verify", &recorder, workers(1),
          [&](pg::CallMoment moment, int, std::string_view sql) {
            if (!ended && moment == pg::CallMoment::before && fills(sql)) {
              ended = true;
              throw pg::SqlError("57P05", "terminating connection due to idle-session timeout", "", 0);
            }
          });
  CHECK(recorder.warnings().find("the connection was lost") != std::string::npos);
  CHECK(database.value(k_all_right) == "0");
}

TEST_CASE("a row that a look after verify sets aside keeps contract away") {
  Database database;
  database.exec("create table users (id bigint primary key, full_name text)");
  database.exec("insert into users select i, i::text from generate_series(1, 500) i");
  std::string plan = k_bad_plan;
  plan.replace(plan.find("nullable: false"), 15, "nullable: true");
  migrate(database, plan, "expand backfill verify");
  database.exec(
      "set session_replication_role = replica; insert into users (id, full_name) values (501, 'x'); reset "
      "session_replication_role");
  RunOptions options;
  options.pace.quarantine = true;
  const Error error = error_of([&] { migrate(database, plan, "backfill", nullptr, options); });
  CHECK(error.outcome() == Outcome::work_remains);
  CHECK(database.value("select state from ecmigrate.migrations") == "backfilled");
  CHECK(error_of([&] { migrate(database, plan, "contract"); }).outcome() == Outcome::refused);
  // Not for the state alone: verify, which is next, says what to do first.
  CHECK(std::string(error_of([&] { migrate(database, plan, "verify"); }).what()).find("rows are set aside") !=
        std::string::npos);
  database.exec("delete from users where id = 501");
  migrate(database, plan, "backfill verify contract");
}

TEST_CASE("what a look after verify fills is held to a foreign key that is validated") {
  Database database;
  database.exec(
      "create table names (name text primary key); insert into names values ('Ann'); "
      "create table users (id bigint primary key, full_name text); insert into users select i, 'Ann' from "
      "generate_series(1, 100) i");
  const std::string plan = R"yaml(
name: refer
operations:
  - add_column:
      table: users
      up: full_name
      column: { name: name, type: text, nullable: true, references: { name: users_name, table: names, column: name } }
)yaml";
  migrate(database, plan, "expand backfill verify");
  database.exec(
      "set session_replication_role = replica; insert into users values (101, 'Nobody'); reset "
      "session_replication_role");
  const Error error = error_of([&] { migrate(database, plan, "backfill"); });
  CHECK(std::string(error.what()).find("users row id=101: ") != std::string::npos);
  CHECK(database.value("select count(*) from users where name = 'Nobody'") == "0");
}

TEST_CASE("a batch that the server gives up is done again with fewer pages") {
  // Cancelled by somebody, out of memory, serialization failure, deadlock.
  for (const std::string sqlstate : {"57014", "53200", "40001", "40P01"}) {
    INFO(sqlstate);
    Database database;
    make_many_users(database);
    // The sequence counts on when the batch is rolled back. The first batches are a page, so some have to go by.
    database.exec(
        "create sequence tries; create function give_up() returns trigger language plpgsql as $$ begin if "
        "new.id > 20000 and nextval('tries') <= 3 then "
        "raise exception 'given up' using errcode = '" +
        sqlstate + "'; end if; return new; end $$");
    migrate(database, k_split, "expand");
    // Also for the backfill, which keeps the other triggers of the application quiet.
    database.exec(
        "create trigger a_gives_up before update on users for each row execute function give_up(); alter table users "
        "enable always trigger a_gives_up");
    using Position = std::pair<int, int>;                // page and line pointer
    std::vector<std::pair<Position, Position>> retries;  // behind a batch that was given up, and behind the next
    Position last;
    bool done = true;
    migrate(database, k_split, "backfill", nullptr, workers(1), [&](pg::CallMoment moment, int, std::string_view sql) {
      if (!fills(sql)) {
        return;
      }
      const std::string_view before_end = "this.ctid < '(";
      const std::string text(sql.substr(sql.find(before_end) + before_end.size(), 20));
      const Position end{std::stoi(text), std::stoi(text.substr(text.find(',') + 1))};
      if (moment == pg::CallMoment::before && !done) {
        retries.emplace_back(last, end);
      }
      done = moment == pg::CallMoment::after;
      last = end;
    });
    REQUIRE(retries.size() >= 3);  // on a busy machine others take too long, and are tried smaller as well
    for (const auto& [given_up, again] : retries) {
      CHECK(again < given_up);
    }
    CHECK(database.value("select sum(rows) from ecmigrate.windows") == "120000");
    CHECK(database.value(k_all_right) == "0");
  }
}

TEST_CASE("a pass finds as many rows on every page, whatever the key") {
  for (const std::string key :
       {"id bigint primary key", "id uuid primary key", "id text, primary key (id, full_name)"}) {
    INFO(key);
    Database database;
    database.exec("create table users (full_name text not null, " + key + ")");
    database.exec(key.find("uuid") != std::string::npos
                      ? "insert into users select 'Ann Lee', md5(i::text)::uuid from generate_series(1, 5000) i"
                      : "insert into users select 'Ann Lee', i from generate_series(1, 5000) i");
    migrate(database, k_split, "expand");
    const std::string spread = database.value("select recipe::json->'synced'->0->>'spread' from ecmigrate.migrations");
    // An eighth of all numbers, on all pages but the last.
    CHECK(database.value(fmt::format(
              "select max(n) - min(n) <= 2 from (select count(*) filter (where (({}) & 4294967295) < 536870912) as n "
              "from users as this group by (ctid::text::point)[0] order by (ctid::text::point)[0] desc offset 1) p",
              spread)) == "t");
  }
}

}  // namespace ecmigrate::test
