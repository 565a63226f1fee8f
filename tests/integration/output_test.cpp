// A standard output that cannot be written: the work is done, and the exit status says that its words are lost.

#include <fmt/format.h>

#include "support/catch.hpp"
#include "support/fixtures.hpp"
#include "support/pausing.hpp"
#include "support/program.hpp"
#include "support/server.hpp"

using namespace ecmigrate;
using namespace ecmigrate::test;

namespace {

constexpr const char* k_told = "error: standard output cannot be written";

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

/// What it says on standard error, and how it ends.
test::Answer run_with(const Database& database, const std::string& arguments, const std::string& output) {
  return run_shell(fmt::format("ECMIGRATE_DATABASE_URL='{}' '{}' {} 2>&1 </dev/null {}", database.conninfo(),
                               ECMIGRATE_PROGRAM, arguments, output));
}

}  // namespace

TEST_CASE("a command whose standard output cannot be written does its work first, and ends with 1") {
  const auto output = GENERATE(as<std::string>{}, ">/dev/full", ">&-");
  const auto json = GENERATE(as<std::string>{}, "", " --json");
  INFO(output << json);
  const std::string plan = temporary_file(k_split, ".yaml");
  Database database;
  database.exec(k_users);
  CHECK(run_with(database, "plan " + plan + " --sql" + json, output).status == 1);
  for (const auto& [command, state] :
       std::vector<std::pair<std::string, std::string>>{{"expand " + plan, "expanded"},
                                                        {"pause " + plan, "expanded"},
                                                        {"resume " + plan, "expanded"},
                                                        {"run " + plan, "verified"},
                                                        {"contract " + plan + " --confirm split", "contracted"},
                                                        {"status", "contracted"},
                                                        {"forget split --confirm split", ""}}) {
    INFO(command);
    const test::Answer answer = run_with(database, command + json, output);
    INFO(answer.text);
    CHECK(answer.status == 1);
    CHECK(contains(answer.text, k_told));
    CHECK(database.value("select state from ecmigrate.migrations") == state);
  }
  CHECK(database.value("select to_regclass('ecmigrate.migrations') is not null") == "t");
}

TEST_CASE("serve does not serve where it cannot say where") {
  Database database;
  const test::Answer answer = run_with(database, "serve --listen 127.0.0.1:0 --api-listen 127.0.0.1:0", ">/dev/full");
  CHECK(answer.status == 1);
  CHECK(contains(answer.text, k_told));
}

TEST_CASE("the exit status of a failure stays, whatever becomes of its words") {
  Database database;
  expand_users(database);
  const std::string plan = temporary_file(k_split, ".yaml");
  CHECK(run_with(database, "contract " + plan + " --json", ">/dev/full").status == 7);
}
