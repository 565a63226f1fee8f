#include "ecmigrate/serve/hub.hpp"

#include "support/catch.hpp"

using ecmigrate::serve::Hub;

namespace {

constexpr std::chrono::milliseconds k_at_once{0};

void publish(Hub& hub, int count) {
  for (int number = 0; number < count; ++number) {
    hub.publish({"event", "", true, std::to_string(number)});
  }
}

}  // namespace

TEST_CASE("http: a message is written once, with its id") {
  Hub hub;
  const std::string boot = hub.last_id().substr(0, hub.last_id().find('-'));
  CHECK(hub.last_id() == boot + "-0");
  hub.publish({"state", "a", false, R"({"x":1})"});
  CHECK(hub.last_id() == boot + "-1");
  const auto news = hub.wait(0, "a", k_at_once);
  REQUIRE(news.events.size() == 1);
  CHECK(*news.events[0] == "id: " + boot + "-1\nevent: state\ndata: {\"x\":1}\n\n");
  CHECK(hub.wait(0, "a", k_at_once).events[0] == news.events[0]);
  CHECK(Hub().last_id() != Hub().last_id());
}

TEST_CASE("http: a stream gets what is of its migration") {
  Hub hub;
  hub.publish({"event", "a", false, "1"});
  hub.publish({"event", "b", true, "2"});
  hub.publish({"event", "", false, "3"});
  CHECK(hub.wait(0, "a", k_at_once).events.size() == 2);  // a's and nobody's
  CHECK(hub.wait(0, "b", k_at_once).events.size() == 2);
  CHECK(hub.wait(0, "", k_at_once).events.size() == 2);  // the current one's
  CHECK(hub.wait(0, "c", k_at_once).events.size() == 1);
  CHECK(hub.wait(0, "c", k_at_once).last == 3);
  CHECK(hub.wait(3, "a", k_at_once).events.empty());
}

TEST_CASE("http: a stream goes on after its last message, as long as what follows is kept") {
  Hub hub;
  const std::string boot = hub.last_id().substr(0, hub.last_id().find('-') + 1);
  CHECK(hub.resume_after(boot + "0") == 0);
  publish(hub, 1'000);
  CHECK(hub.resume_after(boot + "0") == 0);
  CHECK_FALSE(hub.wait(0, "", k_at_once).missed);
  CHECK(hub.wait(0, "", k_at_once).events.size() == 1'000);
  publish(hub, 1);
  CHECK_FALSE(hub.resume_after(boot + "0"));
  CHECK(hub.wait(0, "", k_at_once).missed);
  CHECK(hub.resume_after(boot + "1") == 1);
  CHECK(hub.resume_after(boot + "1001") == 1'001);
  for (const std::string& id :
       {boot + "1002", boot, boot + "x", boot + "1x", boot + "-1", "0-5" + boot, std::string("5"), std::string(),
        std::string("other-5"), boot + "99999999999999999999"}) {
    INFO(id);
    CHECK_FALSE(hub.resume_after(id));
  }
}

TEST_CASE("http: an ended hub keeps no stream waiting") {
  Hub hub;
  hub.end();
  CHECK(hub.wait(0, "", std::chrono::hours(1)).ended);
}
