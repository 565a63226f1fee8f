#include <limits>

#include "ecmigrate/pace/pace.hpp"
#include "support/catch.hpp"

using namespace ecmigrate;

TEST_CASE("a throttle that leaves no time for work rests until it is changed") {
  // The command takes none of these; somebody may have written them into the journal.
  for (const double ratio :
       {1.0, 1.5, std::numeric_limits<double>::infinity(), std::numeric_limits<double>::quiet_NaN()}) {
    INFO(ratio);
    Throttle throttle;
    throttle.set_ratio(ratio);
    CHECK(throttle.wait_ms(0) > 60'000);  // also before the first batch
    throttle.batch_took(1000, 50);
    CHECK(throttle.wait_ms(1'000'000) > 60'000);
    CHECK(throttle.wait_ms(1'000'000) < 1e12);  // a number that can be waited for
    throttle.set_ratio(0);
    CHECK(throttle.wait_ms(1'000'000) == 0);
  }
}
