#include "ecmigrate/engine/walk.hpp"

#include <map>

#include "support/catch.hpp"

using namespace ecmigrate;

TEST_CASE("every page is visited once a pass, in its window, before the next window begins") {
  const std::int64_t pages = GENERATE(1, 7, 100, 101, 250);
  const std::int64_t batch = GENERATE(1, 9, 1000);
  const PageOrder order{pages, 100, 8};
  std::map<std::pair<std::int64_t, int>, int> visits;
  PagePosition position;
  double before = 0;
  while (!at_end(order, position)) {
    const std::int64_t end = batch_end(order, position, batch);
    REQUIRE(end > position.page);
    for (std::int64_t page = position.page; page < end; ++page) {
      CHECK(page / order.window_pages == position.window / order.window_pages);
      ++visits[{page, position.pass}];
    }
    position = after_batch(order, position, end);
    CHECK(walked(order, position) >= before);
    before = walked(order, position);
    CHECK(before <= 1);
  }
  CHECK(before == 1);
  CHECK(visits.size() == static_cast<std::size_t>(pages) * 8);
  for (const auto& [where, count] : visits) {
    CHECK(count == 1);
  }
}

TEST_CASE("an empty table is walked at once") {
  const PageOrder order{0, 100, 8};
  CHECK(at_end(order, {}));
  CHECK(walked(order, {}) == 1);
}

TEST_CASE("the batch grows by at most half, shrinks by at most half, and to a quarter in a panic") {
  BatchSizer sizer(50, 100, 1000);
  sizer.batch_took(1);
  CHECK(sizer.pages() == 150);
  sizer.batch_took(199);
  CHECK(sizer.pages() == 75);
  sizer.batch_took(201);
  CHECK(sizer.pages() == 19);
  for (int i = 0; i < 50; ++i) {
    sizer.batch_took(1);
  }
  CHECK(sizer.pages() == 1000);
  for (int i = 0; i < 50; ++i) {
    sizer.batch_took(10'000);
  }
  CHECK(sizer.pages() == 1);
  sizer.batch_took(30);
  CHECK(sizer.pages() == 2);
}

TEST_CASE("there is no ETA before it means something, and then a range around the likely one") {
  Eta eta;
  eta.at(0, 0);
  eta.at(300, 0.001);
  eta.at(600, 0.002);
  eta.at(900, 0.003);
  eta.at(1200, 0.004);
  CHECK_FALSE(eta.estimate().has_value());
  for (int i = 5; i < 100; ++i) {
    eta.at(300.0 * i, 0.001 * i + (i % 2 == 0 ? 0.0003 : 0));
  }
  const auto estimate = eta.estimate();
  REQUIRE(estimate.has_value());
  // 0.001 a 300 ms, 0.901 left.
  CHECK(estimate->likely_ms == Approx(270'000).epsilon(0.02));
  CHECK(estimate->low_ms < estimate->likely_ms);
  CHECK(estimate->high_ms > estimate->likely_ms);
}

TEST_CASE("a walk that stands still has no ETA rather than an endless one") {
  Eta eta;
  for (int i = 0; i < 40; ++i) {
    eta.at(300.0 * i, 0.5);
  }
  CHECK_FALSE(eta.estimate().has_value());
}
