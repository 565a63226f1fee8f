#include "command_shape.hpp"

#include <algorithm>
#include <sstream>

namespace ecmigrate {

namespace {

/// "PHASE" of "PHASE:{expand,verify}": the rest is what the parser's checks add.
std::string value_name(const CLI::Option& option) {
  const std::string type = option.get_type_name();
  return type.substr(0, type.find(':'));
}

std::vector<std::string> choices_of(const CLI::Option& option) {
  const std::string type = option.get_type_name();
  const std::size_t begin = type.find(":{");
  std::vector<std::string> choices;
  if (begin != std::string::npos && type.ends_with('}')) {
    std::istringstream list(type.substr(begin + 2, type.size() - begin - 3));
    for (std::string choice; std::getline(list, choice, ',');) {
      choices.push_back(choice);
    }
  }
  return choices;
}

FlagShape flag_of(const CLI::Option& option) {
  FlagShape flag;
  for (const std::string& name : option.get_snames()) {
    flag.names.push_back("-" + name);
  }
  for (const std::string& name : option.get_lnames()) {
    flag.names.push_back("--" + name);
  }
  if (option.get_items_expected_max() > 0) {
    flag.value = value_name(option);
    flag.value_optional = option.get_items_expected_min() == 0;
    flag.choices = choices_of(option);
  }
  flag.description = option.get_description();
  return flag;
}

ArgumentShape argument_of(const CLI::Option& option) {
  return {value_name(option), option.get_required(), option.get_items_expected_max() > 1, choices_of(option),
          option.get_description()};
}

std::vector<FlagShape> flags_of(const CLI::App& app, bool alone) {
  std::vector<FlagShape> flags;
  for (const CLI::Option* option : app.get_options()) {
    if (option->nonpositional() && !option->check_name("--help") && option->check_name("--version") == alone) {
      flags.push_back(flag_of(*option));
    }
  }
  return flags;
}

}  // namespace

ProgramShape shape_of(const CLI::App& app) {
  ProgramShape shape{app.get_description(), flags_of(app, false), flags_of(app, true), {}};
  shape.flags.push_back({{"-h", "--help"}, "", false, {}, "What the command does, its arguments and examples"});
  for (const CommandEntry& entry : commands()) {
    const CLI::App* command = app.get_subcommand(std::string(entry.name));
    CommandShape one{&entry, {}, flags_of(*command, false)};
    for (const CLI::Option* option : command->get_options()) {
      if (option->get_positional()) {
        one.arguments.push_back(argument_of(*option));
      }
    }
    shape.commands.push_back(std::move(one));
  }
  return shape;
}

}  // namespace ecmigrate
