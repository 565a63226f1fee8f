// The manual pages, as `man` reads them.

#include <fmt/format.h>

#include <cstdlib>
#include <filesystem>
#include <regex>
#include <set>
#include <string>

#include "support/catch.hpp"
#include "support/program.hpp"

using ecmigrate::test::output_of;

namespace {

std::set<std::string> flags_in(const std::string& text) {
  static const std::regex flag("(^|[^a-z-])(--[a-z][a-z-]+)");
  std::set<std::string> flags;
  for (std::sregex_iterator at(text.begin(), text.end(), flag); at != std::sregex_iterator(); ++at) {
    flags.insert((*at)[2]);
  }
  return flags;
}

class Manual {
 public:
  Manual() {
    std::string name = std::filesystem::temp_directory_path() / "ecmigrate-manual-XXXXXX";
    REQUIRE(mkdtemp(name.data()) != nullptr);
    m_folder = name;
    CHECK(output_of(fmt::format("'" ECMIGRATE_MANUAL_PROGRAM "' '{}'", m_folder.string())).empty());
  }
  ~Manual() { std::filesystem::remove_all(m_folder); }
  Manual(const Manual&) = delete;
  Manual& operator=(const Manual&) = delete;

  /// The page as text; a warning of the formatter would be in it.
  [[nodiscard]] std::string read(const std::string& page) const {
    return output_of(
        fmt::format("LC_ALL=C.UTF-8 MANROFFOPT= MANWIDTH=1000 MAN_KEEP_FORMATTING= man --warnings "
                    "--nh --nj --encoding=utf8 -l '{}' | col -bx",
                    (m_folder / (page + ".1")).string()));
  }
  [[nodiscard]] std::string warnings(const std::string& page) const {
    return output_of(fmt::format("LC_ALL=C.UTF-8 MANROFFOPT= MANWIDTH=80 man --warnings -l '{}' >/dev/null",
                                 (m_folder / (page + ".1")).string()));
  }
  [[nodiscard]] const std::filesystem::path& folder() const { return m_folder; }

 private:
  std::filesystem::path m_folder;
};

}  // namespace

TEST_CASE("there is a manual page for each command, with the flags that its help has") {
  const Manual manual;
  const std::string top = manual.read("ecmigrate");
  CHECK(top.find("ecmigrate - zero-downtime PostgreSQL schema migrations") != std::string::npos);
  CHECK(manual.warnings("ecmigrate").empty());
  static const std::regex command_pattern("ecmigrate-([a-z]+)\\(1\\)");
  std::set<std::string> commands;
  for (std::sregex_iterator at(top.begin(), top.end(), command_pattern); at != std::sregex_iterator(); ++at) {
    commands.insert((*at)[1]);
  }
  CHECK(commands.contains("expand"));
  const std::filesystem::directory_iterator files(manual.folder());
  CHECK(static_cast<std::size_t>(std::distance(begin(files), end(files))) == commands.size() + 1);
  for (const std::string& command : commands) {
    INFO(command);
    const std::string page = manual.read("ecmigrate-" + command);
    const std::string help = output_of("'" ECMIGRATE_PROGRAM "' help " + command);
    INFO(page);
    CHECK(flags_in(page) == flags_in(help));
    CHECK(page.find("NAME\n") != std::string::npos);
    CHECK(page.find("EXIT STATUS\n") != std::string::npos);
    CHECK(page.find("\n       ecmigrate " + command) != std::string::npos);
    CHECK(manual.warnings("ecmigrate-" + command).empty());
  }
}
