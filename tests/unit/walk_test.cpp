#include "ecmigrate/fill/walk.hpp"

#include <map>

#include "support/catch.hpp"

using namespace ecmigrate;

TEST_CASE("every page is visited once a pass, in its window") {
  const std::int64_t pages = GENERATE(1, 7, 100, 101, 250);
  const std::int64_t batch = GENERATE(1, 9, 1000);
  const int workers = GENERATE(1, 2, 4);
  std::map<std::pair<std::int64_t, int>, int> visits;
  for (std::int64_t first = 0; first < pages;) {
    WindowRecord window;
    window.first = window.page = first;
    window.end = first = window_end(first, pages, workers, 100);
    window.passes = 8;
    window.shrink = 0.93;
    REQUIRE(window.end > window.first);
    for (double before = 0; !window.done;) {
      const std::int64_t end = batch_end(window, batch);
      REQUIRE(end > window.page);
      for (std::int64_t page = window.page; page < end; ++page) {
        ++visits[{page, window.pass}];
      }
      window = after_batch(window, end);
      CHECK(pages_walked(window) >= before);
      before = pages_walked(window);
      CHECK(before <= static_cast<double>(window.end - window.first));
    }
    CHECK(pages_walked(window) == static_cast<double>(window.end - window.first));
  }
  CHECK(visits.size() == static_cast<std::size_t>(pages) * 8);
  for (const auto& [where, count] : visits) {
    CHECK(count == 1);
  }
}

TEST_CASE("windows become smaller towards the end for several workers, and never tiny") {
  CHECK(window_end(0, 100'000, 2, 1600) == 1600);
  CHECK(window_end(96'000, 100'000, 2, 1600) == 97'000);
  CHECK(window_end(99'000, 100'000, 2, 1600) == 99'400);
  CHECK(window_end(99'900, 100'000, 2, 1600) == 100'000);
  CHECK(window_end(99'000, 100'000, 1, 1600) == 100'000);
}

TEST_CASE("the batch grows by at most half, shrinks by at most half, and to a quarter in a panic") {
  BatchSizer sizer(50, 100, 1000);
  const auto took = [&](double milliseconds) { sizer.batch_took(milliseconds, sizer.size()); };
  took(1);
  CHECK(sizer.pages() == 150);
  took(199);
  CHECK(sizer.pages() == 75);
  took(201);
  CHECK(sizer.pages() == 19);
  for (int i = 0; i < 50; ++i) {
    took(1);
  }
  CHECK(sizer.pages() == 1000);
  for (int i = 0; i < 50; ++i) {
    took(10'000);
  }
  CHECK(sizer.pages() == 1);
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
