#include <nlohmann/json.hpp>
#include <sstream>

#include "ecmigrate/base/error.hpp"
#include "support/catch.hpp"
#include "support/fixtures.hpp"
#include "support/server.hpp"

namespace ecmigrate::test {

TEST_CASE("a split goes through its phases and ends as strong as the plan says", "[version]") {
  Database database;
  database.exec(k_users);
  migrate(database, k_split, "expand backfill verify contract");
  CHECK(database.value("select string_agg(attname || case when attnotnull then '!' else '' end, ',' order by attnum) "
                       "from pg_attribute "
                       "where attrelid = 'users'::regclass and attnum > 0 and not attisdropped") ==
        "id!,email!,first_name!,last_name!");
  CHECK(database.rows("select first_name, last_name from users where id in (3001, 3002) order by id") ==
        "Cher|\nZoë|O'Neil");
  CHECK(database.value("select count(*) from users where first_name <> 'Ann' || id and id <= 3000") == "0");
  CHECK(database.value("select count(*) from pg_trigger where not tgisinternal") == "0");
  CHECK(database.value("select count(*) from pg_constraint where conrelid = 'users'::regclass and contype = 'c'") ==
        "0");
}

TEST_CASE("rollback from every state leaves exactly the schema of the start", "[version]") {
  for (const std::string phases : {"expand", "expand backfill", "expand backfill verify"}) {
    Database database;
    database.exec(k_users);
    const std::string before = database.schema();
    migrate(database, k_split, phases + " rollback");
    CHECK(database.schema() == before);
    // And from there it can be begun again.
    migrate(database, k_split, "expand backfill verify contract");
  }
}

TEST_CASE("phases out of order are refused and name the one to run", "[version]") {
  Database database;
  database.exec(k_users);
  const auto refused = [&](const std::string& phase, const std::string& instead) {
    try {
      migrate(database, k_split, phase);
      FAIL("not refused");
    } catch (const Error& error) {
      CHECK(error.outcome() == Outcome::refused);
      CHECK(error.hint() == "Run: ecmigrate " + instead + " test.yaml");
    }
  };
  refused("backfill", "expand");
  refused("contract", "expand");
  migrate(database, k_split, "expand");
  refused("contract", "backfill");
  refused("verify", "backfill");
  migrate(database, k_split, "backfill");
  refused("contract", "verify");
}

TEST_CASE("steps that an earlier run has done are one line") {
  Database database;
  database.exec(k_users);
  migrate(database, k_split, "expand backfill verify");
  const ProgramResult again = run_program(database, {"verify", "PLAN"}, k_split);
  INFO(again.out);
  CHECK(again.status == 0);
  CHECK(again.out.find("\n  2/2 2 steps   already done\n") != std::string::npos);
  CHECK(again.out.find("validate") == std::string::npos);
}

TEST_CASE("what comes next is told by the state, not by the command") {
  Database database;
  database.exec(k_users);
  const auto says = [&](const std::vector<std::string>& arguments, const std::string& next) {
    const ProgramResult ran = run_program(database, arguments, k_split);
    INFO(arguments.front() << ": " << ran.err);
    CHECK(ran.status == 0);
    const std::size_t at = ran.err.find("next: ");
    const std::string line = at == std::string::npos ? "" : ran.err.substr(at, ran.err.find('\n', at) - at);
    CHECK(line.substr(0, line.find(" /")) == (next.empty() ? "" : "next: " + next));
  };
  const std::string release = "roll out the new version; when no instance of the old one runs: ecmigrate contract";
  says({"rollback", "PLAN"}, "");  // of what was never begun
  says({"expand", "PLAN"}, "ecmigrate backfill");
  says({"backfill", "PLAN"}, "ecmigrate verify");
  says({"expand", "PLAN"}, "ecmigrate verify");
  says({"run", "PLAN"}, release);
  says({"expand", "PLAN"}, release);
  says({"contract", "PLAN", "--confirm", "split"}, "");
  says({"run", "PLAN"}, "");
}

TEST_CASE("contract looks at everything before it asks, says what goes, and asks nothing when nothing does") {
  Database database;
  database.exec(k_users);
  ProgramResult ran = run_program(database, {"contract", "PLAN"}, k_split);
  CHECK(ran.status == 7);
  CHECK_THAT(ran.err, Catch::Matchers::Contains("contract is not its turn"));
  // The phases before it need no word of anybody.
  ran = run_program(database, {"run", "PLAN", "--through", "contract"}, k_split);
  CHECK(ran.status == 7);
  CHECK(database.value("select state from ecmigrate.migrations") == "verified");
  CHECK_THAT(ran.err,
             Catch::Matchers::Contains("contract takes away for good:\n  users.full_name  about 3,002 values, "));
  CHECK_THAT(ran.err,
             Catch::Matchers::Contains("\nconnected now: test (1)\n") && Catch::Matchers::Contains("--confirm split"));
  CHECK(database.value("select count(full_name) from users") == "3002");
  database.exec("create view seen as select full_name from users");
  ran = run_program(database, {"contract", "PLAN"}, k_split);
  CHECK(ran.status == 7);
  CHECK_THAT(ran.err, Catch::Matchers::Contains("view seen"));
  CHECK_THAT(ran.err, !Catch::Matchers::Contains("--confirm"));

  const std::string adds =
      "name: adds\noperations:\n  - add_column: { table: other, column: { name: a, type: int, nullable: true } }\n";
  database.exec("create table other (id int primary key)");
  CHECK(run_program(database, {"run", "PLAN", "--through", "contract"}, adds).status == 0);
}

TEST_CASE("contract asks where the old version is at work, or a trigger reads a name that goes") {
  const std::string rename = "name: rename\noperations:\n  - rename_column: { table: users, from: email, to: mail }\n";
  Database database;
  database.exec(k_users);
  REQUIRE(run_program(database, {"run", "PLAN"}, rename).status == 0);
  SECTION("the old name was written a moment ago") {
    database.exec("update users set email = 'now' where id = 7");
    const ProgramResult asked = run_program(database, {"contract", "PLAN"}, rename);
    CHECK(asked.status == 7);
    CHECK_THAT(asked.err, Catch::Matchers::Contains("the old version is at work:\n  users.email, written ") &&
                              Catch::Matchers::Contains("--confirm rename"));
  }
  SECTION("every write would fail") {
    database.exec(
        "create function tidy() returns trigger language plpgsql as $$ begin new.email := lower(new.email); return "
        "new; "
        "end $$; create trigger tidy before insert or update on users for each row execute function tidy()");
    const ProgramResult asked = run_program(database, {"contract", "PLAN"}, rename);
    CHECK(asked.status == 7);
    CHECK_THAT(asked.err, Catch::Matchers::Contains("every write fails from contract on, until these functions are "
                                                    "changed:\n  trigger tidy on users reads \"email\""));
  }
  CHECK(database.value("select state from ecmigrate.migrations") == "verified");
  // What was confirmed beforehand is still in the log.
  const ProgramResult confirmed = run_program(database, {"contract", "PLAN", "--confirm", "rename"}, rename);
  CHECK(confirmed.status == 0);
  CHECK_THAT(confirmed.err, Catch::Matchers::Contains("connected now: test (1)"));
}

TEST_CASE("rollback is refused before it begins where somebody needs what it drops", "[version]") {
  Database database;
  database.exec(k_users);
  const std::string before = database.schema();
  REQUIRE(run_program(database, {"run", "PLAN"}, k_split).status == 0);
  database.exec("create view names as select first_name, last_name from users");
  const ProgramResult refused = run_program(database, {"rollback", "PLAN"}, k_split);
  CHECK(refused.status == 7);
  CHECK_THAT(refused.err, Catch::Matchers::Contains("these need a column that rollback drops:\n  view names") &&
                              Catch::Matchers::Contains("Point them back") && !Catch::Matchers::Contains("CASCADE"));
  CHECK(database.value("select state from ecmigrate.migrations") == "verified");
  database.exec("drop view names");
  CHECK(run_program(database, {"rollback", "PLAN"}, k_split).status == 0);
  CHECK(database.schema() == before);
}

TEST_CASE("what cannot be steered is not, and it is said why") {
  Database database;
  database.exec(k_users);
  ProgramResult ran = run_program(database, {"pause", "PLAN"}, k_split);
  CHECK(ran.status == 7);
  CHECK_THAT(ran.err, Catch::Matchers::Contains("is not begun") && Catch::Matchers::Contains("ecmigrate expand"));
  migrate(database, k_split, "expand");
  CHECK(run_program(database, {"pause", "PLAN"}, k_split).status == 0);
  CHECK(run_program(database, {"resume", "PLAN"}, k_split).status == 0);
  migrate(database, k_split, "backfill verify contract");
  for (const std::vector<std::string>& arguments : std::vector<std::vector<std::string>>{
           {"pause", "PLAN"}, {"resume", "PLAN"}, {"throttle", "PLAN", "0.5"}, {"set", "PLAN", "workers=1"}}) {
    ran = run_program(database, arguments, k_split);
    CHECK(ran.status == 7);
    CHECK_THAT(ran.err, Catch::Matchers::Contains("\"split\" is contracted: there is no backfill to steer"));
  }
}

TEST_CASE("plan says what each phase does and costs on one screen, and changes nothing", "[version]") {
  Database database;
  database.exec(k_users);
  const auto reader = database.connect();
  reader->script("begin; select from users limit 1");
  database.wait_for(
      "exists (select from pg_stat_activity where state = 'idle in transaction' and xact_start < now() - interval '1.1 "
      "s')");
  const ProgramResult text = run_program(database, {"plan", "PLAN"}, k_split);
  INFO(text.out);
  CHECK(text.status == 0);
  CHECK_THAT(text.out, Catch::Matchers::Contains("users: about 3,002 rows, ") &&
                           Catch::Matchers::Contains("the backfill writes each row once") &&
                           Catch::Matchers::Contains("ACCESS EXCLUSIVE on users: stops reads and writes") &&
                           Catch::Matchers::Contains("SHARE UPDATE EXCLUSIVE on users: stops nothing") &&
                           Catch::Matchers::Contains("about 3,002 rows, about 1.0 s") &&
                           Catch::Matchers::Contains("when contract runs, nothing may use full_name any more") &&
                           Catch::Matchers::Contains("users.full_name  about 3,002 values") &&
                           Catch::Matchers::Contains("in the way now\n  pid ") &&
                           !Catch::Matchers::Contains("alter table"));
  std::istringstream lines(text.out);
  int count = 0;
  for (std::string line; std::getline(lines, line); ++count) {
    CHECK(line.size() <= 100);
  }
  CHECK(count <= 40);
  const ProgramResult printed = run_program(database, {"plan", "PLAN", "--json"}, k_split);
  CHECK(printed.status == 0);
  nlohmann::json plan = nlohmann::json::object();
  std::istringstream json(printed.out);
  for (std::string line; plan.value("type", "") != "plan" && std::getline(json, line);) {
    plan = nlohmann::json::parse(line);
  }
  CHECK(plan.at("type") == "plan");
  CHECK(plan.at("steps").at(0).at("locks").at(0).at("mode") == "ACCESS EXCLUSIVE");
  CHECK(plan.at("estimate").at("rows") == 3002);
  CHECK(database.value("select to_regnamespace('ecmigrate')") == "null");
  reader->script("rollback");

  // Once it is under way, what was decided at expand is what is shown, and that it is.
  CHECK(run_program(database, {"expand", "PLAN"}, k_split).status == 0);
  const std::string under_way = run_program(database, {"plan", "PLAN"}, k_split).out;
  CHECK_THAT(under_way,
             Catch::Matchers::Contains("it is expanded: what has run is not run again") &&
                 Catch::Matchers::Contains(
                     "  expand    add first_name, last_name, sync trigger: done\n  backfill  fill full_name ") &&
                 Catch::Matchers::Contains("drop full_name"));
  CHECK(database.value("select count(*) from ecmigrate.events where data->>'text' like "
                       "'%estimate: the backfill writes about 3,002 rows%'") == "1");
}

TEST_CASE("plan marks what is done in every later state") {
  Database database;
  database.exec(k_users);
  const auto planned = [&] { return run_program(database, {"plan", "PLAN"}, k_split).out; };
  migrate(database, k_split, "expand backfill");
  const std::string backfilled = planned();
  CHECK_THAT(backfilled, Catch::Matchers::Contains(" first_name, last_name: done\n") &&
                             Catch::Matchers::Contains("compare every row of users\n") &&
                             !Catch::Matchers::Contains("compare every row of users: done"));
  migrate(database, k_split, "verify");
  const std::string verified = planned();
  CHECK_THAT(verified, Catch::Matchers::Contains("compare every row of users: done\n") &&
                           Catch::Matchers::Contains("  contract  drop full_name\n"));
  const std::size_t validate = verified.find("  verify    validate ");
  REQUIRE(validate != std::string::npos);
  CHECK(verified.substr(validate, verified.find('\n', validate) - validate).ends_with(": done"));
  migrate(database, k_split, "rollback");
  CHECK(planned().find(": done") == std::string::npos);
}

TEST_CASE("plan lists what is missing, and expand is refused for it", "[superuser]") {
  Database database;
  database.exec(k_users);
  database.exec(
      "create role test_poor login; alter table users owner to test_poor; grant create on schema public to test_poor; "
      "create function touch() returns trigger language plpgsql as $$ begin return new; end $$; create trigger touch "
      "before update on users for each row execute function touch()");
  const auto as_poor = [&](const std::vector<std::string>& arguments) {
    std::vector<std::string> all = arguments;
    all.insert(all.end(), {"PLAN", "-d", database.conninfo("user=test_poor")});
    return run_program(database, all, k_split);
  };
  const ProgramResult plan = as_poor({"plan"});
  INFO(plan.out << plan.err);
  CHECK(plan.status == 7);
  CHECK_THAT(plan.out, Catch::Matchers::Contains("missing\n  expand will be refused: the journal cannot be created: "
                                                 "test_poor may make no schema in ") &&
                           Catch::Matchers::Contains("\n    Have its owner run: grant create on database ") &&
                           Catch::Matchers::Contains("\n  pg_monitor: ") &&
                           Catch::Matchers::Contains("\n    Run: grant pg_monitor to test_poor;\n") &&
                           Catch::Matchers::Contains("\n  the right to set session_replication_role: "));
  CHECK_THAT(as_poor({"plan", "--json"}).out, Catch::Matchers::Contains(R"("missing":[{"what":"the journal cannot)") &&
                                                  Catch::Matchers::Contains(R"("refused":"expand"})") &&
                                                  Catch::Matchers::Contains(R"("refused":null})"));
  const ProgramResult expand = as_poor({"expand"});
  CHECK(expand.status == 7);
  CHECK(plan.err.substr(plan.err.find("error:")) == expand.err.substr(expand.err.find("error:")));
  CHECK(as_poor({"plan", "--sql"}).status == 7);
  database.exec("alter table users owner to postgres; drop owned by test_poor cascade; drop role test_poor");
  const ProgramResult rich = run_program(database, {"plan", "PLAN"}, k_split);
  CHECK(rich.out.find("missing") == std::string::npos);
}

TEST_CASE("plan refuses what expand would", "[superuser]") {
  Database database;
  database.exec(k_users);
  database.exec("create schema ecmigrate");  // somebody's, who is not trusted
  database.exec("create role test_planner login; grant select on users to test_planner");
  const auto as_planner = [&](const std::string& command) {
    return run_program(database, {command, "PLAN", "-d", database.conninfo("user=test_planner")}, k_split);
  };
  const ProgramResult plan = as_planner("plan");
  const ProgramResult expand = as_planner("expand");
  CHECK(expand.status != 0);
  CHECK(plan.status == expand.status);
  CHECK(plan.err.substr(plan.err.find("error:")) == expand.err.substr(expand.err.find("error:")));
  database.exec("drop owned by test_planner; drop role test_planner");
}

TEST_CASE("a rename loses nothing, and plan and contract do not say so; the old name ends with contract") {
  Database database;
  database.exec(k_users);
  const std::string rename = "name: rename\noperations:\n  - rename_column: { table: users, from: email, to: mail }\n";
  const std::string plan = run_program(database, {"plan", "PLAN"}, rename).out;
  INFO(plan);
  CHECK_THAT(plan, !Catch::Matchers::Contains("lost at contract") &&
                       Catch::Matchers::Contains("when contract runs, nothing may use email any more"));
  CHECK(run_program(database, {"run", "PLAN", "--through", "contract"}, rename).status == 0);
  CHECK_THAT(run_program(database, {"plan", "PLAN"}, rename).out,
             Catch::Matchers::Contains("it is contracted") && !Catch::Matchers::Contains("expand"));
}

TEST_CASE("plan --sql is text that psql can run, to the same end") {
  Database database;
  database.exec(k_users);
  // A value that does not come back equal: what is old stays as it is.
  database.exec("update users set full_name = 'Cher ' where id = 1");
  const std::string whole = run_program(database, {"plan", "PLAN", "--sql"}, k_split).out;
  const std::string until_contract = whole.substr(0, whole.find("\n-- contract"));
  shell("psql -X -q -v ON_ERROR_STOP=1 -d '" + database.conninfo() + "' -f " + temporary_file(until_contract, ".sql") +
        " >/dev/null 2>&1");
  CHECK(database.value("select full_name || '|' from users where id = 1") == "Cher |");
  const std::string sql = whole.substr(until_contract.size());
  INFO(sql);
  shell("psql -X -q -v ON_ERROR_STOP=1 -d '" + database.conninfo() + "' -f " + temporary_file(sql, ".sql") +
        " >/dev/null 2>&1");
  CHECK(database.value("select count(*) from users where first_name || ' ' || last_name = 'Ann2 Lee2'") == "1");
  CHECK(database.value("select count(*) from pg_attribute where attrelid = 'users'::regclass and attname = "
                       "'full_name'") == "0");
  CHECK(database.value("select count(*) from pg_trigger where tgrelid = 'users'::regclass") == "0");
}

}  // namespace ecmigrate::test
