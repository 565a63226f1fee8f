// The commands of README.md and docs/ work as they stand there, one after the other, on a fresh database.
//
// The convention, by the language of a fenced block:
//
//   console  Each line that begins with "$ " is a command; lines that begin with "> " go on with it. What follows is
//   all
//            that it prints: "…" stands for any text of a line, a line of "…" for any lines, and milliseconds for any
//            others. It ends with exit status 0, or with the one in its comment: "# exit status 7".
//   sh       A script in which every command ends with 0. What it prints is not looked at.
//   sql      The same for psql, in the database of ECMIGRATE_DATABASE_URL.
//   yaml     Is a plan if it has "name:" and "operations:", and written to NAME.yaml for the commands after it.
//   text     Nothing to run.
//
// A cell of a numbered table that begins with a command of ecmigrate between backticks is run as well: the README's
// list of phases. What a page exports, and the folder that it goes to, stay for the rest of the page.

#include <fmt/format.h>
#include <sys/wait.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <optional>
#include <regex>
#include <sstream>

#include "ecmigrate/scene/embedded_server.hpp"
#include "support/catch.hpp"
#include "support/server.hpp"

namespace ecmigrate::test {

namespace {

const std::string k_source = ECMIGRATE_SOURCE_DIR;
constexpr std::string_view k_any = "…";

/// Something that is run, and what the page says of it.
struct Command {
  int line = 0;
  std::string section;
  std::string language;
  std::string text;
  std::string shown;  ///< of a console block
  int status = 0;
};

struct Page {
  std::string file;
  std::vector<Command> commands;
  std::vector<std::string> unknown;  ///< what is not of the convention
};

/// A command that is not run, by how it begins, and why.
struct NotRun {
  std::string_view file;
  std::string_view begin;
  std::string_view why;
};

constexpr std::array k_not_run{
    NotRun{"README.md", "./setup.sh", "installs packages and starts the demo; tests/scripts.sh runs start.sh"},
    NotRun{"README.md", "./build.sh", "installs into the system; tests/install.sh does it elsewhere"},
    NotRun{"README.md", "scripts/packages.sh deb", "compiles everything once more; tests/deb/run does it"},
    NotRun{"CONTRIBUTING.md", "./build.sh", "builds, and runs all tests: this one is among them"},
    NotRun{"docs/ci.md", "docker build", "needs Docker and the network; tests/docker builds the image"},
    NotRun{"docs/ci.md", "#!/usr/bin/env bash", "a hook of git; check_docs_test.cpp commits with it"},
    NotRun{"docs/page.md", "ecmigrate serve", "runs until it is stopped; serve_test.cpp starts it"},
};

/// What stands for something else in the pages.
constexpr std::array<std::pair<std::string_view, std::string_view>, 2> k_replaced{{
    {"postgres://migrator@db1/shop", "postgres://migrator@/shop"},
    // A person at a terminal types the name when contract asks for it.
    {"`ecmigrate contract split-full-name.yaml`",
     "`ecmigrate contract split-full-name.yaml --confirm split-full-name`"},
}};

std::string replaced(std::string text) {
  for (const auto& [from, to] : k_replaced) {
    for (std::size_t at = text.find(from); at != std::string::npos; at = text.find(from, at + to.size())) {
      text.replace(at, from.size(), to);
    }
  }
  return text;
}

int status_said(const std::string& command) {
  static const std::regex said("# .*exit status ([0-9]+)");
  std::smatch found;
  return std::regex_search(command, found, said) ? std::stoi(found[1]) : 0;
}

/// The commands of a console block.
void add_console(Page& page, const Command& block) {
  std::istringstream lines(block.text);
  int number = block.line;
  for (std::string line; std::getline(lines, line); ++number) {
    if (line.starts_with("$ ")) {
      page.commands.push_back({number, block.section, "console", line.substr(2) + "\n", "", status_said(line)});
    } else if (number == block.line) {
      page.unknown.push_back(fmt::format("{}:{}: no command: {}", page.file, number, line));
      return;
    } else if (line.starts_with("> ")) {
      page.commands.back().text += line.substr(2) + "\n";
    } else {
      page.commands.back().shown += line + "\n";
    }
  }
}

void add_block(Page& page, Command block) {
  if (block.language == "console") {
    add_console(page, block);
  } else if (block.language == "sh" || block.language == "sql") {
    page.commands.push_back(std::move(block));
  } else if (block.language == "yaml") {
    if (block.text.starts_with("name: ") && block.text.find("\noperations:") != std::string::npos) {
      const std::string name = block.text.substr(6, block.text.find('\n') - 6);
      block.text = fmt::format("cat >{}.yaml <<'END'\n{}END\n", name, block.text);
      block.language = "sh";
      page.commands.push_back(std::move(block));
    }
  } else if (block.language != "text") {
    page.unknown.push_back(fmt::format("{}:{}: no such language: {}", page.file, block.line - 1, block.language));
  }
}

Page read_page(const std::string& file) {
  Page page{file, {}, {}};
  std::istringstream lines(replaced(text_of(k_source + "/" + file)));
  std::optional<Command> block;
  std::string section;
  int number = 0;
  static const std::regex phase(R"(\| [0-9]+ \|[^|]*\| `(ecmigrate [^`]+)`.*)");
  std::smatch found;
  for (std::string line; std::getline(lines, line);) {
    ++number;
    if (line.starts_with("```")) {
      if (block) {
        add_block(page, std::move(*block));
        block.reset();
      } else {
        block = Command{number + 1, section, line.substr(3), "", "", 0};
      }
    } else if (block) {
      block->text += line + "\n";
    } else if (line.starts_with("## ")) {
      section = line.substr(3);
    } else if (std::regex_match(line, found, phase)) {
      page.commands.push_back({number, section, "sh", found[1].str() + "\n", "", 0});
    }
  }
  return page;
}

const NotRun* not_run(const Page& page, const Command& command) {
  const auto* found = std::ranges::find_if(
      k_not_run, [&](const NotRun& one) { return page.file == one.file && command.text.starts_with(one.begin); });
  return found == k_not_run.end() ? nullptr : found;
}

/// Whether a line is what the page shows of it.
bool fits(std::string_view shown, std::string_view line) {
  const std::size_t any = shown.find(k_any);
  if (any == std::string_view::npos) {
    return shown == line;
  }
  if (!line.starts_with(shown.substr(0, any))) {
    return false;
  }
  for (std::size_t from = any; from <= line.size(); ++from) {
    if (fits(shown.substr(any + k_any.size()), line.substr(from))) {
      return true;
    }
  }
  return false;
}

using Lines = std::vector<std::string>;

/// Blanks at the end of a line are not seen on a page, and how long something took is another time each time.
Lines lines_of(const std::string& text) {
  static const std::regex time("[0-9][0-9.,]* ms");
  Lines lines;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) {
    line.erase(line.find_last_not_of(' ') + 1);
    lines.push_back(std::regex_replace(line, time, "… ms"));
  }
  while (!lines.empty() && lines.back().empty()) {
    lines.pop_back();
  }
  return lines;
}

bool fit(Lines::const_iterator shown, Lines::const_iterator shown_end, Lines::const_iterator line,
         Lines::const_iterator end) {
  if (shown == shown_end) {
    return line == end;
  }
  if (*shown == k_any) {
    return fit(shown + 1, shown_end, line, end) || (line != end && fit(shown, shown_end, line + 1, end));
  }
  return line != end && fits(*shown, *line) && fit(shown + 1, shown_end, line + 1, end);
}

bool is_shown(const std::string& shown, const std::string& printed) {
  const Lines pattern = lines_of(shown);
  const Lines lines = lines_of(printed);
  return fit(pattern.begin(), pattern.end(), lines.begin(), lines.end());
}

/// Who reads a page: a shell in a folder of its own, with the program in its PATH, and the test's server where psql
/// looks for one. The database `shop` is made anew.
class Reader {
 public:
  Reader() : m_folder(temporary_file("", ".docs") + ".d") {
    std::filesystem::create_directories(m_folder + "/home");
    std::filesystem::create_symlink(k_source + "/plans", m_folder + "/home/plans");
    pg::Connection server_itself({server() + " dbname=postgres", "test", nullptr});
    const pg::Rows place =
        server_itself.query("select current_setting('unix_socket_directories'), current_setting('port'), current_user");
    std::ofstream(m_folder + "/state") << fmt::format(
        "export PATH='{}':$PATH HOME='{}/home' LC_ALL=C.UTF-8 PGHOST='{}' PGPORT={} PGUSER={} PSQLRC=/dev/null\n"
        "unset ECMIGRATE_DATABASE_URL DATABASE_URL PGDATABASE GITHUB_STEP_SUMMARY\n",
        std::filesystem::path(ECMIGRATE_PROGRAM).parent_path().string(), m_folder, place.text(0, 0), place.text(0, 1),
        place.text(0, 2));
    std::ofstream(m_folder + "/place") << m_folder << "/home\n";
    clear();
  }
  ~Reader() { clear(); }
  Reader(const Reader&) = delete;
  Reader& operator=(const Reader&) = delete;

  struct Result {
    int status = 0;
    std::string output;
  };

  [[nodiscard]] Result run(const Command& command) const {
    std::string script = command.text;
    if (command.language == "sql") {
      script =
          fmt::format("psql -v ON_ERROR_STOP=1 -d \"${{ECMIGRATE_DATABASE_URL:-postgres:///shop}}\" <<'END'\n{}END\n",
                      command.text);
    }
    std::ofstream(m_folder + "/script") << "cd \"$(cat '" << m_folder << "/place')\"\n. '" << m_folder << "/state'\n"
                                        << "trap 'status=$?; export -p >" << m_folder << "/state; pwd >" << m_folder
                                        << "/place; exit $status' EXIT\n"
                                        << (command.language == "console" ? "" : "set -e\n") << script;
    const int status = std::system(
        fmt::format("timeout 120 bash --noprofile --norc '{0}/script' >'{0}/output' 2>&1 </dev/null", m_folder)
            .c_str());
    return {WEXITSTATUS(status), text_of(m_folder + "/output")};
  }

  /// Something of the page's surroundings, which is not in its text.
  void prepare(const std::string& script) const {
    const Result result = run({0, "", "sh", script, "", 0});
    INFO(script << "\n" << result.output);
    REQUIRE(result.status == 0);
  }

  /// Roles are the server's, and stay when the database goes.
  void clear() const {
    prepare(
        "dropdb --if-exists --force shop\n"
        "for role in migrator app onlooker oncall first_team second_team ecmigrate_journal; do\n"
        "  psql -qd postgres -c \"do \\$\\$ begin if to_regrole('$role') is not null then drop owned by $role; drop "
        "role "
        "$role; end if; end \\$\\$\"\n"
        "done\n");
  }

  void load_demo_users() const {
    prepare("createdb shop");
    pg::Connection shop({server() + " dbname=shop", "test", nullptr});
    scene::load_users(shop, 10'000);
  }

 private:
  std::string m_folder;
};

/// Runs what stands in a page, or in one section of it.
void follow(const std::string& file, const Reader& reader, const std::string& section = "") {
  const Page page = read_page(file);
  int run = 0;
  for (const Command& command : page.commands) {
    if ((!section.empty() && command.section != section) || not_run(page, command) != nullptr) {
      continue;
    }
    ++run;
    const Reader::Result result = reader.run(command);
    INFO(file << ":" << command.line << ": " << command.text << result.output);
    REQUIRE(result.status == command.status);
    if (command.language == "console") {
      INFO("shown:\n" << command.shown);
      CHECK(is_shown(command.shown, result.output));
    }
  }
  CHECK(run > 0);
}

std::vector<std::string> pages() {
  std::vector<std::string> files{"README.md", "CONTRIBUTING.md", "CHANGELOG.md"};
  for (const auto& entry : std::filesystem::directory_iterator(k_source + "/docs")) {
    if (entry.path().extension() == ".md") {
      files.push_back("docs/" + entry.path().filename().string());
    }
  }
  return files;
}

/// The pages with commands that a case below follows.
const std::vector<std::string> k_followed{"README.md", "docs/tutorial.md", "docs/operators.md", "docs/trust.md"};

}  // namespace

TEST_CASE("docs: the README's demo prints what it shows") {
  const Reader reader;
  reader.load_demo_users();
  reader.prepare("export ECMIGRATE_DATABASE_URL=postgres:///shop");
  follow("README.md", reader, "Try it");
}

TEST_CASE("docs: the README's own database is migrated") {
  const Reader reader;
  reader.load_demo_users();
  reader.prepare(
      "psql -qd shop -c 'create role migrator login; grant create, temporary on database shop to migrator; alter table "
      "users owner to migrator'");
  follow("README.md", reader, "On your own database");
  reader.prepare("ecmigrate status --exit-code");
}

TEST_CASE("docs: the tutorial is true from its first command to its last") {
  const Reader reader;
  follow("docs/tutorial.md", reader);
}

TEST_CASE("docs: what the operators' page says to type works") {
  const Reader reader;
  reader.load_demo_users();
  reader.prepare("cp plans/split-full-name.yaml . && psql -qd shop -c 'create role app'");
  follow("docs/operators.md", reader);
  // Its three roles are enough for what it says of them.
  reader.prepare(
      "ecmigrate status -d postgres://onlooker@/shop && ecmigrate run split-full-name.yaml -d postgres://oncall@/shop "
      "&& "
      "ecmigrate pause split-full-name.yaml -d postgres://oncall@/shop");
  const auto superuser = reader.run({0, "", "sh", "ecmigrate pause split-full-name.yaml -d postgres:///shop", "", 0});
  CHECK(superuser.status == 7);
}

TEST_CASE("docs: the journal can be given to a role of its own as docs/trust.md says") {
  const Reader reader;
  reader.load_demo_users();
  reader.prepare(
      "psql -qd shop -c 'create role first_team; create role second_team' && export "
      "ECMIGRATE_DATABASE_URL=postgres:///shop && ecmigrate expand plans/split-full-name.yaml");
  follow("docs/trust.md", reader);
  reader.prepare("psql -qd shop -c 'grant first_team to current_user'");
  reader.prepare("ecmigrate backfill plans/split-full-name.yaml");
}

TEST_CASE("docs: every block of a page is run, or it is said why not") {
  std::vector<const NotRun*> met;
  for (const std::string& file : pages()) {
    const Page page = read_page(file);
    CHECK(page.unknown.empty());
    for (const Command& command : page.commands) {
      INFO(file << ":" << command.line << ": " << command.text);
      const NotRun* one = not_run(page, command);
      CHECK((one != nullptr || std::ranges::find(k_followed, file) != k_followed.end()));
      if (one != nullptr) {
        met.push_back(one);
      }
    }
  }
  for (const NotRun& one : k_not_run) {
    INFO(one.file << ": " << one.begin);
    CHECK(std::ranges::find(met, &one) != met.end());
  }
}

TEST_CASE("docs: what a page shows stands for what is printed") {
  CHECK(is_shown("a\n…\nd … f\n", "a\nb\nc\nd e f\n"));
  CHECK(is_shown("a\n…\n", "a\n"));
  CHECK(is_shown("held 1.3 ms   waited 0.1 ms\n", "held 2 ms   waited 1,000.5 ms\n"));
  CHECK(is_shown("…\n", ""));
  CHECK_FALSE(is_shown("a\n", "a\nb\n"));
  CHECK_FALSE(is_shown("a\nc\n", "a\nb\nc\n"));
  CHECK_FALSE(is_shown("a … d\n", "a b c\n"));
}

}  // namespace ecmigrate::test
