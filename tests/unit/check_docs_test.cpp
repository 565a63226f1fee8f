// The hooks and snippets of docs/ci.md that check plans, run in a git repository with good and with broken ones.

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>
#include <yaml-cpp/yaml.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>

#include "support/catch.hpp"
#include "support/program.hpp"

namespace ecmigrate::test {

namespace {

namespace fs = std::filesystem;

const std::string k_good = "operations:\n  - drop_index: { name: users_created_idx }\n";
const std::string k_broken = "operations:\n  - drop_index: { nam: users_created_idx }\n";

std::string text_of(const fs::path& path) {
  std::ifstream file(path);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

/// The first block of that language under a heading.
std::string block(const std::string& heading, const std::string& language) {
  const std::string page = text_of(ECMIGRATE_SOURCE_DIR "/docs/ci.md");
  const std::size_t section = page.find("\n### " + heading + "\n");
  REQUIRE(section != std::string::npos);
  const std::string fence = "```" + language + "\n";
  const std::size_t begin = page.find(fence, section) + fence.size();
  return page.substr(begin, page.find("```\n", begin) - begin);
}

/// A git repository without the settings of whoever runs the tests, and with the program in its PATH.
class Repository {
 public:
  Repository() : m_folder(fs::temp_directory_path() / fmt::format("ecmigrate_check_docs_test_{}", getpid())) {
    fs::remove_all(m_folder);
    fs::create_directories(m_folder / "plans");
    CHECK(run("git init --quiet . && git config user.name t && git config user.email t@example.com").status == 0);
  }
  ~Repository() { fs::remove_all(m_folder); }
  Repository(const Repository&) = delete;
  Repository& operator=(const Repository&) = delete;

  void write(const std::string& name, const std::string& text) const { std::ofstream(m_folder / name) << text; }
  [[nodiscard]] std::string read(const std::string& name) const { return text_of(m_folder / name); }

  [[nodiscard]] Answer run(const std::string& script) const {
    const std::string program = ECMIGRATE_PROGRAM;
    return run_shell(
        fmt::format("cd '{}' && export HOME='{}' GIT_CONFIG_NOSYSTEM=1 PATH='{}':\"$PATH\" && "
                    "unset GIT_DIR GIT_INDEX_FILE GIT_WORK_TREE && {{ {}\n}} 2>&1 </dev/null",
                    m_folder.string(), m_folder.string(), program.substr(0, program.rfind('/')), script));
  }

  void install_hook(const std::string& script) const {
    write(".git/hooks/pre-commit", script);
    chmod((m_folder / ".git/hooks/pre-commit").c_str(), 0755);
  }

 private:
  fs::path m_folder;
};

bool contains(const std::string& text, const std::string& part) {
  INFO(text);
  CHECK(text.find(part) != std::string::npos);
  return text.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("the commit hook of docs/ci.md checks what is staged") {
  if (run_shell("git --version 2>&1").status != 0) {
    WARN("git is not installed");
    return;
  }
  const Repository repository;
  repository.install_hook(block("In a commit hook", "sh"));

  repository.write("notes.txt", "no plan\n");
  CHECK(repository.run("git add notes.txt && git commit --quiet -m notes").status == 0);

  repository.write("plans/good one.yaml", k_good);
  repository.write("plans/broken.yaml", k_broken);
  CHECK(repository.run("git add 'plans/good one.yaml' && git commit --quiet -m good").status == 0);

  const Answer refused = repository.run("git add plans/broken.yaml && git commit --quiet -m broken");
  CHECK(refused.status != 0);
  CHECK(contains(refused.text, "plans/broken.yaml:2:19: unknown key \"nam\" in drop_index"));
  CHECK(repository.run("git log --oneline | wc -l").text == "2\n");

  // Mended in the working tree alone: what would be committed is broken.
  repository.write("plans/broken.yaml", k_good);
  CHECK(repository.run("git commit --quiet -m broken").status != 0);
  CHECK(repository.run("git add plans && git commit --quiet -m mended").status == 0);

  CHECK(repository.run("git rm --quiet plans/broken.yaml && git commit --quiet -m gone").status == 0);
}

TEST_CASE("the pre-commit framework's entry in docs/ci.md names a command that there is") {
  const YAML::Node hook = YAML::Load(block("In a commit hook", "yaml"))["repos"][0]["hooks"][0];
  const Repository repository;
  repository.write("plans/a.yaml", k_good);
  repository.write("plans/b.yaml", k_broken);
  const std::string entry = hook["entry"].as<std::string>();
  CHECK(repository.run(entry + " plans/a.yaml").status == 0);
  CHECK(repository.run(entry + " plans/a.yaml plans/b.yaml").status == 3);
}

TEST_CASE("the checks of docs/ci.md for GitHub and GitLab fail for a broken plan and report it") {
  const Repository repository;
  const auto github = [&] {
    const YAML::Node steps = YAML::Load(block("In a pull request on GitHub", "yaml"))["jobs"]["check"]["steps"];
    return repository.run(steps[steps.size() - 1]["run"].as<std::string>());
  };
  const YAML::Node job = YAML::Load(block("In a merge request on GitLab", "yaml"))["check"];
  const auto gitlab = [&] {
    std::string script = "set -e\n";
    for (const auto& line : job["script"]) {
      script += line.as<std::string>() + "\n";
    }
    return repository.run("(" + script + ")");
  };
  const auto findings = [&] {
    return nlohmann::json::parse(repository.read(job["artifacts"]["reports"]["codequality"].as<std::string>()));
  };
  const auto junit = [&] { return repository.read(job["artifacts"]["reports"]["junit"].as<std::string>()); };

  repository.write("plans/good.yaml", k_good);
  CHECK(github().status == 0);
  CHECK(gitlab().status == 0);
  CHECK(findings().empty());
  CHECK(contains(junit(), "failures=\"0\""));

  repository.write("plans/broken.yaml", k_broken);
  const Answer annotated = github();
  CHECK(annotated.status == 3);
  CHECK(contains(annotated.text, "::error file=plans/broken.yaml,line=2,col=19,"));
  const Answer logged = gitlab();
  CHECK(logged.status == 3);
  CHECK(contains(logged.text, "plans/broken.yaml:2:19: "));
  REQUIRE(!findings().empty());
  CHECK(findings()[0]["location"]["path"] == "plans/broken.yaml");
  CHECK(contains(junit(), "failures=\"1\""));
}

}  // namespace ecmigrate::test
