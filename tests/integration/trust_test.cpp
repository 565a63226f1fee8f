// Whose rights run what: the journal's owner, steering, roles with few rights.

#include <fmt/format.h>

#include <sstream>
#include <thread>

#include "ecmigrate/base/error.hpp"
#include "ecmigrate/phases/migration.hpp"
#include "ecmigrate/planfile/planfile.hpp"
#include "ecmigrate/store/journal.hpp"
#include "support/catch.hpp"
#include "support/fixtures.hpp"
#include "support/plain_ddl.hpp"
#include "support/server.hpp"

namespace ecmigrate::test {

namespace {

/// A role that may log in, dropped with what it owns in the database.
class Role {
 public:
  Role(Database& database, const std::string& name) : m_database(database), m_name(database.name() + "_" + name) {
    database.exec(fmt::format("create role {} login", m_name));
  }
  ~Role() {
    try {
      m_database.exec(fmt::format("drop owned by {0} cascade; drop role {0}", m_name));
    } catch (const std::exception&) {
    }
  }
  Role(const Role&) = delete;
  Role& operator=(const Role&) = delete;

  [[nodiscard]] const std::string& name() const { return m_name; }
  [[nodiscard]] std::string conninfo() const { return m_database.conninfo("user=" + m_name); }
  void exec(const std::string& sql) const { pg::Connection({conninfo(), "test", nullptr}).script(sql); }

  /// Runs phases as this role.
  void migrate(const std::string& yaml, const std::string& phases, Recorder* recorder = nullptr) const {
    Recorder own;
    const Plan plan = parse_plan(yaml, "plan.yaml");
    std::istringstream words(phases);
    for (std::string phase; words >> phase;) {
      Session session({conninfo(), "ecmigrate " + phase, nullptr}, {}, recorder == nullptr ? own : *recorder,
                      system_clock(), std::stop_token());
      Migration migration(session, plan);
      if (phase == "expand") {
        migration.expand();
      } else if (phase == "backfill") {
        migration.backfill();
      } else if (phase == "verify") {
        migration.verify();
      } else {
        migration.contract();
      }
    }
  }

 private:
  Database& m_database;
  std::string m_name;
};

/// A role with a schema of its own name that has a table t.
void give_table(Database& database, const Role& role) {
  database.exec(fmt::format("create schema {0} authorization {0}", role.name()));
  role.exec(
      fmt::format("create table {0}.t (id int primary key, a text); insert into {0}.t select i, 'x' || i from "
                  "generate_series(1, 10) i",
                  role.name()));
}

std::string plan_for(const Role& role) {
  return fmt::format("name: {0}\nschema: {0}\noperations:\n  - rename_column: {{ table: t, from: a, to: b }}\n",
                     role.name());
}

/// What a message says to run, up to the semicolon.
std::string command_in(const std::string& hint, const std::string& begin) {
  const std::size_t at = hint.find(begin);
  REQUIRE(at != std::string::npos);
  return hint.substr(at, hint.find(';', at) - at);
}

}  // namespace

TEST_CASE("a journal that somebody else made first is not written to, and its owner is named", "[version][superuser]") {
  for (const std::string planted : {"", "create table ecmigrate.journal (format int, program text, at timestamptz)"}) {
    Database database;
    const Role stranger(database, "mallory");
    database.exec(fmt::format("grant create on database {} to {}", database.name(), stranger.name()));
    stranger.exec("create schema ecmigrate; " + planted);
    database.exec(k_users);
    const Error error = error_of([&] { migrate(database, k_split, "expand"); });
    CHECK(error.outcome() == Outcome::refused);
    CHECK_THAT(error.what(), Catch::Matchers::Contains(stranger.name()));
    CHECK_THAT(error.hint(), Catch::Matchers::Contains("grant " + stranger.name() + " to "));
  }
}

TEST_CASE("a stranger's trigger on the journal does not run with the migrator's rights", "[superuser]") {
  Database database;
  const Role stranger(database, "mallory");
  database.exec(k_users);
  migrate(database, k_split, "expand");
  // As if it had been the stranger's from the beginning.
  database.exec(fmt::format(
      "do $$ declare t name; begin for t in select relname from pg_class where relnamespace = "
      "'ecmigrate'::regnamespace "
      "and relkind = 'r' loop execute format('alter table ecmigrate.%I owner to {0}', t); end loop; end $$; "
      "alter schema ecmigrate owner to {0}; create table public.rights (who text); grant insert on rights to public",
      stranger.name()));
  stranger.exec(
      "create function ecmigrate.f() returns trigger language plpgsql as $$ begin insert into public.rights values "
      "(current_user); return new; end $$; create trigger f before insert or update on ecmigrate.runs for each row "
      "execute function ecmigrate.f(); create trigger f before insert or update on ecmigrate.steering for each row "
      "execute function ecmigrate.f()");
  for (const std::string phase : {"expand", "backfill", "contract", "rollback"}) {
    CHECK(error_of([&] { migrate(database, k_split, phase); }).outcome() == Outcome::refused);
  }
  CHECK(run_program(database, {"pause", "PLAN"}, k_split).status == outcome_row(Outcome::refused).exit_code);
  CHECK(database.value("select count(*) from rights") == "0");
}

TEST_CASE("a journal that is a view is not read") {
  Database database;
  const Role stranger(database, "mallory");
  database.exec(
      fmt::format("grant create on database {} to {}; create table public.rights (who text); grant insert on "
                  "rights to public",
                  database.name(), stranger.name()));
  stranger.exec(
      "create schema ecmigrate; create function ecmigrate.f() returns int language plpgsql as $$ begin insert into "
      "public.rights values (current_user); return 2; end $$; create view ecmigrate.journal as select ecmigrate.f() as "
      "format; create table ecmigrate.progress ()");
  const ProgramResult status = run_program(database, {"status"});
  CHECK(status.status == outcome_row(Outcome::refused).exit_code);
  CHECK_THAT(status.err, Catch::Matchers::Contains(stranger.name()));
  CHECK(database.value("select count(*) from rights") == "0");
}

TEST_CASE("a second owner is let in by the grant that the message prints", "[version][superuser]") {
  Database database;
  const Role first(database, "a");
  const Role second(database, "b");
  database.exec(fmt::format("grant create on database {} to {}, {}", database.name(), first.name(), second.name()));
  give_table(database, first);
  give_table(database, second);
  first.migrate(plan_for(first), "expand backfill verify");
  const Error error = error_of([&] { second.migrate(plan_for(second), "expand"); });
  CHECK(error.outcome() == Outcome::refused);
  CHECK_THAT(error.what(), Catch::Matchers::Contains(first.name()));
  database.exec(command_in(error.hint(), "grant "));
  second.migrate(plan_for(second), "expand backfill verify contract");
  first.migrate(plan_for(first), "contract");
  CHECK(database.value(fmt::format("select count(b) from {}.t", second.name())) == "10");
}

TEST_CASE("a journal of the database's owner is used by another role once it has the rights it is told of",
          "[superuser]") {
  Database database;
  const Role role(database, "app");
  give_table(database, role);
  database.exec(k_users);
  migrate(database, k_split, "expand");
  const Error error = error_of([&] { role.migrate(plan_for(role), "expand"); });
  CHECK(error.outcome() == Outcome::refused);
  CHECK_THAT(error.what(), Catch::Matchers::Contains("may not write into the journal"));
  const std::string hint = error.hint();
  database.exec(hint.substr(hint.find("grant usage")));
  role.migrate(plan_for(role), "expand backfill verify contract");
  CHECK(database.value(fmt::format("select count(b) from {}.t", role.name())) == "10");
}

TEST_CASE("rights that are missing on the database are named with their grant before anything is done") {
  Database database;
  const Role role(database, "app");
  give_table(database, role);
  const Error no_create = error_of([&] { role.migrate(plan_for(role), "expand"); });
  CHECK(no_create.outcome() == Outcome::refused);
  database.exec(command_in(no_create.hint(), "grant create on database"));
  database.exec(fmt::format("revoke temporary on database {} from public", database.name()));
  const Error no_temporary = error_of([&] { role.migrate(plan_for(role), "expand"); });
  CHECK(no_temporary.outcome() == Outcome::refused);
  CHECK(database.value("select count(*) from pg_namespace where nspname = 'ecmigrate'") == "0");
  database.exec(command_in(no_temporary.hint(), "grant temporary on database"));
  role.migrate(plan_for(role), "expand backfill verify contract");
}

TEST_CASE("who may steer cannot make the runner run SQL") {
  Database database;
  database.exec(k_users);
  database.exec("create table asked (n int)");
  migrate(database, k_split, "expand");
  for (const std::string name : {"pause_query", "abort_query"}) {
    const ProgramResult set = run_program(database, {"set", "PLAN", name + "=select true"}, k_split);
    CHECK(set.status == outcome_row(Outcome::usage).exit_code);
  }
  // Straight into the table, past the command.
  database.exec(
      "insert into ecmigrate.steering (migration, limits) values ('split', '{\"pause_query\": \"select true\", "
      "\"abort_query\": \"select true\"}')");
  migrate(database, k_split, "backfill verify");
}

TEST_CASE("without pg_monitor the missing right is named once, and what cannot be seen is not claimed", "[superuser]") {
  Database database;
  const Role role(database, "app");
  database.exec(fmt::format("grant create on database {} to {}", database.name(), role.name()));
  give_table(database, role);
  {
    Recorder recorder;
    role.migrate(plan_for(role), "expand", &recorder);
    int named = 0;
    for (const event::Note& note : recorder.all<event::Note>()) {
      named += note.text.find("pg_monitor") != std::string::npos ? 1 : 0;
    }
    CHECK(named == 1);
  }
  const ProgramResult status = run_program(database, {"status", "--dbname", role.conninfo()});
  CHECK_THAT(status.out, Catch::Matchers::Contains("pg_monitor"));
  role.migrate(plan_for(role), "backfill verify");

  // Another role's session holds the table: its pid and role are known, no more; and nobody took it for a prepared
  // transaction.
  auto holder = database.connect();
  holder->script(fmt::format("begin; lock table {}.t in access share mode", role.name()));
  const ProgramResult contract = run_program(
      database, {"contract", "PLAN", "--confirm", role.name(), "--lock-budget", "2s", "--dbname", role.conninfo()},
      plan_for(role));
  CHECK(contract.status == outcome_row(Outcome::lock_not_obtained).exit_code);
  CHECK_THAT(contract.err, Catch::Matchers::Contains(fmt::format("pid {}", holder->backend_pid())));
  CHECK(contract.err.find("prepared transaction") == std::string::npos);
  CHECK_THAT(contract.err, Catch::Matchers::Contains("hidden without pg_monitor"));
  holder->script("rollback");
}

TEST_CASE("who waits behind a step is counted without pg_monitor too", "[superuser]") {
  Database database;
  const Role role(database, "app");
  database.exec(fmt::format("grant create on database {} to {}", database.name(), role.name()));
  give_table(database, role);
  // The trial of the plan is over when the step's own SQL sleeps under its lock; a superuser's query waits meanwhile.
  const std::string plan = fmt::format(
      "name: {0}\nschema: {0}\noperations:\n  - rename_column: {{ table: t, from: a, to: b }}\n  - sql: {{ expand: "
      "\"lock table {0}.t in access exclusive mode; do $$ begin for i in 1..600 loop exit when exists (select from "
      "pg_locks where not granted and relation = '{0}.t'::regclass); perform pg_sleep(0.1); end loop; perform "
      "pg_sleep(0.5); end $$\" }}\n",
      role.name());
  std::jthread client([&](const std::stop_token& stop) {
    auto connection = database.connect();
    while (!stop.stop_requested()) {
      connection->query(fmt::format("select count(*) from {}.t", role.name()));
    }
  });
  Recorder recorder;
  role.migrate(plan, "expand", &recorder);
  client.request_stop();
  int blocked = 0;
  for (const event::StepFinished& step : recorder.all<event::StepFinished>()) {
    blocked = std::max(blocked, step.blocked_sessions);
  }
  CHECK(blocked == 1);
}

TEST_CASE("the next runner is told whose session holds the migration, since when, and how to end it") {
  Database database;
  database.exec(k_users);
  migrate(database, k_split, "expand");
  Recorder recorder;
  RunOptions options;
  options.run_lock_wait = std::chrono::milliseconds(0);
  Session ghost({database.conninfo(), "ecmigrate backfill", nullptr}, {}, recorder, system_clock(), std::stop_token());
  ghost.take_run_lock("split");
  const std::int64_t run = Journal(ghost.connection()).begin_run("split", {"backfill", "split.yaml", "", {}});
  Journal(ghost.connection()).heartbeat(run, true);
  const Error error = error_of([&] { migrate(database, k_split, "verify", nullptr, options); });
  CHECK(error.outcome() == Outcome::busy);
  const std::string pid = std::to_string(ghost.connection().backend_pid());
  for (const std::string& part : {"pid " + pid, std::string("(backfill on "), std::string("process "),
                                  std::string("begun at "), std::string("last sign of life ")}) {
    CHECK_THAT(error.what(), Catch::Matchers::Contains(part));
  }
  database.exec(command_in(error.hint().substr(error.hint().find("select pg_terminate")), "select pg_terminate")
                    .substr(0, std::string("select pg_terminate_backend()").size() + pid.size()));
  database.wait_for("not exists (select from pg_stat_activity where pid = " + pid + ")");
  migrate(database, k_split, "backfill verify", nullptr, options);
}

}  // namespace ecmigrate::test
