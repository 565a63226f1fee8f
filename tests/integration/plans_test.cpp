#include <filesystem>

#include "ecmigrate/scene/embedded_server.hpp"
#include "support/catch.hpp"
#include "support/server.hpp"

namespace ecmigrate::test {

namespace {

/// The demo's table, with fewer users.
void load_demo_users(Database& database) {
  const auto session = database.connect();
  scene::load_users(*session, 2'000);
}

}  // namespace

TEST_CASE("every plan of plans/ runs on the demo's users, forwards and back", "[version][unicode]") {
  int plans = 0;
  for (const auto& entry : std::filesystem::directory_iterator(ECMIGRATE_SOURCE_DIR "/plans")) {
    if (entry.path().extension() != ".yaml") {
      continue;
    }
    ++plans;
    INFO(entry.path());
    const std::string plan = text_of(entry.path());
    Database database;
    load_demo_users(database);
    REQUIRE(database.value("select count(*) from users") == "2000");
    const std::string before = database.schema();
    migrate(database, plan, "expand backfill verify rollback");
    CHECK(database.schema() == before);
    migrate(database, plan, "expand backfill verify contract");
    CHECK(database.value("select state from ecmigrate.migrations") == "contracted");
    CHECK(database.schema() != before);
    CHECK(database.value("select count(*) from users") == "2000");
  }
  CHECK(plans > 0);
}

TEST_CASE("the demo's users have the names that make a split hard, and the lossy ones are told", "[version][unicode]") {
  Database database;
  load_demo_users(database);
  const auto count = [&](const std::string& condition) {
    return std::stoi(database.value("select count(*) from users where " + condition));
  };
  CHECK(count("full_name !~ ' '") > 0);
  CHECK(count("full_name ~ '^[^ ]+ [^ ]+ [^ ]+$'") > 0);
  CHECK(count("full_name ~ '''' ") > 0);
  CHECK(count("octet_length(full_name) > char_length(full_name)") > 0);
  CHECK(count("full_name ~ '  '") > 0);
  CHECK(count("char_length(full_name) = 255 and full_name ~ ' '") > 0);
  const int trailing = count("full_name ~ '^[^ ]+ $'");
  CHECK(trailing > 0);

  Recorder recorder;
  migrate(database, text_of(ECMIGRATE_SOURCE_DIR "/plans/split-full-name.yaml"), "expand", &recorder);
  const auto trials = recorder.all<event::TrialFinished>();
  REQUIRE(trials.size() == 1);
  CHECK(trials.front().lossy == trailing);
  REQUIRE_FALSE(trials.front().examples.empty());
  CHECK(trials.front().examples.front().find(" ` → `") != std::string::npos);
}

}  // namespace ecmigrate::test
