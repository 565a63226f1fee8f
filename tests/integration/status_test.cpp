// What `status` and `forget` say, beside what is so.

#include <fmt/format.h>

#include <future>
#include <nlohmann/json.hpp>
#include <sstream>

#include "ecmigrate/store/read_model.hpp"
#include "support/catch.hpp"
#include "support/fixtures.hpp"
#include "support/pausing.hpp"
#include "support/server.hpp"

using namespace ecmigrate;
using namespace ecmigrate::test;
using nlohmann::json;

namespace {

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

json status_of(Database& database, std::vector<std::string> arguments = {"status", "--json"}) {
  std::istringstream lines(run_program(database, std::move(arguments), k_split).out);
  for (std::string line; std::getline(lines, line);) {
    if (json object = json::parse(line); object.at("type") == "status") {
      return object.at("migrations");
    }
  }
  FAIL("no status");
  return {};
}

}  // namespace

TEST_CASE("status of several is a table that fits 80 columns, and details of those under way") {
  Database database;
  database.exec(k_users);
  database.exec("create table other (id int primary key, full_name text not null)");
  CHECK(contains(run_program(database, {"status"}).out, "no migrations"));
  CHECK(run_program(database, {"run", "PLAN", "--through", "contract", "--confirm", "split"}, k_split).status == 0);
  std::string second(k_split);
  second.replace(second.find("name: split"), 11, "name: " + std::string(60, 'n'));
  second.replace(second.find("table: users"), 12, "table: other");
  REQUIRE(run_program(database, {"run", "PLAN"}, second).status == 0);

  const std::string text = run_program(database, {"status"}).out;
  INFO(text);
  std::istringstream lines(text.substr(0, text.find("\n\n")));
  int count = 0;
  for (std::string line; std::getline(lines, line); ++count) {
    CHECK(line.size() <= 80);
  }
  CHECK(count == 3);
  CHECK(text.starts_with("migration "));
  CHECK(contains(text, "\nsplit                          contracted   100.0%"));
  CHECK_FALSE(contains(text, "split  contracted"));  // no details of what is over
  CHECK(contains(text, std::string(60, 'n') + "  verified"));
  // The dangerous step comes with what has to come before it.
  CHECK(contains(text, "next: Roll out the new version. When no instance of the old one runs: ecmigrate contract "));
}

TEST_CASE("status tells the last error with its hint, and rows that were set aside") {
  Database database;
  database.exec(k_users);
  database.exec("update users set full_name = '' where id = 7");
  std::string plan(k_split);
  plan.replace(plan.find("split_part(full_name, ' ', 1)\""), 30, "substr(full_name, 1, 1 / length(full_name) + 3)\"");
  REQUIRE(run_program(database, {"expand", "PLAN", "--check-rows", "1"}, plan).status == 0);
  REQUIRE(run_program(database, {"backfill", "PLAN", "--bad-rows", "quarantine"}, plan).status == 8);
  const std::string text = run_program(database, {"status"}).out;
  INFO(text);
  CHECK(contains(text, "  1 row set aside, as they could not be filled: ecmigrate.bad_rows has them\n"));
  CHECK(contains(text, "  backfill ended with work_remains: "));
  CHECK(contains(text, "  hint: Mend or delete them"));
  const json migration = status_of(database).at(0);
  CHECK(migration.at("rows_set_aside") == 1);
  CHECK(migration.at("error").at("code") == "work_remains");
  CHECK_FALSE(migration.at("error").at("hint").get<std::string>().empty());
}

TEST_CASE("a command that is not its turn is no run of the migration") {
  Database database;
  database.exec(k_users);
  REQUIRE(run_program(database, {"expand", "PLAN"}, k_split).status == 0);
  for (const char* phase : {"verify", "contract"}) {
    CHECK(run_program(database, {phase, "PLAN"}, k_split).status == 7);
  }
  const json now = status_of(database).at(0);
  CHECK(now.at("error").is_null());
  CHECK(now.at("situation") == "waiting");
  CHECK(contains(now.at("next"), "ecmigrate backfill"));
  CHECK(database.value("select string_agg(command, ' ' order by id) from ecmigrate.runs") == "expand");
}

TEST_CASE("a migration is steered and looked at by its name, without its plan") {
  Database database;
  database.exec(k_users);
  REQUIRE(run_program(database, {"expand", "PLAN"}, k_split).status == 0);
  CHECK(run_program(database, {"pause", "split"}).status == 0);
  CHECK(contains(run_program(database, {"status", "split"}).out, "split  expanded"));
  CHECK(run_program(database, {"set", "split", "workers=1"}).status == 0);
  CHECK(run_program(database, {"resume", "split"}).status == 0);
  for (const char* command : {"status", "pause"}) {
    const ProgramResult wrong = run_program(database, {command, "spilt"});
    CHECK(wrong.status == 2);
    CHECK(contains(wrong.err, "there is no migration \"spilt\" in this database"));
    CHECK(contains(wrong.err, "Did you mean \"split\"?"));
  }
  CHECK(run_program(database, {"status", "no/such.yaml"}).status == 2);
}

TEST_CASE("who ends a look is not told that work was stopped") {
  Database database;
  database.exec(k_users);
  REQUIRE(run_program(database, {"expand", "PLAN"}, k_split).status == 0);
  const std::string folder = temporary_file("", ".look") + ".d";
  const std::string said = shell(fmt::format(
      "mkdir {0}; ECMIGRATE_DATABASE_URL='{1}' {2} status split --watch >{0}/out 2>{0}/err & look=$!; "
      "until [ -s {0}/out ]; do sleep 0.05; done; kill -TERM $look; wait $look; echo ended with $?; cat {0}/err",
      folder, database.conninfo(), ECMIGRATE_PROGRAM));
  CHECK(contains(said, "ended with 143"));
  CHECK(contains(said, "no longer looking; what runs goes on"));
  CHECK_FALSE(contains(said, "stopp"));
}

TEST_CASE("a pause ends with the run that told of it, or with the next one") {
  Database database;
  expand_users(database);
  database.exec(
      "update ecmigrate.migrations set started_at = now() - interval '1 h'; insert into ecmigrate.runs (migration, "
      "command, host, process, backend, username, started_at, finished_at) "
      "values ('split', 'backfill', 'h', 1, 1, 'u', now() - interval '10 min', now() - interval '8 min'), "
      "('split', 'backfill', 'h', 1, 1, 'u', now() - interval '7 min', null), "
      "('split', 'backfill', 'h', 1, 1, 'u', now() - interval '5 min', now())");
  database.exec(
      "insert into ecmigrate.events (migration, run, at, data) select 'split', id, started_at + interval '1 min', "
      "'{\"v\":1,\"type\":\"paused\",\"relation\":\"users\",\"reasons\":[{\"code\":\"paused\",\"text\":\"paused by "
      "x\"}]}' from ecmigrate.runs where command = 'backfill' and started_at < now() - interval '6 min'");
  const json pauses = status_of(database).at(0).at("pauses");
  INFO(pauses.dump());
  REQUIRE(pauses.size() == 2);
  CHECK_FALSE(pauses.at(0).at("to").is_null());
  CHECK_FALSE(pauses.at(1).at("to").is_null());
  CHECK(pauses.at(0).at("to") < pauses.at(1).at("from"));
  CHECK_FALSE(contains(run_program(database, {"status"}).out, "paused since"));
}

TEST_CASE("status --wait-for ends when the state is there, and says where it never will be") {
  Database database;
  database.exec(k_users);
  auto waiting = std::async(std::launch::async, [&] {
    return run_program(database, {"status", "PLAN", "--wait-for", "verified"}, k_split);
  });
  CHECK(run_program(database, {"expand", "PLAN"}, k_split).status == 0);
  CHECK(waiting.wait_for(std::chrono::seconds(0)) == std::future_status::timeout);
  CHECK(run_program(database, {"run", "PLAN"}, k_split).status == 0);
  const ProgramResult reached = waiting.get();
  CHECK(reached.status == 0);
  CHECK(contains(reached.out, "split  verified"));
  CHECK(run_program(database, {"status", "PLAN", "--wait-for", "expanded"}, k_split).status == 0);  // past it

  auto contracted = std::async(std::launch::async, [&] {
    return run_program(database, {"status", "PLAN", "--wait-for", "contracted"}, k_split);
  });
  CHECK(run_program(database, {"rollback", "PLAN"}, k_split).status == 0);
  const ProgramResult never = contracted.get();
  CHECK(never.status == 7);
  CHECK(contains(never.err, "it will not be contracted"));
  CHECK(run_program(database, {"status", "--wait-for", "verified"}).status == 2);
}

TEST_CASE("status --watch shows each change, and ends when the migration is over") {
  Database database;
  database.exec(k_users);
  auto watching = std::async(std::launch::async, [&] {
    return run_program(database, {"status", "PLAN", "--watch"}, k_split);
  });
  database.wait_for("exists (select from pg_stat_activity where application_name = 'ecmigrate status')");
  CHECK(run_program(database, {"run", "PLAN"}, k_split).status == 0);
  CHECK(run_program(database, {"rollback", "PLAN"}, k_split).status == 0);
  const ProgramResult watched = watching.get();
  CHECK(watched.status == 0);
  CHECK(contains(watched.out, "split  rolled_back"));
  CHECK_FALSE(contains(watched.out, "\x1b"));
}

TEST_CASE("status --locks and --history show what the journal has") {
  Database database;
  database.exec(k_users);
  CHECK(run_program(database, {"run", "PLAN"}, k_split).status == 0);
  const std::string text = run_program(database, {"status", "PLAN", "--locks", "--history"}, k_split).out;
  INFO(text);
  CHECK(contains(text, "ACCESS EXCLUSIVE on users   waited "));
  CHECK(contains(text, "state planned → expanding"));
  CHECK(text.find("state planned → expanding") < text.find("state backfilled → verified"));
  const json migration = status_of(database, {"status", "--json", "--locks", "--history"}).at(0);
  CHECK(migration.at("locks").size() ==
        static_cast<std::size_t>(std::stoi(database.value("select count(*) from ecmigrate.locks"))));
  CHECK(migration.at("history").size() >= 4);
  CHECK_FALSE(status_of(database).at(0).contains("locks"));
}

TEST_CASE("what is rolled back is no work that remains") {
  Database database;
  database.exec(k_users);
  CHECK(run_program(database, {"status", "PLAN", "--exit-code"}, k_split).status == 8);
  CHECK(run_program(database, {"expand", "PLAN"}, k_split).status == 0);
  const ProgramResult under_way = run_program(database, {"status", "--exit-code"});
  CHECK(under_way.status == 8);
  CHECK_FALSE(contains(under_way.err, "error:"));
  CHECK(run_program(database, {"rollback", "PLAN"}, k_split).status == 0);
  CHECK(run_program(database, {"status", "PLAN", "--exit-code"}, k_split).status == 0);
}

TEST_CASE("a role without rights on the journal is told what to grant, with 7", "[superuser]") {
  Database database;
  expand_users(database);
  database.exec("create role \"on-looker\" login");
  const ProgramResult refused = run_program(database, {"status", "-d", database.conninfo("user=on-looker")});
  database.exec("drop role \"on-looker\"");
  CHECK(refused.status == 7);
  CHECK(contains(refused.err, "grant usage on schema ecmigrate to \"on-looker\""));
}

TEST_CASE("a migration whose table is gone is named, and forgotten by its name alone") {
  Database database;
  database.exec(k_users);
  database.exec("create table other (id int primary key, full_name text not null)");
  CHECK(run_program(database, {"expand", "PLAN"}, k_split).status == 0);
  database.exec("drop table users");
  CHECK(contains(run_program(database, {"status"}).out,
                 "users, a table of this migration, is gone: roll back, or without its plan: ecmigrate forget split"));
  CHECK(status_of(database).at(0).at("gone_tables") == json{"users"});

  const ProgramResult unknown = run_program(database, {"forget", "splt"});
  CHECK(unknown.status == 2);
  CHECK(contains(unknown.err, "Did you mean \"split\"?"));
  const ProgramResult asked = run_program(database, {"forget", "split"});
  CHECK(asked.status == 7);
  CHECK(contains(asked.err, "users is gone"));
  CHECK(database.value("select count(*) from ecmigrate.migrations") == "1");
  CHECK(run_program(database, {"forget", "split", "--confirm", "split"}).status == 0);
  CHECK(database.value("select count(*) from ecmigrate.migrations") == "0");
  CHECK(contains(run_program(database, {"status"}).out, "no migrations"));
}

TEST_CASE("forget shows the statements that would take back what it leaves, and they do") {
  Database database;
  database.exec(k_users);
  CHECK(run_program(database, {"expand", "PLAN"}, k_split).status == 0);
  const std::string shown = run_program(database, {"forget", "split"}).err;
  INFO(shown);
  CHECK(run_program(database, {"forget", "split", "--confirm", "split"}).status == 0);
  std::istringstream lines(shown);
  int statements = 0;
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with("  ") && line.ends_with(';')) {
      database.exec(line);
      ++statements;
    }
  }
  CHECK(statements > 1);
  CHECK(database.value("select count(*) from pg_trigger where tgrelid = 'users'::regclass") == "0");
  CHECK(database.value("select count(*) from pg_attribute where attrelid = 'users'::regclass and not attisdropped and "
                       "attnum > 0") == "3");
  // The name is free again.
  CHECK(run_program(database, {"expand", "PLAN"}, k_split).status == 0);
}

TEST_CASE("forget names no statement that would drop the only copy") {
  Database database;
  database.exec(k_users);
  CHECK(run_program(database, {"run", "PLAN"}, k_split).status == 0);
  database.exec(
      "update ecmigrate.migrations set state = 'contracting'; insert into ecmigrate.steps (migration, phase, step, "
      "done) "
      "values ('split', 'contract', 'one', true)");
  const std::string begun = run_program(database, {"forget", "split"}).err;
  INFO(begun);
  CHECK(contains(begun, "contract has begun: old columns are gone"));
  CHECK_FALSE(contains(begun, "drop column"));
  CHECK_FALSE(contains(begun, "ecmigrate rollback"));
}

TEST_CASE("forget of a migration whose table is gone names the functions that are left") {
  Database database;
  database.exec(k_users);
  CHECK(run_program(database, {"expand", "PLAN"}, k_split).status == 0);
  database.exec("drop table users");
  const std::string left = run_program(database, {"forget", "split"}).err;
  INFO(left);
  CHECK(contains(left, "drop function if exists"));
  CHECK_FALSE(contains(left, "alter table"));
}

TEST_CASE("a run that fails is a run, and status says how to go on with it") {
  Database database;
  expand_users(database);
  CHECK(
      run_program(database, {"run", "PLAN", "--pause-query", "select true", "--max-pause", "200ms"}, k_split).status ==
      8);
  const std::string text = run_program(database, {"status"}).out;
  INFO(text);
  CHECK(contains(text, "next: ecmigrate run "));
  CHECK_FALSE(contains(text, "Expand"));
}

TEST_CASE("a contract that gets no lock leaves the migration verified") {
  Database database;
  database.exec(k_users);
  CHECK(run_program(database, {"run", "PLAN"}, k_split).status == 0);
  const auto reader = database.connect();
  reader->script("begin; select from users limit 1");
  CHECK(run_program(database,
                    {"contract", "PLAN", "--confirm", "split", "--lock-timeout", "50ms", "--lock-budget", "100ms"},
                    k_split)
            .status == 5);
  reader->script("rollback");
  CHECK(database.value("select state from ecmigrate.migrations") == "verified");
  CHECK(run_program(database, {"rollback", "PLAN"}, k_split).status == 0);
}
