#include <cstdlib>
#include <fstream>
#include <sstream>

#include "support/catch.hpp"
#include "support/fixtures.hpp"
#include "support/server.hpp"

namespace ecmigrate::test {

namespace {

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

/// The environment of a step of GitHub Actions, as long as it lives.
class Step {
 public:
  explicit Step(std::string file = temporary_file("before\n", ".md")) : m_file(std::move(file)) {
    setenv("GITHUB_STEP_SUMMARY", m_file.c_str(), 1);
  }
  ~Step() { unsetenv("GITHUB_STEP_SUMMARY"); }
  Step(const Step&) = delete;
  Step& operator=(const Step&) = delete;

  [[nodiscard]] std::string summary() const {
    std::ifstream file(m_file);
    std::ostringstream text;
    text << file.rdbuf();
    return text.str();
  }

 private:
  std::string m_file;
};

/// The cells of the first row that begins so.
std::vector<std::string> cells(const std::string& summary, const std::string& begin) {
  std::istringstream lines(summary);
  for (std::string line; std::getline(lines, line);) {
    if (!line.starts_with(begin)) {
      continue;
    }
    std::vector<std::string> found;
    std::string cell;
    for (std::size_t i = 1; i < line.size(); ++i) {
      if (line[i] == '\\') {
        cell += line[++i];
      } else if (line[i] == '|') {
        found.push_back(cell.substr(1, cell.size() - 2));
        cell.clear();
      } else {
        cell += line[i];
      }
    }
    return found;
  }
  FAIL("no row begins with " << begin << " in\n" << summary);
  return {};
}

}  // namespace

TEST_CASE("each phase appends its outcome, rows and locks to the step's summary") {
  Database database;
  database.exec(k_users);
  const Step step;
  REQUIRE(run_program(database, {"expand", "PLAN"}, k_split).status == 0);
  const std::string expanded = step.summary();
  CHECK(
      expanded.starts_with("before\n| migration | command | outcome | state | took | next "
                           "|\n|---|---|---|---|---|---|\n| split | expand | done (0) | expanded | "));
  CHECK(cells(expanded, "| split | expand ")[5].starts_with("<code>ecmigrate backfill "));
  const auto lock = cells(expanded, "| add first\\_name");
  REQUIRE(lock.size() == 7);
  CHECK(lock[1] == "users");
  CHECK(lock[2] == "ACCESS EXCLUSIVE");
  CHECK(lock[3] == "1");
  CHECK(lock[4].ends_with(" ms"));
  CHECK(lock[5].ends_with(" ms"));
  CHECK(lock[6] == "0");

  REQUIRE(run_program(database, {"run", "PLAN", "--through", "contract", "--confirm", "split"}, k_split).status == 0);
  const std::string rest = step.summary().substr(expanded.size());
  CHECK(step.summary().starts_with(expanded));
  CHECK(cells(rest, "| split | run ")[2] == "done (0)");
  CHECK(cells(rest, "| split | run ")[3] == "contracted");
  CHECK(cells(rest, "| filled | users ")[2] == "3,002");
  CHECK(cells(rest, "| compared | users ")[2] == "3,002");
  CHECK(cells(rest, "| compared | users ")[3] == "0");
  CHECK(cells(rest, "| drop full\\_name ")[2] == "ACCESS EXCLUSIVE");
}

TEST_CASE("a failed phase says in the step's summary what stopped it") {
  Database database;
  database.exec(k_users);
  const auto holder = database.connect();
  holder->query("begin");
  holder->query("lock table users in access share mode");
  const Step step;
  CHECK(run_program(database, {"expand", "PLAN", "--lock-timeout", "50ms", "--lock-budget", "2s"}, k_split).status ==
        5);
  CHECK(cells(step.summary(), "| split | expand ")[2] == "lock_not_obtained (5, run again)");
  CHECK(cells(step.summary(), "| add first\\_name")[5] == "not obtained");
  holder->query("rollback");

  REQUIRE(run_program(database, {"run", "PLAN"}, k_split).status == 0);
  database.exec(
      "alter table users disable trigger user; update users set first_name = 'Eve' where full_name = 'Cher'; alter "
      "table users enable trigger user");
  const std::string before = step.summary();
  CHECK(run_program(database, {"verify", "PLAN"}, k_split).status == 9);
  CHECK(cells(step.summary().substr(before.size()), "| compared | users ")[3] == "1");
}

TEST_CASE("what a name holds is text in the step's summary") {
  Database database;
  database.exec("create table \"a|<img src=x onerror=alert(1)>`b`\" (id bigint primary key, \"*x*\ny\" text)");
  const Step step;
  REQUIRE(run_program(database, {"expand", "PLAN"}, R"yaml(
name: hostile
operations:
  - rename_column: { table: "a|<img src=x onerror=alert(1)>`b`", from: "*x*\ny", to: z }
)yaml")
              .status == 0);
  const std::string summary = step.summary();
  CHECK(!contains(summary, "<img"));
  const auto lock = cells(summary, "| add z");
  REQUIRE(lock.size() == 7);
  CHECK(contains(lock[1], "a|&lt;img src=x onerror=alert(1)&gt;`b`"));
}

TEST_CASE("a step's summary that cannot be written is a warning, and commands that change nothing write none") {
  Database database;
  database.exec(k_users);
  {
    const Step step;
    REQUIRE(run_program(database, {"plan", "PLAN"}, k_split).status == 0);
    REQUIRE(run_program(database, {"status"}).status == 0);
    CHECK(step.summary() == "before\n");
  }
  const Step step("/nonexistent/summary.md");
  const ProgramResult result = run_program(database, {"expand", "PLAN", "--json"}, k_split);
  CHECK(result.status == 0);
  const std::size_t warning =
      result.out.find("the step summary /nonexistent/summary.md was not written: No such file or directory");
  CHECK(warning != std::string::npos);
  CHECK(warning < result.out.find("\"type\":\"result\""));
}

}  // namespace ecmigrate::test
