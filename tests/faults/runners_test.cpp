#include <fmt/format.h>

#include <filesystem>
#include <fstream>
#include <thread>

#include "ecmigrate/base/error.hpp"
#include "faults/faulty_run.hpp"
#include "support/catch.hpp"
#include "support/fixtures.hpp"

namespace ecmigrate::test {

namespace {

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

const std::string k_rename = R"yaml(
name: rename
operations:
  - rename_column:
      table: users
      from: email
      to: mail
)yaml";

/// A pool of our own in transaction mode, in front of the test server.
class Pool {
 public:
  explicit Pool(const Database& database) {
    const std::string file = temporary_file("", ".ini");
    m_folder = file + ".d";
    std::filesystem::create_directory(m_folder);
    std::filesystem::permissions(m_folder, std::filesystem::perms::all);
    std::ofstream(file) << fmt::format(
        "[databases]\n* = {}\n[pgbouncer]\npool_mode = transaction\nlisten_port = 6432\nunix_socket_dir = "
        "{}\nauth_type = any\n"
        "pidfile = {}/pid\nlogfile = {}/log\nignore_startup_parameters = extra_float_digits\n",
        database.conninfo(), m_folder, m_folder, m_folder);
    std::filesystem::permissions(file, std::filesystem::perms::others_read, std::filesystem::perm_options::add);
    shell(fmt::format("{}pgbouncer -q -d {} 2>&1", as_postgres(), file));
    wait_until_it_answers();
  }
  ~Pool() { std::ignore = std::system(fmt::format("kill $(cat {}/pid) 2>/dev/null", m_folder).c_str()); }
  Pool(const Pool&) = delete;
  Pool& operator=(const Pool&) = delete;
  [[nodiscard]] std::string conninfo() const {
    return fmt::format("host={} port=6432 user=postgres dbname=any", m_folder);
  }

 private:
  void wait_until_it_answers() const {
    for (int i = 0;; ++i) {
      try {
        pg::Connection({conninfo(), "test", nullptr}).query("select 1");
        return;
      } catch (const Error&) {
        if (i == 500) {
          throw;
        }
        std::this_thread::sleep_for(std::chrono::milliseconds(20));
      }
    }
  }
  static std::string as_postgres() { return shell("id -u") == "0\n" ? "runuser -u postgres -- " : ""; }
  std::string m_folder;
};

}  // namespace

TEST_CASE("a second runner waits its time, says who holds the migration, and gives up", "[superuser]") {
  Database database;
  database.exec(k_users);
  migrate(database, k_split, "expand");
  const auto table = database.connect();
  RunOptions options;
  options.run_lock_wait = std::chrono::seconds(2);  // it tells after its first look, if there is still time to wait
  std::string message;
  Recorder second;
  // While the first is inside a call of its backfill, it holds the run lock.
  bool tried = false;
  migrate(database, k_split, "backfill", nullptr, {}, [&](pg::CallMoment, int, std::string_view sql) {
    if (!tried && sql.find("update only \"public\".\"users\"") != std::string_view::npos) {
      tried = true;
      const Error error = error_of([&] { migrate(database, k_split, "backfill", &second, options); });
      CHECK(error.outcome() == Outcome::busy);
      CHECK(outcome_row(error.outcome()).exit_code == 6);
      message = error.what();
    }
  });
  REQUIRE(tried);
  CHECK(contains(message, "\"split\" is held by pid "));
  CHECK(contains(message, "postgres@ecmigrate backfill (backfill on "));
  const auto notes = second.all<event::Note>();
  REQUIRE(notes.size() == 1);
  CHECK(contains(notes[0].text, "waiting for the run lock of \"split\": held by pid "));
  migrate(database, k_split, "verify contract");
}

TEST_CASE("a second runner gives up in the same way while the first has not made the journal yet") {
  Database database;
  database.exec(k_users);
  RunOptions options;
  options.run_lock_wait = std::chrono::milliseconds(100);
  bool tried = false;
  migrate(database, k_split, "expand", nullptr, {}, [&](pg::CallMoment moment, int, std::string_view sql) {
    if (!tried && moment == pg::CallMoment::before && sql.find("create schema ecmigrate") != std::string_view::npos) {
      tried = true;
      const Error error = error_of([&] { migrate(database, k_split, "expand", nullptr, options); });
      CHECK(error.outcome() == Outcome::busy);
      CHECK(contains(error.what(), "\"split\" is held by pid "));
    }
  });
  REQUIRE(tried);
}

TEST_CASE("a runner whose walk another has taken over stops at its next checkpoint, also when that is the last") {
  for (const std::string call : {"update only \"public\".\"users\"", "finished = true"}) {
    Database database;
    database.exec(k_users);
    migrate(database, k_split, "expand");
    bool taken = false;
    const auto hook = [&](pg::CallMoment moment, int, std::string_view sql) {
      if (!taken && moment == pg::CallMoment::before && sql.find(call) != std::string_view::npos) {
        taken = true;
        database.exec("update ecmigrate.walks set run = run + 1000; update ecmigrate.windows set run = run + 1000");
      }
    };
    const Error error = error_of([&] { migrate(database, k_split, "backfill", nullptr, {}, hook); });
    REQUIRE(taken);
    CHECK(error.outcome() == Outcome::busy);
    CHECK(database.value("select state from ecmigrate.migrations") == "backfilling");
    migrate(database, k_split, "backfill verify contract");
  }
}

TEST_CASE("a table that is rewritten during the walk is walked again") {
  Database database;
  database.exec(k_users);
  // Rows that go leave their pages behind, so that those that stay move when the table is rewritten.
  database.exec(
      "insert into users (full_name, email) select 'Bob Ray', 'more' || i from generate_series(1, 60000) i; delete "
      "from users where id % 3 = 0");
  migrate(database, k_split, "expand");
  Recorder recorder;
  int batches = 0;
  RunOptions options;
  options.pace.target_batch = std::chrono::milliseconds(1);  // many batches
  migrate(database, k_split, "backfill", &recorder, options, [&](pg::CallMoment moment, int, std::string_view sql) {
    if (moment == pg::CallMoment::before && sql.find("update only \"public\".\"users\"") != std::string_view::npos &&
        ++batches == 20) {
      database.exec("vacuum full users");
    }
  });
  REQUIRE(batches > 20);
  CHECK(database.value("select count(*) from users where first_name is null") == "0");
  bool told = false;
  for (const auto& note : recorder.all<event::Note>()) {
    told = told || contains(note.text, "was rewritten");
  }
  CHECK(told);
  migrate(database, k_split, "verify contract");
}

TEST_CASE("a second migration on a table that is in one is refused") {
  Database database;
  database.exec(k_users);
  migrate(database, k_split, "expand");
  const std::string before = database.schema();
  const Error error = error_of([&] { migrate(database, k_rename, "expand"); });
  CHECK(error.outcome() == Outcome::refused);
  CHECK(contains(error.what(), "\"split\" is under way on the same table"));
  CHECK(database.schema() == before);
  migrate(database, k_split, "rollback");
  migrate(database, k_rename, "expand backfill verify contract");
}

TEST_CASE("of two migrations that begin on a table at the same moment one is refused") {
  Database database;
  database.exec(k_users);
  bool begun = false;
  const auto hook = [&](pg::CallMoment moment, int, std::string_view sql) {
    // The other one comes between this one's look and its beginning.
    if (!begun && moment == pg::CallMoment::after && sql.find("create schema ecmigrate") != std::string_view::npos) {
      begun = true;
      migrate(database, k_rename, "expand");
    }
  };
  const Error error = error_of([&] { migrate(database, k_split, "expand", nullptr, {}, hook); });
  REQUIRE(begun);
  CHECK(error.outcome() == Outcome::refused);
  CHECK(contains(error.what(), "\"rename\" is under way on the same table"));
  CHECK(database.value("select string_agg(name, ',') from ecmigrate.migrations") == "rename");
  migrate(database, k_rename, "rollback");
  migrate(database, k_split, "expand");
}

TEST_CASE("a plan that was changed under a running migration is refused, with what changed") {
  Database database;
  database.exec(k_users);
  migrate(database, k_split, "expand");
  std::string changed = k_split;
  changed.replace(changed.find("last_name, type: text"), 21, "surname, type: text");
  changed.replace(changed.find("nullif(last_name"), 16, "nullif(surname");
  for (const std::string phase : {"expand", "backfill", "verify", "contract", "rollback"}) {
    const Error error = error_of([&] { migrate(database, changed, phase); });
    CHECK(error.outcome() == Outcome::refused);
    CHECK(contains(error.what(), "\"split\" was started with another plan"));
    CHECK(contains(error.what(), "last_name"));
    CHECK(contains(error.what(), "surname"));
  }
  migrate(database, k_split, "rollback");
  migrate(database, changed, "expand");
}

TEST_CASE("a pooler in transaction mode is refused before anything is done") {
  Database database;
  database.exec(k_users);
  const Pool pool(database);
  Recorder recorder;
  const Error error = error_of([&] { Session({pool.conninfo(), "test", nullptr}, {}, recorder, system_clock(), {}); });
  CHECK(error.outcome() == Outcome::cannot_connect);
  CHECK(outcome_row(error.outcome()).exit_code == 4);
  CHECK(contains(error.what(), "pooler"));
  CHECK(contains(error.hint(), "server itself"));
}

TEST_CASE("a role that may not make the journal is refused, and told how it could be") {
  Database database;
  database.exec(k_users);
  const std::string role = database.name() + "_role";
  database.exec("create role " + role + " login; alter table users owner to " + role);
  const std::string before = database.schema();
  const ProgramResult result =
      run_program(database, {"expand", "PLAN", "--dbname", database.conninfo("user=" + role)}, k_split);
  CHECK(result.status == 7);
  CHECK(contains(result.err, "the journal cannot be created"));
  CHECK(contains(result.err, "create schema ecmigrate authorization"));
  CHECK(database.schema() == before);
  database.exec("create schema ecmigrate authorization " + role);
  database.exec("grant create on schema public to " + role);
  for (const std::string phase : {"expand", "backfill", "verify"}) {
    const ProgramResult now =
        run_program(database, {phase, "PLAN", "--dbname", database.conninfo("user=" + role)}, k_split);
    INFO(now.err);
    CHECK(now.status == 0);
  }
  CHECK(run_program(database, {"contract", "PLAN", "--confirm", "split", "--dbname", database.conninfo("user=" + role)},
                    k_split)
            .status == 0);
  database.exec("drop owned by " + role + " cascade; drop role " + role);
}

TEST_CASE("a role that may not keep the application's triggers quiet is warned that they fire", "[superuser]") {
  Database database;
  database.exec(k_users);
  const std::string role = database.name() + "_role";
  database.exec(
      "create table fired (n int); create function fire() returns trigger language plpgsql as $$ begin insert into "
      "fired values (1); return new; end $$; "
      "create trigger audit before update on users for each row execute function fire()");
  database.exec(
      fmt::format("create role {0} login; alter table users owner to {0}; alter table fired owner to {0}; grant create "
                  "on database {1} to {0}; "
                  "grant create on schema public to {0}",
                  role, database.name()));
  const ProgramResult result =
      run_program(database, {"expand", "PLAN", "--dbname", database.conninfo("user=" + role)}, k_split);
  CHECK(result.status == 0);
  CHECK(contains(result.err, "the triggers of users will fire for every row of the backfill"));
  CHECK(run_program(database, {"backfill", "PLAN", "--dbname", database.conninfo("user=" + role)}, k_split).status ==
        0);
  CHECK(database.value("select count(*) from fired") == "3002");
  database.exec("drop owned by " + role + " cascade; drop role " + role);

  Database quiet;
  quiet.exec(k_users);
  quiet.exec(
      "create table fired (n int); create function fire() returns trigger language plpgsql as $$ begin insert into "
      "fired values (1); return new; end $$; "
      "create trigger audit before update on users for each row execute function fire()");
  Recorder recorder;
  migrate(quiet, k_split, "expand backfill verify", &recorder);
  CHECK(!contains(recorder.warnings(), "will fire"));
  CHECK(quiet.value("select count(*) from fired") == "0");
}

}  // namespace ecmigrate::test
