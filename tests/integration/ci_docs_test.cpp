// The snippets of docs/ci.md: their exit codes are those of the program, and what they run works.

#include <sys/stat.h>
#include <sys/wait.h>
#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <filesystem>
#include <fstream>

#include "ecmigrate/base/error.hpp"
#include "support/catch.hpp"
#include "support/fixtures.hpp"
#include "support/server.hpp"

namespace ecmigrate::test {

namespace {

/// The YAML under a heading.
YAML::Node snippet(const std::string& heading) {
  const std::string page = text_of(ECMIGRATE_SOURCE_DIR "/docs/ci.md");
  const std::string fence = "```yaml\n";
  const std::size_t begin = page.find(fence, page.find("\n## " + heading + "\n")) + fence.size();
  return YAML::Load(page.substr(begin, page.find("```\n", begin) - begin));
}

/// What is worth another try; a kill (137) is, too, though no exit status of the program.
std::vector<int> retryable() {
  std::vector<int> codes{137};
  for (const OutcomeRow& row : k_outcomes) {
    if (row.retryable) {
      codes.push_back(row.exit_code);
    }
  }
  std::ranges::sort(codes);
  return codes;
}

/// The program as the snippets find it: a folder for PATH, in which `ecmigrate` ends with the statuses in the order
/// given and is the real program after that.
class Path {
 public:
  explicit Path(const std::string& statuses = "") : m_folder(temporary_file("", ".bin") + ".d") {
    std::filesystem::create_directory(m_folder);
    std::ofstream(m_folder + "/statuses") << statuses;
    std::ofstream(m_folder + "/ecmigrate") << "#!/bin/bash\n"
                                              "cd '" +
                                                  m_folder +
                                                  "' && echo \"$*\" >>calls && read -r status rest <statuses\n"
                                                  "echo \"$rest\" >statuses\n"
                                                  "[ -n \"$status\" ] && exit \"$status\"\n"
                                                  "cd '" ECMIGRATE_SOURCE_DIR "' && exec '" ECMIGRATE_PROGRAM
                                                  "' \"$@\"\n";
    chmod((m_folder + "/ecmigrate").c_str(), 0755);
  }

  /// Runs a script as runners do; its exit status.
  [[nodiscard]] int run(const Database& database, const std::string& script) const {
    const std::string command = "cd '" ECMIGRATE_SOURCE_DIR "' && PATH='" + m_folder +
                                "':$PATH RETRY_AFTER=0 ECMIGRATE_DATABASE_URL='" + database.conninfo() +
                                "' bash --noprofile --norc -eo pipefail '" + temporary_file(script, ".sh") + "' >'" +
                                m_folder + "/output' 2>&1 </dev/null";
    const int status = std::system(command.c_str());
    UNSCOPED_INFO(text_of(m_folder + "/output"));
    return WEXITSTATUS(status);
  }

  [[nodiscard]] std::ptrdiff_t calls() const { return std::ranges::count(text_of(m_folder + "/calls"), '\n'); }

 private:
  std::string m_folder;
};

std::string state(Database& database) {
  return database.value("select state from ecmigrate.migrations where name = 'split-full-name'");
}

std::string github_script(const std::string& job) {
  std::string script;
  for (const auto& step : snippet("GitHub Actions")["jobs"][job]["steps"]) {
    script += step["run"] ? step["run"].as<std::string>() : "";
  }
  return script;
}

std::string gitlab_script(const std::string& job) {
  std::string script;
  for (const auto& line : snippet("GitLab CI")[job]["script"]) {
    script += line.as<std::string>() + "\n";
  }
  return script;
}

}  // namespace

TEST_CASE("the snippets of docs/ci.md migrate") {
  const auto script = GENERATE(github_script, gitlab_script);
  Database database;
  database.exec(k_users);
  const Path path;
  CHECK(path.run(database, script("fill")) == 0);
  CHECK(state(database) == "verified");
  CHECK(path.run(database, script("contract")) == 0);
  CHECK(state(database) == "contracted");
}

TEST_CASE("the snippet for GitHub runs again what is worth it, and only that") {
  Database database;
  database.exec(k_users);
  const std::string script = github_script("fill");
  const Path again("5 8 6");
  CHECK(again.run(database, script) == 0);
  CHECK(again.calls() == 4);
  CHECK(state(database) == "verified");
  const Path never("6 6 6 6 6 6");
  CHECK(never.run(database, script) == 6);
  CHECK(never.calls() == 5);
  for (const OutcomeRow& row : k_outcomes) {
    // A job that is cancelled is not to go on.
    const bool runs_again = row.retryable && row.exit_code < 128;
    INFO(row.name);
    const Path once(std::to_string(row.exit_code));
    CHECK(once.run(database, script) == (runs_again ? 0 : row.exit_code));
    CHECK(once.calls() == (runs_again ? 2 : 1));
  }
}

TEST_CASE("GitLab and Kubernetes try again after the exit codes that are worth it") {
  CHECK(snippet("GitLab CI")["fill"]["retry"]["exit_codes"].as<std::vector<int>>() == retryable());
  const YAML::Node rules = snippet("Kubernetes")["spec"]["podFailurePolicy"]["rules"];
  REQUIRE(rules.size() == 2);
  CHECK(rules[0]["action"].as<std::string>() == "Ignore");
  CHECK(rules[1]["action"].as<std::string>() == "FailJob");
  CHECK(rules[1]["onExitCodes"]["operator"].as<std::string>() == "NotIn");
  CHECK(rules[1]["onExitCodes"]["values"].as<std::vector<int>>() == retryable());
}

TEST_CASE("the Kubernetes Job's command migrates") {
  const YAML::Node pod = snippet("Kubernetes")["spec"]["template"]["spec"];
  // A pod failure policy is refused with any other.
  CHECK(pod["restartPolicy"].as<std::string>() == "Never");
  std::string command = "ecmigrate";
  for (const auto& argument : pod["containers"][0]["args"]) {
    const std::string word = argument.as<std::string>();
    command += " " + (word.starts_with("/plans/") ? word.substr(1) : word);
  }
  Database database;
  database.exec(k_users);
  CHECK(Path().run(database, command) == 0);
  CHECK(state(database) == "verified");
}

}  // namespace ecmigrate::test
