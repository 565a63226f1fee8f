#include "ecmigrate/scene/traffic.hpp"

#include <fmt/format.h>

#include <fstream>
#include <sstream>
#include <thread>

#include "ecmigrate/scene/embedded_server.hpp"
#include "support/catch.hpp"
#include "support/server.hpp"

namespace ecmigrate::test {

namespace {

using scene::Shape;
using scene::Traffic;
using scene::TrafficOptions;
using scene::TrafficStats;
using std::chrono::milliseconds;

std::string split_plan() {
  std::ifstream file(ECMIGRATE_SOURCE_DIR "/plans/split-full-name.yaml");
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

void load_users(Database& database, int rows) {
  const auto session = database.connect();
  scene::load_users(*session, rows);
}

TrafficOptions options_for(const Database& database, const std::string& shape = "old") {
  TrafficOptions options;
  options.shape = shape;
  options.conninfo = database.conninfo();
  return options;
}

/// Asks until the condition holds; fails the test after a minute.
template <typename Condition>
TrafficStats wait_for(const Traffic& traffic, const Condition& condition) {
  for (int i = 0; i < 6'000; ++i) {
    const TrafficStats stats = traffic.stats();
    if (condition(stats)) {
      return stats;
    }
    std::this_thread::sleep_for(milliseconds(10));
  }
  FAIL("never came true");
  return {};
}

std::string errors_of(const TrafficStats& stats) {
  std::string text;
  for (const std::string& error : stats.errors) {
    text += error + "\n";
  }
  return text;
}

/// What the demo's traffic may do to any user, done to all of them.
void update_all(Database& database, const std::string& shape, scene::Update update) {
  const TrafficStats stats = scene::update_every_user(options_for(database, shape), update);
  INFO(shape << " version, update " << static_cast<int>(update) << "\n" << errors_of(stats));
  CHECK(stats.requests == 1100);
  CHECK(stats.failed == 0);
  CHECK(stats.lost == 0);
  CHECK(stats.checked == (update == scene::Update::taken_back ? 0 : 1100));
}

}  // namespace

TEST_CASE("every update of the demo's application works on every user, in every phase", "[unicode]") {
  const std::string plan = split_plan();
  // Each on fresh users: the first update of a row fills it, and the next would meet another row.
  for (const scene::Update update : scene::k_updates) {
    Database database;
    load_users(database, 1'100);
    for (const std::string kind :
         {"char_length(full_name) = 255 and full_name ~ ' '", "char_length(full_name) = 255 and full_name !~ ' '",
          "full_name ~ ' $'", "full_name ~ '  '", "full_name ~ ''''",
          "octet_length(full_name) > char_length(full_name)"}) {
      INFO(kind);
      REQUIRE(database.value("select count(*) > 0 from users where " + kind) == "t");
    }
    migrate(database, plan, "expand");
    update_all(database, "new", update);
    update_all(database, "old", update);
    migrate(database, plan, "backfill verify");
    update_all(database, "new", update);
    migrate(database, plan, "verify contract");
    update_all(database, "new", update);
  }
}

TEST_CASE("traffic: both versions through a migration; nothing fails and nothing is lost", "[unicode]") {
  Database database;
  load_users(database, 2'000);
  Traffic old_version(options_for(database));
  Traffic new_version(options_for(database, "new"));
  old_version.start();
  migrate(database, split_plan(), "expand");
  new_version.start();
  const auto enough = [](const TrafficStats& stats) { return stats.requests >= 300; };
  migrate(database, split_plan(), "backfill");
  wait_for(old_version, enough);
  wait_for(new_version, enough);
  old_version.stop();
  migrate(database, split_plan(), "verify contract");
  new_version.stop();
  for (const Traffic* traffic : {&old_version, &new_version}) {
    const TrafficStats stats = traffic->stats();
    INFO(errors_of(stats));
    CHECK(stats.failed == 0);
    CHECK(stats.lost == 0);
    CHECK(stats.checked > 0);
    CHECK_FALSE(stats.running);
    CHECK(stats.p50_ms > 0);
    CHECK(stats.p50_ms <= stats.p99_ms);
    CHECK(stats.p99_ms <= stats.slowest_ms);
  }
}

TEST_CASE("traffic: an outage is counted by what arrived, not by what could be sent", "[unicode]") {
  Database database;
  load_users(database, 1'000);
  TrafficOptions options = options_for(database);
  options.rate = 100;
  options.connections = 2;
  options.timeout = milliseconds(300);
  Traffic traffic(options);
  traffic.start();
  wait_for(traffic, [](const TrafficStats& stats) { return stats.requests >= 50; });
  CHECK(traffic.stats().failed == 0);
  database.exec("begin; lock table users in access exclusive mode");
  // Two connections alone could fail 7 times a second.
  const TrafficStats during = wait_for(traffic, [](const TrafficStats& stats) { return stats.failed >= 100; });
  CHECK(during.longest_gap_ms >= 1'000);
  CHECK(during.timeouts == during.failed);
  database.exec("commit");
  const std::int64_t after = traffic.stats().requests + 50;
  const TrafficStats later = wait_for(traffic, [&](const TrafficStats& stats) { return stats.requests >= after; });
  traffic.stop();
  const TrafficStats stats = traffic.stats();
  INFO(errors_of(stats));
  CHECK(stats.longest_gap_ms >= during.longest_gap_ms);
  CHECK(stats.requests - stats.failed > 50);
  CHECK(stats.lost == 0);
  CHECK(stats.slowest_ms >= 300);
  std::int64_t red = 0;
  for (std::size_t i = 0; i < later.bars.size(); ++i) {
    CHECK((i == 0 || later.bars[i].t_ms == later.bars[i - 1].t_ms + 500));
    red += later.bars[i].failed;
  }
  CHECK(red == later.failed);
}

TEST_CASE("traffic: without a timeout it waits, and the wait is in the latency of all that arrived meanwhile",
          "[unicode]") {
  Database database;
  load_users(database, 1'000);
  TrafficOptions options = options_for(database);
  options.connections = 1;
  Traffic traffic(options);
  traffic.start();
  wait_for(traffic, [](const TrafficStats& stats) { return stats.requests >= 20; });
  database.exec("begin; lock table users in access exclusive mode");
  wait_for(traffic, [](const TrafficStats& stats) { return stats.longest_gap_ms >= 1'000; });
  database.exec("commit");
  wait_for(traffic, [](const TrafficStats& stats) { return stats.requests >= 240; });
  traffic.stop();
  const TrafficStats stats = traffic.stats();
  CHECK(stats.failed == 0);
  CHECK(stats.slowest_ms >= 900);
  // Of some 240 requests, most arrived during the lock: one connection that waited alone would show in the slowest
  // only.
  CHECK(stats.p99_ms >= 500);
}

TEST_CASE("traffic: which version serves can change at any moment, with figures of its own", "[unicode]") {
  Database database;
  load_users(database, 1'000);
  Traffic traffic(options_for(database));
  traffic.start();
  wait_for(traffic, [](const TrafficStats& stats) { return stats.requests >= 20; });
  migrate(database, split_plan(), "expand");
  traffic.serve({Shape::old_shape, Shape::new_shape});
  wait_for(traffic, [](const TrafficStats& stats) { return stats.requests >= 100; });
  CHECK(traffic.stats(Shape::old_shape).running);
  CHECK(traffic.stats(Shape::new_shape).running);
  migrate(database, split_plan(), "backfill verify");
  traffic.serve({Shape::new_shape});
  const std::int64_t old_requests = traffic.stats(Shape::old_shape).requests;
  traffic.drain(Shape::old_shape);
  CHECK_FALSE(traffic.stats(Shape::old_shape).running);
  const std::int64_t enough = traffic.stats().requests + 100;
  wait_for(traffic, [&](const TrafficStats& stats) { return stats.requests >= enough; });
  migrate(database, split_plan(), "verify contract");
  traffic.stop();
  INFO(errors_of(traffic.stats()));
  CHECK(traffic.stats().failed == 0);
  CHECK(traffic.stats().lost == 0);
  CHECK(traffic.stats(Shape::old_shape).requests <= old_requests + 8);
  CHECK(traffic.stats(Shape::new_shape).requests >= 90);
}

TEST_CASE("traffic: a write that is undone behind its back is told as lost", "[unicode]") {
  Database database;
  load_users(database, 1'000);
  Traffic traffic(options_for(database));
  traffic.start();
  wait_for(traffic, [](const TrafficStats& stats) { return stats.requests >= 100; });
  database.exec("update users set full_name = 'nobody'");
  traffic.stop();
  CHECK(traffic.stats().lost > 0);
  CHECK(errors_of(traffic.stats()).find("acknowledged was") != std::string::npos);
}

TEST_CASE("traffic: a lost connection fails its request and is made again", "[unicode]") {
  Database database;
  load_users(database, 1'000);
  Traffic traffic(options_for(database));
  traffic.start();
  wait_for(traffic, [](const TrafficStats& stats) { return stats.requests >= 50; });
  database.exec(
      "select pg_terminate_backend(pid) from pg_stat_activity where application_name like 'shop, %' and datname = "
      "current_database()");
  const std::int64_t enough = traffic.stats().requests + 200;
  wait_for(traffic, [&](const TrafficStats& stats) { return stats.requests >= enough; });
  traffic.stop();
  INFO(errors_of(traffic.stats()));
  CHECK(traffic.stats().failed >= 1);
  CHECK(traffic.stats().failed <= 8);
  CHECK(traffic.stats().lost == 0);
}

}  // namespace ecmigrate::test
