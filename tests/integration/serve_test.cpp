#include <chrono>
#include <nlohmann/json.hpp>
#include <set>
#include <thread>

#include "ecmigrate/serve/journal_content.hpp"
#include "support/catch.hpp"
#include "support/fixtures.hpp"
#include "support/server.hpp"

using namespace ecmigrate;
using namespace ecmigrate::test;
using nlohmann::json;

namespace {

/// The page's content of a database, as `ecmigrate serve` has it.
class Page {
 public:
  explicit Page(const std::string& conninfo, serve::JournalContentOptions options = {})
      : m_content({conninfo, "ecmigrate serve", nullptr}, m_hub, std::move(options)) {}

  json state(const std::string& migration = {}) {
    const auto text = m_content.state(migration);
    REQUIRE(text);
    return json::parse(*text);
  }

  /// Asks until it holds; fails the test after half a minute.
  template <typename Holds>
  json wait_for(const Holds& holds, const std::string& migration = {}) {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(30);
    for (;;) {
      json now = state(migration);
      if (holds(now)) {
        return now;
      }
      if (std::chrono::steady_clock::now() > deadline) {
        FAIL("never came true; last: " << now.dump(1).substr(0, 3000));
      }
      std::this_thread::sleep_for(std::chrono::milliseconds(50));
    }
  }

  serve::JournalContent& content() { return m_content; }
  serve::Hub& hub() { return m_hub; }

 private:
  serve::Hub m_hub;
  serve::JournalContent m_content;
};

/// A phase by the real program, whose run has an end.
void run(Database& database, const std::string& phase) {
  std::vector<std::string> arguments{phase, "PLAN"};
  if (phase == "contract" || phase == "rollback") {
    arguments.insert(arguments.end(), {"--confirm", "split"});
  }
  REQUIRE(run_program(database, arguments, k_split).status == 0);
}

std::string lead(const json& state) {
  return state["answers"]["migration"]["lead"];
}

json column(const json& state, const std::string& name) {
  for (const json& one : state["migration"]["columns"]) {
    if (one["name"] == name) {
      return one;
    }
  }
  return nullptr;
}

}  // namespace

TEST_CASE("the page tells a migration from before its journal to after its contract", "[version]") {
  Database database;
  database.exec(k_users);
  Page page(database.conninfo());
  json state = page.state();
  CHECK(lead(state) == "No migration yet");
  CHECK(state["migration"].is_null());
  CHECK(state["database"]["journal"] == "none");

  run(database, "expand");
  state = page.wait_for([](json now) {
    return !now["migration"].is_null() && now["migration"]["state"] == "expanded" &&
           !column(now, "full_name")["population"].is_null();
  });
  CHECK(column(state, "full_name")["fate"] == "dropped at contract");
  CHECK(column(state, "full_name")["population"]["by"] == "estimate");
  CHECK(column(state, "first_name")["side"] == "new");
  CHECK(column(state, "first_name")["population"]["rows"] == 0);
  CHECK(state["migration"]["triggers"][0]["status"] == "enabled");
  CHECK(state["answers"]["next"]["command"].get<std::string>().starts_with("ecmigrate backfill /"));
  state = page.wait_for([](json now) { return !now["migration"]["sample"]["rows"].empty(); });
  CHECK(state["migration"]["sample"]["rows"][0]["compared"] == "waits for backfill");
  CHECK(state["migration"]["sample"]["rows"][0]["values"][1] == "Ann1 Lee1");

  CHECK(run_program(database, {"run", "PLAN"}, k_split).status == 0);
  state = page.wait_for([](json now) {
    return now["migration"]["state"] == "verified" && now["migration"]["sample"]["rows"][0]["compared"] == "equal" &&
           now["migrations"][0]["state"] == "verified";
  });
  CHECK(lead(state) == "Verified, waits for you");
  CHECK(state["answers"]["next"]["lead"] == "Release, then contract");
  CHECK(state["migration"]["backfill"]["total_percent"] == 100);
  CHECK(state["migration"]["backfill"]["relations"][0]["rows"] == 3002);
  CHECK(state["migration"]["verifications"][0]["differences"] == 0);
  CHECK(column(state, "first_name")["population"]["by"] == "verify");
  const json phases = state["migration"]["phases"];
  CHECK(phases[2]["status"] == "done");
  CHECK(phases[3]["status"] == "you");  // never ticked before contract

  run(database, "contract");
  state = page.wait_for([](json now) {
    return now["migration"]["state"] == "contracted" && column(now, "full_name")["status"] == "gone";
  });
  CHECK(column(state, "full_name")["type"] == "character varying(255)");
  CHECK(column(state, "full_name")["at"].is_string());
  CHECK(column(state, "last_name")["nullable"] == false);
  CHECK(state["migration"]["triggers"][0]["status"] == "removed");
  const json locks = json::parse(*page.content().locks(""));
  CHECK(locks["expand_contract"].size() == 4);
  CHECK(locks["naive"].is_null());
  const json events = json::parse(*page.content().events("", 0, 2));
  CHECK(events["events"].size() == 2);
  CHECK(events["older"] == true);
  CHECK(events["events"][0]["id"] > events["events"][1]["id"]);
  const json before = json::parse(*page.content().events("", events["events"][1]["id"], 50));
  CHECK(before["events"][0]["id"] < events["events"][1]["id"]);
  CHECK_FALSE(page.content().state("nosuch"));
}

TEST_CASE("the page names a pause with its reason, a lost runner, a failure and a rollback", "[version]") {
  Database database;
  database.exec(k_users);
  run(database, "expand");
  CHECK(run_program(database, {"pause", "PLAN"}, k_split).status == 0);
  Page page(database.conninfo());
  std::jthread runner([&] { run_program(database, {"backfill", "PLAN"}, k_split); });
  json state = page.wait_for([](json now) {
    return now["migration"]["situation"] == "paused" && now["migration"]["backfill"]["paused"] == true;
  });
  CHECK(lead(state).starts_with("Paused"));
  CHECK(state["migration"]["backfill"]["reasons"][0]["code"] == "paused_by_user");
  CHECK(state["migration"]["pauses"].back()["to"].is_null());
  CHECK(state["migration"]["backfill"]["relations"][0]["eta_ms"].is_null());
  CHECK(state["answers"]["next"]["command"].get<std::string>().starts_with("ecmigrate resume /"));
  CHECK(page.content().metrics().find(R"(ecmigrate_backfill_paused{migration="split",reason="paused_by_user"} 1)") !=
        std::string::npos);
  CHECK(run_program(database, {"resume", "PLAN"}, k_split).status == 0);
  runner.join();
  state = page.wait_for([](json now) { return now["migration"]["state"] == "backfilled"; });
  CHECK(state["migration"]["pauses"].back()["to"].is_string());

  // A run that has no end, and no session that holds the migration.
  database.exec(
      "insert into ecmigrate.runs (migration, command, host, process, backend) values ('split', 'verify', 'ops-1', "
      "3121, 0)");
  state = page.wait_for([](json now) { return now["migration"]["situation"] == "lost"; });
  CHECK(lead(state) == "Runner lost");
  CHECK(state["notice"]["steps"][0]["command"].get<std::string>().starts_with("ecmigrate verify"));

  database.exec(
      "update ecmigrate.runs set finished_at = clock_timestamp(), outcome = 'done' where host = 'ops-1'; alter table "
      "users disable trigger user");
  CHECK(run_program(database, {"verify", "PLAN"}, k_split).status == 7);
  state = page.wait_for([](json now) {
    return now["migration"]["situation"] == "failed" && now["migration"]["triggers"][0]["status"] == "disabled";
  });
  CHECK(lead(state) == "Verify was refused");
  CHECK(state["notice"]["title"] == "Verify ended with exit status 7 (refused)");

  run(database, "rollback");
  state = page.wait_for([](json now) {
    return now["migration"]["state"] == "rolled_back" && column(now, "first_name")["status"] == "gone";
  });
  CHECK(column(state, "full_name")["status"] == "in_place");
  CHECK(state["migration"]["phases"][0]["status"] == "skipped");
}

TEST_CASE("the page says what it may not read, and what it is too old for", "[version]") {
  Database database;
  database.exec(k_users);
  run(database, "expand");
  database.exec("drop role if exists onlooker; create role onlooker login");
  Page stranger(database.conninfo("user=onlooker"));
  json state = stranger.state();
  CHECK(lead(state) == "The journal cannot be read as onlooker");
  CHECK(state["answers"]["next"]["command"].get<std::string>().find(
            "grant usage on schema ecmigrate to \"onlooker\"") != std::string::npos);
  database.exec(state["answers"]["next"]["command"]);
  state = stranger.wait_for([](json now) {
    return now["database"]["journal"] == "ok" && !now["migration"].is_null() &&
           !now["migration"]["sample"]["skipped"].is_null();
  });
  CHECK(state["blockers"]["note"].get<std::string>().starts_with("Only sessions of onlooker are seen"));
  CHECK(state["migration"]["sample"]["rows"].empty());
  database.exec("update ecmigrate.journal set format = 9");
  Page old(database.conninfo());
  CHECK(lead(old.state()) == "The journal is newer than this program");
  database.exec("drop owned by onlooker; drop role onlooker");
}

TEST_CASE("a table that is locked does not hold the page up, and who is in the way is named", "[version][superuser]") {
  Database database;
  database.exec(k_users);
  run(database, "expand");
  Page page(database.conninfo());
  page.wait_for([](json now) { return !now["migration"]["sample"]["rows"].empty(); });
  const auto holder = database.connect("application_name=report");
  holder->query("begin");
  holder->query("lock table users in access exclusive mode");
  const json first =
      page.wait_for([](json now) { return now["migration"]["sample"]["skipped"] == "not read, users is locked"; });
  CHECK_FALSE(first["migration"]["sample"]["rows"].empty());  // the last that were read
  const std::string at = first["at"];
  page.wait_for([&](json now) { return now["at"] > at; });

  std::jthread runner([&] { run_program(database, {"rollback", "PLAN", "--lock-timeout", "5s"}, k_split); });
  const json blocked = page.wait_for([](json now) { return !now["blockers"]["list"].empty(); });
  CHECK(blocked["blockers"]["list"][0]["who"] == "postgres@report");
  CHECK(blocked["blockers"]["list"][0]["behind"][0].get<std::string>().find("ecmigrate rollback split") !=
        std::string::npos);
  CHECK(blocked["blockers"]["list"][0]["statement"] ==
        "select pg_terminate_backend(" + std::to_string(holder->backend_pid()) + ");");
  holder->query("rollback");
  runner.join();
  page.wait_for([](json now) { return now["migration"]["state"] == "rolled_back" && now["blockers"]["list"].empty(); });
}

TEST_CASE("a database that goes away is said to, with the last figures, and comes back without a new page") {
  OwnServer server("shared_buffers=8MB");
  auto database = std::make_unique<Database>(server.conninfo());
  database->exec(k_users);
  run(*database, "expand");
  Page page(database->conninfo());
  page.wait_for([](json now) { return !now["migration"].is_null() && !now["migration"]["columns"].empty(); });
  CHECK(page.content().health().database_up);
  const std::string name = database->name();
  server.stop();
  const json down = page.wait_for([](json now) { return now["database"]["up"] == false; });
  CHECK(down["migration"]["name"] == "split");
  CHECK(down["answers"]["application"]["lead"] == "Not known");
  CHECK(lead(down) == "Last seen: Expanded");
  CHECK(down["database"]["error"].get<std::string>().find("password") == std::string::npos);
  CHECK_FALSE(page.content().health().database_up);
  CHECK(page.content().metrics().find("ecmigrate_up 0\n") != std::string::npos);
  shell(std::string(ECMIGRATE_SOURCE_DIR "/scripts/postgres.sh start ") + server.folder());
  const json up = page.wait_for([](json now) { return now["database"]["up"] == true; });
  CHECK(up["migration"]["state"] == "expanded");
  // The first session of the test is gone with the server.
  try {
    database.reset();
  } catch (...) {
  }
}

TEST_CASE("the page asks three statements a second at most, whoever looks, and none when nobody does") {
  OwnServer server("shared_preload_libraries=pg_stat_statements");
  Database database(server.conninfo());
  database.exec("create extension pg_stat_statements");
  database.exec(k_users);
  run(database, "expand");
  Page page(database.conninfo());
  const auto calls = [&] {
    return std::stod(
        database.value("select coalesce(sum(calls), 0) from pg_stat_statements where query not like "
                       "'%pg_stat_statements%' and toplevel"));
  };
  page.wait_for([](json now) {
    return !now["migration"].is_null() && !now["migration"]["sample"]["rows"].empty() && !now["migrations"].empty();
  });
  // Counted over five of the poller's turns, with many threads that ask and look all the time.
  database.exec("select pg_stat_statements_reset()");
  const auto begin = std::chrono::steady_clock::now();
  {
    std::vector<std::jthread> browsers;
    for (int i = 0; i < 50; ++i) {
      browsers.emplace_back([&](const std::stop_token& stop) {
        while (!stop.stop_requested()) {
          page.content().look("");
          std::ignore = page.content().state("");
          std::this_thread::sleep_for(std::chrono::milliseconds(100));
        }
      });
    }
    std::set<std::string> moments;
    while (moments.size() < 6) {
      moments.insert(page.state()["at"]);
      std::this_thread::sleep_for(std::chrono::milliseconds(50));
    }
  }
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  const double asked = calls();
  INFO(asked << " statements in " << seconds << " s");
  CHECK(asked >= 8);
  CHECK(asked <= 3 * (seconds + 1));

  // Nobody looks: after ten seconds the poller rests, with nothing open.
  const std::string session = "from pg_stat_activity where application_name = 'ecmigrate serve'";
  database.wait_for("(select max(query_start) < clock_timestamp() - interval '5 seconds' " + session + ")");
  CHECK(database.value("select string_agg(state || coalesce(backend_xmin::text, ''), ' ') " + session) == "idle");
  page.wait_for([](json now) { return now["database"]["up"] == true; });
  CHECK(database.value("select max(query_start) > clock_timestamp() - interval '5 seconds' " + session) == "t");
}

TEST_CASE("what changes is told to the streams, an event once and a point of the series once") {
  Database database;
  database.exec(k_users);
  run(database, "expand");
  Page page(database.conninfo());
  page.state();
  const std::uint64_t begin = page.hub().last();
  CHECK(run_program(database, {"backfill", "PLAN"}, k_split).status == 0);
  page.wait_for([](json now) { return now["migration"]["state"] == "backfilled"; });
  std::set<std::string> types;
  std::set<std::string> events;
  std::uint64_t after = begin;
  for (int i = 0; i < 100 && (!types.contains("event") || !types.contains("progress") || !types.contains("state"));
       ++i) {
    const auto news = page.hub().wait(after, "split", std::chrono::milliseconds(200));
    after = news.last;
    for (const auto& text : news.events) {
      const std::string type =
          text->substr(text->find("event: ") + 7, text->find('\n', text->find("event: ")) - text->find("event: ") - 7);
      types.insert(type);
      if (type == "event") {
        CHECK(events.insert(text->substr(text->find("data: "))).second);
      }
    }
    page.content().look("");
  }
  CHECK(types.contains("event"));
  CHECK(types.contains("state"));
  CHECK(types.contains("progress"));
}

TEST_CASE("where rows and queries are hidden, events are told without them") {
  Database database;
  database.exec(k_users);
  run(database, "expand");
  database.exec(
      "insert into ecmigrate.events (migration, run, data) values "
      "('split', 1, "
      "'{\"v\":1,\"type\":\"difference\",\"relation\":\"users\",\"key\":\"id=42\",\"kind\":\"pending\",\"old_values\":"
      "\"Secret Name\",\"new_values\":\"null\"}'), "
      "('split', 1, "
      "'{\"v\":1,\"type\":\"lock_try_failed\",\"tries\":1,\"blockers\":[{\"pid\":7,\"user\":\"ann\",\"query\":\"select "
      "secret\"}]}'), "
      "('split', 1, "
      "'{\"v\":1,\"type\":\"trial_finished\",\"relation\":\"users\",\"rows\":9,\"lossy\":1,\"examples\":[\"Secret "
      "\"]}')");
  Page open(database.conninfo());
  Page hidden(database.conninfo(), {.show_sample = false, .show_queries = false});
  const std::string all = *open.content().events("", 0, 50);
  CHECK(all.find("Secret Name") != std::string::npos);
  CHECK(all.find("select secret") != std::string::npos);
  const std::string some = *hidden.content().events("", 0, 50);
  CHECK(some.find("difference") != std::string::npos);
  CHECK(some.find("ecret") == std::string::npos);
  CHECK(hidden.state()["migration"]["sample"]["rows"].empty());
}

TEST_CASE("a migration that is not the current one is there at the first request") {
  Database database;
  database.exec(k_users);
  run(database, "expand");
  database.exec(
      "insert into ecmigrate.migrations (name, state, plan, plan_hash, recipe, recipe_format, version) "
      "select 'newer', 'expanded', plan, plan_hash, '{}', recipe_format, version from ecmigrate.migrations");
  Page page(database.conninfo());
  CHECK(page.state("split")["migration"]["name"] == "split");
}

TEST_CASE("a database that has stopped answering is said to be down, and the page ends all the same") {
  Database database;
  database.exec(k_users);
  run(database, "expand");
  auto page = std::make_unique<Page>(database.conninfo());
  page->state();
  const std::string pid = database.value(
      "select pid from pg_stat_activity where application_name = 'ecmigrate serve' and datname = current_database()");
  shell("kill -STOP " + pid);
  page->wait_for([](json now) { return now["database"]["up"] == false; });
  page.reset();  // would never return, if it waited for an answer
  shell("kill -CONT " + pid);
}

TEST_CASE("names and values of any kind are data of the document, and the names of metrics' labels are escaped",
          "[unicode]") {
  Database database;
  database.exec(
      "create table \"<img src=x onerror=alert(1)>\" (id int primary key, \"a\"\"b\\\" text); insert into \"<img src=x "
      "onerror=alert(1)>\" values (1, E'\\u202e<script>')");
  migrate(database,
          "name: \"evil\\\"name\"\noperations:\n  - rename_column: { table: '<img src=x onerror=alert(1)>', from: "
          "'a\"b\\', to: 'c' }\n",
          "expand");
  Page page(database.conninfo());
  const json state = page.wait_for([](json now) {
    return !now["migration"].is_null() && !now["migration"]["sample"].is_null() &&
           !now["migration"]["sample"]["rows"].empty();
  });
  CHECK(state["migration"]["tables"][0] == "<img src=x onerror=alert(1)>");
  CHECK(page.content().metrics().find(R"({migration="evil\"name")") != std::string::npos);
}
