// Names of roles may be any bytes: they are one catalog for databases of all encodings. The journal takes what is told
// of them.

#include <fmt/format.h>

#include "support/catch.hpp"
#include "support/fixtures.hpp"
#include "support/server.hpp"

using namespace ecmigrate;
using namespace ecmigrate::test;

namespace {

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

/// "José" in Latin-1.
constexpr const char* k_user = "user=Jos\xe9";

/// Made in a database without an encoding.
void make_role(const OwnServer& own) {
  Database(own.conninfo(), "SQL_ASCII")
      .exec("do $$ begin execute format('create role %I login superuser', 'Jos' || chr(233)); end $$");
}

}  // namespace

TEST_CASE("a blocker whose name is not UTF-8 does not keep the end of a run out of the journal", "[unicode]") {
  const OwnServer own("fsync=off");
  make_role(own);
  Database database(own.conninfo());
  database.exec(k_users);
  const auto reader = database.connect(k_user);
  reader->script("begin; select from users limit 1");
  const ProgramResult waited =
      run_program(database, {"expand", "PLAN", "--lock-timeout", "50ms", "--lock-budget", "2s"}, k_split);
  INFO(waited.err);
  CHECK(waited.status == 5);
  CHECK_FALSE(contains(waited.err, "could not be written into the journal"));
  CHECK(database.value("select outcome from ecmigrate.runs") == "lock_not_obtained");
  CHECK(contains(database.value("select message from ecmigrate.runs"), "Jos?"));
  CHECK(database.value("select count(*) > 0 from ecmigrate.lock_tries") == "t");
  CHECK(contains(run_program(database, {"status"}).out, "expand ended with lock_not_obtained"));
}

TEST_CASE("status shows what somebody did whose name is not UTF-8", "[unicode]") {
  const OwnServer own("fsync=off");
  make_role(own);
  Database database(own.conninfo());
  database.exec(k_users);
  REQUIRE(run_program(database, {"expand", "PLAN"}, k_split).status == 0);
  REQUIRE(run_program(database, {"pause", "PLAN", "-d", database.conninfo(k_user)}, k_split).status == 0);
  const ProgramResult shown = run_program(database, {"status"});
  CHECK(shown.status == 0);
  CHECK(contains(shown.out, "paused by Jos?"));
}
