#include "application.hpp"

#include <fstream>
#include <sstream>

#include "support/catch.hpp"
#include "support/server.hpp"

namespace ecmigrate::test {

namespace {

std::string text_of(const std::string& path) {
  std::ifstream file(path);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

/// The demo's users, as many as it takes for every kind of odd name.
void load_demo_users(Database& database) {
  database.exec("set demo.users = '1100'");
  database.exec(text_of(ECMIGRATE_SOURCE_DIR "/demo/users.sql"));
  for (const std::string kind : {"char_length(full_name) = 255 and full_name ~ ' '", "char_length(full_name) = 255 and full_name !~ ' '",
                                 "full_name ~ ' $'", "full_name ~ '  '", "full_name ~ ''''", "octet_length(full_name) > char_length(full_name)"}) {
    INFO(kind);
    REQUIRE(database.value("select count(*) > 0 from users where " + kind) == "t");
  }
}

/// What the demo's traffic may do to any user, done to all of them.
void update_all(Database& database, const std::string& shape, traffic::Update update) {
  traffic::TrafficOptions options;
  options.shape = shape;
  options.dbname = database.conninfo();
  const traffic::TrafficReport report = traffic::update_every_user(options, update);
  INFO(shape << " version, update " << static_cast<int>(update) << (report.errors.empty() ? "" : ": " + report.errors.front()));
  CHECK(report.requests == 1100);
  CHECK(report.failed == 0);
  CHECK(report.lost == 0);
  CHECK(report.checked == (update == traffic::Update::taken_back ? 0 : 1100));
}

}  // namespace

TEST_CASE("every update of the demo's application works on every user, in every phase") {
  const std::string plan = text_of(ECMIGRATE_SOURCE_DIR "/plans/split-full-name.yaml");
  // Each on fresh users: the first update of a row fills it, and the next would meet another row.
  for (const traffic::Update update : traffic::k_updates) {
    Database database;
    load_demo_users(database);
    migrate(database, plan, "expand");
    update_all(database, "new", update);
    update_all(database, "old", update);
    migrate(database, plan, "backfill verify");
    update_all(database, "new", update);
    migrate(database, plan, "verify contract");
    update_all(database, "new", update);
  }
}

}  // namespace ecmigrate::test
