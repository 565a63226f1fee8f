#include <filesystem>
#include <fstream>
#include <map>
#include <regex>
#include <string>

#include "support/catch.hpp"

namespace {

/// The floors of docs/architecture.md: a folder may include lower ones, and its own.
const std::map<std::string, int> k_floors{{"base", 0},     {"model", 1},  {"pg", 1},     {"op", 2},      {"store", 3},
                                          {"planfile", 3}, {"report", 4}, {"serve", 5},  {"session", 5}, {"pace", 6},
                                          {"steps", 6},    {"fill", 7},   {"phases", 8}, {"scene", 9},   {"cli", 10}};

/// Libraries that only their own folder knows.
const std::map<std::string, std::string> k_libraries{
    {"yaml-cpp/", "planfile"}, {"CLI/", "cli"}, {"libpq", "pg"}, {"httplib", "serve"}};

std::string module_of(const std::filesystem::path& file) {
  for (const auto& part : file) {
    if (k_floors.contains(part.string())) {
      return part.string();
    }
  }
  return "main";
}

}  // namespace

TEST_CASE("every include goes down the floors of the architecture") {
  const std::regex own(R"re(#include "ecmigrate/([a-z]+)/)re");
  const std::regex any(R"re(#include [<"]([^>"]+)[>"])re");
  int files = 0;
  for (const std::string root : {"/src", "/include"}) {
    for (const auto& entry : std::filesystem::recursive_directory_iterator(std::string(ECMIGRATE_SOURCE_DIR) + root)) {
      if (!entry.is_regular_file()) {
        continue;
      }
      const std::string module = module_of(entry.path().lexically_relative(ECMIGRATE_SOURCE_DIR));
      const int floor = module == "main" ? 11 : k_floors.at(module);
      ++files;
      std::ifstream file(entry.path());
      for (std::string line; std::getline(file, line);) {
        std::smatch match;
        if (std::regex_search(line, match, own)) {
          INFO(entry.path() << ": " << line);
          CHECK((match[1] == module || k_floors.at(match[1]) < floor));
        }
        if (std::regex_search(line, match, any)) {
          for (const auto& [prefix, owner] : k_libraries) {
            INFO(entry.path() << ": " << line);
            CHECK((!match[1].str().starts_with(prefix) || module == owner));
          }
        }
      }
    }
  }
  CHECK(files > 40);
}

TEST_CASE("docs/architecture.md shows the floors that hold") {
  std::ifstream page(ECMIGRATE_SOURCE_DIR "/docs/architecture.md");
  const std::regex row("^ ?([0-9]+)  ([a-z]+)( .*)?$");
  std::map<std::string, int> shown;
  for (std::string line; std::getline(page, line);) {
    std::smatch match;
    if (std::regex_match(line, match, row)) {
      shown[match[2]] = std::stoi(match[1]);
    }
  }
  std::map<std::string, int> floors = k_floors;
  floors["main"] = 11;
  CHECK(shown == floors);
}
