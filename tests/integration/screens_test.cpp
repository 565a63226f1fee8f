// What each command shows in a terminal of 60, 80 and 120 columns, beside files that a person has read:
// tests/golden/screens. Figures are `#` in them. ECMIGRATE_UPDATE_GOLDEN=1 writes them anew.

#include <fmt/format.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <regex>
#include <sstream>

#include "support/catch.hpp"
#include "support/fixtures.hpp"
#include "support/server.hpp"

using namespace ecmigrate::test;

namespace {

/// What stands on the screen in the end: without what was painted over, and without what differs from run to run.
/// `figures`: these, too.
std::string settled(const std::string& typescript, bool figures) {
  static const std::regex escape("\x1b\\[[0-9;]*[A-Za-z]");
  static const std::regex number("[0-9]+([.,:][0-9]+)*");
  static const std::regex unit("# ?(ms|s|B|kB|MB|GB)\\b");
  static const std::regex process("on \\S+ \\(process #\\)");
  static const std::regex instant("#-#-#T#Z");
  std::istringstream lines(std::regex_replace(typescript, escape, ""));
  std::string text;
  for (std::string line; std::getline(lines, line);) {
    while (line.ends_with('\r')) {
      line.pop_back();
    }
    line = line.substr(line.rfind('\r') + 1);
    if (line.starts_with("target ")) {
      continue;
    }
    if (!figures) {
      text += line + "\n";
      continue;
    }
    line = std::regex_replace(line, number, "#");
    line = std::regex_replace(line, unit, "# $1");
    line = std::regex_replace(line, process, "on HOST (process #)");
    line = std::regex_replace(line, std::regex("# (ms|s)\\b"), "# s");
    line = std::regex_replace(line, std::regex("# (B|kB|MB|GB)\\b"), "# kB");
    line = std::regex_replace(line, std::regex("##*m##*s|#m#s"), "# s");
    text += line + "\n";
  }
  // Whether a line is broken depends on its figures.
  static const std::regex broken("\n      (users  [A-Z]|waited |held |blocked |took )");
  static const std::regex broken_at_dot("\n      (# batches|batch |hot |wal |# differences)");
  return std::regex_replace(std::regex_replace(text, broken, "   $1"), broken_at_dot, " · $1");
}

std::string screen(Database& database, const std::string& folder, const std::string& command, int columns) {
  const std::string line = fmt::format(
      "cd '{}' && LC_ALL=C.UTF-8 TERM=xterm ECMIGRATE_DATABASE_URL=\"{}\" script -qec 'stty cols {} rows 50; exec {} "
      "{}' "
      "/dev/null </dev/null 2>&1 || true",
      folder, database.conninfo(), columns, ECMIGRATE_PROGRAM, command);
  return fmt::format("$ ecmigrate {}\n{}\n", command, settled(shell(line), !command.starts_with("help")));
}

}  // namespace

TEST_CASE("what each command shows in a terminal is what somebody has read", "[unicode][superuser]") {
  const int columns = GENERATE(60, 80, 120);
  Database database;
  database.exec(k_users);
  database.exec("alter table users set (autovacuum_enabled = false)");
  const std::string folder = temporary_file("", ".screens") + ".d";
  std::filesystem::create_directory(folder);
  std::ofstream(folder + "/split.yaml") << k_split;
  std::string text;
  for (const char* command : {"help",
                              "help expand",
                              "help backfill",
                              "status",
                              "plan split.yaml",
                              "pause split.yaml",
                              "expand split.yaml",
                              "status",
                              "contract split.yaml",
                              "set split.yaml max_rows_rate=100000/s",
                              "throttle split.yaml 0.1",
                              "throttle split.yaml 0",
                              "backfill split.yaml",
                              "set split.yaml max_rows_rate=default",
                              "plan split.yaml",
                              "verify split.yaml",
                              "verify split.yaml",
                              "status split.yaml",
                              "contract split.yaml --accept-drop nosuch",
                              "contract split.yaml",
                              "contract split.yaml --confirm split",
                              "run split.yaml",
                              "status split.yaml --locks",
                              "status --exit-code",
                              "forget splt",
                              "new split",
                              "exapnd"}) {
    text += screen(database, folder, command, columns);
  }
  const std::string path = fmt::format("{}/tests/golden/screens/{}.txt", ECMIGRATE_SOURCE_DIR, columns);
  if (std::getenv("ECMIGRATE_UPDATE_GOLDEN") != nullptr) {
    std::ofstream(path) << text;
  }
  std::ifstream file(path);
  std::stringstream golden;
  golden << file.rdbuf();
  CHECK(text == golden.str());
}
