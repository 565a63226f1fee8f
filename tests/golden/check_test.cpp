// What `check` says of two broken plans and a right one, in each of its formats.

#include <cstdlib>
#include <fstream>
#include <sstream>

#include "ecmigrate/report/check_formats.hpp"
#include "support/catch.hpp"
#include "support/program.hpp"

namespace ecmigrate::test {

namespace {

/// The version is another one in the next release.
std::string without_version(std::string text) {
  const std::string version = "\"version\": \"" ECMIGRATE_VERSION "\"";
  const std::size_t at = text.find(version);
  return at == std::string::npos ? text : text.replace(at, version.size(), "\"version\": \"…\"");
}

}  // namespace

// To accept what the program says now: ECMIGRATE_UPDATE_GOLDEN=1 build/tests/unit_tests "[golden]", then read the diff.
TEST_CASE("check writes each format as recorded", "[golden]") {
  for (const auto& [word, format] : k_check_formats) {
    INFO(word);
    const Answer answer = run_shell("cd '" ECMIGRATE_SOURCE_DIR "/tests/golden' && '" ECMIGRATE_PROGRAM
                                    "' check check/broken.yaml check/contradicting.yaml check/right.yaml --format " +
                                    std::string(word) + " 2>/dev/null");
    CHECK(answer.status == 3);
    const std::string said = without_version(answer.text);
    const std::string path = ECMIGRATE_SOURCE_DIR "/tests/golden/expected/check." + std::string(word);
    if (std::getenv("ECMIGRATE_UPDATE_GOLDEN") != nullptr) {
      std::ofstream(path) << said;
    }
    std::ifstream file(path);
    std::stringstream recorded;
    recorded << file.rdbuf();
    CHECK(said == recorded.str());
  }
}

}  // namespace ecmigrate::test
