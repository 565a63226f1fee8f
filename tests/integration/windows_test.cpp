#include "ecmigrate/pace/windows.hpp"

#include <fmt/format.h>

#include "support/catch.hpp"
#include "support/fixtures.hpp"
#include "support/pausing.hpp"

namespace ecmigrate::test {

namespace {

std::vector<Window> windows(const std::string& text) {
  std::vector<Window> read;
  REQUIRE(parse_windows(text, read).empty());
  return read;
}

}  // namespace

TEST_CASE("outside its windows the backfill waits, and says when the next begins", "[version]") {
  Database database;
  expand_users(database);
  const auto around_now = [&](const std::string& from, const std::string& to) {
    return database.value(
        fmt::format("select to_char(t + interval '{}', 'HH24:MI-') || to_char(t + interval '{}', 'HH24:MI') || ' UTC' "
                    "from (select now() at time zone 'UTC' as t) n",
                    from, to));
  };
  RunOptions options;
  const std::string later = around_now("2 hours", "3 hours");
  options.pace.windows = windows(later);
  const std::string begins = later.substr(0, 5) + " UTC";
  CHECK(backfill_pauses_for(database, begins, options, [&] {
    CHECK(database.value("select count(*) from users where first_name is not null") == "0");
    CHECK(run_program(database, {"set", "PLAN", "windows=" + around_now("-1 hour", "1 hour")}, k_split).status == 0);
  }));
  check_all_filled(database);
}

TEST_CASE("windows follow the clocks on the wall, by the server's knowledge of time zones", "[version]") {
  Database database;
  const auto connection = database.connect("options='-c TimeZone=Asia/Tokyo'");
  const auto next = [&](const std::string& text, const std::string& at) {
    return next_window(*connection, windows(text), at).value_or("open");
  };
  CHECK_FALSE(next_window(*connection, {}));
  CHECK(next("22:00-06:00 Europe/Berlin", "2026-11-23 21:59:59 Europe/Berlin") == "Mon 22:00 Europe/Berlin");
  CHECK(next("22:00-06:00 Europe/Berlin", "2026-11-23 22:00 Europe/Berlin") == "open");
  CHECK(next("22:00-06:00 Europe/Berlin", "2026-11-24 05:59 Europe/Berlin") == "open");
  CHECK(next("22:00-06:00 Europe/Berlin", "2026-11-24 06:00 Europe/Berlin") == "Tue 22:00 Europe/Berlin");
  // Summer time ends on 25 October: 03:00 comes back as 02:00.
  CHECK(next("02:30-02:45 Europe/Berlin", "2026-10-25 01:40 UTC") == "open");
  CHECK(next("22:00-06:00 Europe/Berlin", "2026-10-25 04:59 UTC") == "open");
  CHECK(next("22:00-06:00 Europe/Berlin", "2026-10-24 04:01 UTC") == "Sat 22:00 Europe/Berlin");
  // Without a zone it is the server's.
  CHECK(next("09:00-10:00", "2026-11-23 00:30 UTC") == "open");
  CHECK(next("09:00-10:00", "2026-11-23 01:00 UTC") == "Tue 09:00 Asia/Tokyo");
  // Days are those on which a window begins.
  CHECK(next("Fri 22:00-06:00 UTC", "2026-11-28 05:00 UTC") == "open");
  CHECK(next("Fri 22:00-06:00 UTC", "2026-11-28 23:00 UTC") == "Fri 22:00 UTC");
  CHECK(next("Sat,Sun 00:00-24:00 UTC", "2026-11-29 23:59 UTC") == "open");
  CHECK(next("Sat,Sun 00:00-24:00 UTC", "2026-11-30 00:00 UTC") == "Sat 00:00 UTC");
  CHECK(next("01:00-02:00 UTC, 12:00-13:00 UTC", "2026-11-30 11:00 UTC") == "Mon 12:00 UTC");
}

TEST_CASE("a time zone that the server does not know is an error, not a pause", "[version]") {
  Database database;
  expand_users(database);
  const ProgramResult begun =
      run_program(database, {"backfill", "PLAN", "--windows", "22:00-06:00 Europe/Berln"}, k_split);
  CHECK(begun.status == 3);
  CHECK(begun.err.find("windows: the server knows no time zone \"Europe/Berln\"") != std::string::npos);
  const ProgramResult set = run_program(database, {"set", "PLAN", "windows=22:00-06:00 Europe/Berln"}, k_split);
  CHECK(set.status == 2);
  CHECK(database.value("select count(*) from ecmigrate.steering") == "0");
}

}  // namespace ecmigrate::test
