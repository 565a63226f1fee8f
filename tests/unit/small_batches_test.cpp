#include <set>

#include "ecmigrate/fill/walk.hpp"
#include "support/catch.hpp"

using namespace ecmigrate;

namespace {

WindowRecord page_of(int last_line) {
  WindowRecord window;
  window.first = window.page = 7;
  window.end = 9;
  window.last_line = last_line;
  return window;
}

}  // namespace

TEST_CASE("batches below a page treat each row of it once, and then the next page begins") {
  const int last_line = GENERATE(1, 2, 50, 291);
  const double part = GENERATE(1.0 / 4096, 0.1, 0.34, 1.0, 3.0);
  WindowRecord window = page_of(last_line);
  int lines = 0;
  double pages = 0;
  for (int batches = 1; window.page == 7; ++batches) {
    const WindowRecord after = after_part(window, part);
    const int treated = lines_between(window, after);
    REQUIRE(treated >= 1);
    CHECK(treated <= std::max(1, static_cast<int>(part * last_line)));
    lines += treated;
    pages += pages_between(window, after);
    CHECK(after.written.batches == batches);
    window = after;
  }
  CHECK(lines == last_line);
  CHECK(pages == Approx(1));
  CHECK(window.page == 8);
  CHECK(window.line == 0);
  CHECK(window.last_line == 0);
}

TEST_CASE("a batch of whole pages counts as what it was, also where a pass ends") {
  WindowRecord window = page_of(0);
  window.passes = 2;
  const WindowRecord after = after_batch(window, 9);
  CHECK(after.pass == 1);
  CHECK(pages_between(window, after) == 2);
  CHECK(lines_between(window, after) == 0);
}

TEST_CASE("the size of a batch goes down to a row and comes back") {
  BatchSizer sizer(50, 1, 1600);
  for (int i = 0; i < 20; ++i) {
    sizer.batch_failed(sizer.size());
  }
  CHECK(sizer.size() * 291 < 1);
  CHECK(sizer.pages() == 1);
  for (int i = 0; i < 60; ++i) {
    sizer.batch_took(1, sizer.size());
  }
  CHECK(sizer.pages() == 1600);
  // From the size that failed, not from the one that was wished.
  sizer.batch_failed(4);
  CHECK(sizer.pages() == 1);
}

TEST_CASE("the short batch at the end of a window says nothing against the size, unless it took long") {
  BatchSizer sizer(50, 100, 1600);
  sizer.batch_took(5, 2);
  CHECK(sizer.pages() == 100);
  sizer.batch_took(90, 2);
  CHECK(sizer.pages() == 50);
  sizer.batch_took(300, 2);
  CHECK(sizer.size() == Approx(0.5));
}

TEST_CASE("a batch may take a few times its target, and a tenth of a second") {
  using std::chrono::milliseconds;
  CHECK(longest_batch(milliseconds(50)) == milliseconds(200));
  CHECK(longest_batch(milliseconds(1)) == milliseconds(100));
}
