#include "migration_name.hpp"

#include <fmt/format.h>

#include <filesystem>
#include <vector>

#include "ecmigrate/base/error.hpp"
#include "ecmigrate/base/text.hpp"
#include "ecmigrate/planfile/planfile.hpp"
#include "ecmigrate/store/journal.hpp"
#include "ecmigrate/store/read_model.hpp"

namespace ecmigrate {

MeantMigration meant_migration(const std::string& argument) {
  std::error_code error;
  const bool looks_like_path =
      argument.find('/') != std::string::npos || argument.ends_with(".yaml") || argument.ends_with(".yml");
  if (looks_like_path || std::filesystem::exists(argument, error)) {
    return {read_plan(argument).name, false};
  }
  return {argument, true};
}

void refuse_unknown_migration(pg::Connection& connection, const std::string& name) {
  std::string hint = "ecmigrate status lists them.";
  if (Journal journal(connection); journal.installed()) {
    std::vector<std::string> names;
    for (const MigrationSummary& summary : ReadModel(connection, journal.format()).list()) {
      names.push_back(summary.name);
    }
    if (const auto nearest = nearest_word(name, std::vector<std::string_view>(names.begin(), names.end()))) {
      hint = fmt::format("Did you mean \"{}\"? {}", *nearest, hint);
    }
  }
  throw Error(Outcome::usage, fmt::format("there is no migration \"{}\" in this database", name), hint);
}

}  // namespace ecmigrate
