#pragma once

#include <string>
#include <vector>

#include "command.hpp"

namespace ecmigrate {

/// A flag, as manual pages and completion need it.
struct FlagShape {
  std::vector<std::string> names;    ///< "-d", "--dbname"
  std::string value;                 ///< what the value is called, "TIME"; empty: it takes none
  bool value_optional = false;       ///< `--repair` may stand alone
  std::vector<std::string> choices;  ///< the values that it takes, where these are few
  std::string description;
};

/// A word after the command that is no flag.
struct ArgumentShape {
  std::string value;  ///< "PLAN"
  bool required = false;
  bool repeated = false;
  std::vector<std::string> choices;
  std::string description;
};

struct CommandShape {
  const CommandEntry* entry = nullptr;
  std::vector<ArgumentShape> arguments;
  std::vector<FlagShape> flags;  ///< its own
};

/// The command line as plain data, read from what `make_command_line` made: the same as help shows.
struct ProgramShape {
  std::string description;
  std::vector<FlagShape> flags;          ///< that every command has
  std::vector<FlagShape> program_flags;  ///< that stand alone: --version
  std::vector<CommandShape> commands;
};
ProgramShape shape_of(const CLI::App& app);

}  // namespace ecmigrate
