#include "ecmigrate/fill/passes.hpp"

#include "ecmigrate/fill/walk.hpp"
#include "support/catch.hpp"

using namespace ecmigrate;

namespace {

/// A page of 8 kB with so many rows of so many bytes.
Passes passes_for(std::int64_t rows, double row_bytes, double growth = 0.13, const std::string& obstacle = {},
                  int indexes = 4) {
  return choose_passes({10, rows * 10, row_bytes * static_cast<double>(rows) * 10, 8192, indexes}, growth, obstacle);
}

double first_share(const Passes& passes) {
  WindowRecord window;
  window.passes = passes.count;
  window.shrink = passes.shrink;
  return static_cast<double>(spread_end(window, 0)) / 4294967296;
}

}  // namespace

TEST_CASE("full pages are swept in sixteen shrinking passes") {
  const Passes passes = passes_for(44, 180);
  CHECK(passes.count == 16);
  CHECK(passes.shrink == Approx(0.93));
}

TEST_CASE("full pages of a table with one index are swept a quarter as often") {
  CHECK(passes_for(44, 180, 0.13, {}, 2).count == 16);
  CHECK(passes_for(44, 180, 0.13, {}, 1).count == 4);
}

TEST_CASE("the more room the pages have, the fewer passes, and none moves a row") {
  int before = 16;
  for (const std::int64_t rows : {35, 31, 27, 22}) {  // of 44 that would fill the page
    const Passes passes = passes_for(rows, 180);
    INFO(rows << " rows: " << passes.count << " passes, " << passes.because);
    CHECK(passes.count < before);
    before = passes.count;
    const double free_rows = (8192 - 24) / (180 * 1.13 + 4) - static_cast<double>(rows) * 184 / (180 * 1.13 + 4);
    CHECK(first_share(passes) * static_cast<double>(rows) <= free_rows);
  }
  CHECK(passes_for(18, 180).count == 1);
}

TEST_CASE("one pass and its reason, where rows cannot be rewritten in place") {
  const Passes passes = passes_for(44, 180, 0.13, "first_name has an index");
  CHECK(passes.count == 1);
  CHECK(passes.because == "first_name has an index");
}

TEST_CASE("wide rows are swept no more often than a page has rows") {
  CHECK(passes_for(4, 2000).count == 4);
  CHECK(passes_for(1, 8000).count == 1);
  CHECK(passes_for(0, 0).count == 1);
}

TEST_CASE("rows that grow by more than the room that is left do not count as fitting") {
  CHECK(passes_for(35, 180, 0.9).count == 16);
}
