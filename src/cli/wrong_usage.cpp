#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "command.hpp"
#include "ecmigrate/base/text.hpp"

namespace ecmigrate {

namespace {

/// Words of other tools, in a command's or a flag's place, and what they are here.
constexpr std::array<std::pair<std::string_view, std::string_view>, 13> k_other_commands{{{"start", "expand"},
                                                                                          {"complete", "contract"},
                                                                                          {"abort", "rollback"},
                                                                                          {"revert", "rollback"},
                                                                                          {"down", "rollback"},
                                                                                          {"up", "run"},
                                                                                          {"migrate", "run"},
                                                                                          {"apply", "run"},
                                                                                          {"init", "new"},
                                                                                          {"lint", "check"},
                                                                                          {"validate", "check"},
                                                                                          {"ls", "status"},
                                                                                          {"history", "status"}}};

using Pair = std::pair<std::string_view, std::string_view>;

std::optional<std::string> nearest_of(const std::string& word, const std::vector<std::string>& names) {
  return nearest_word(word, std::vector<std::string_view>(names.begin(), names.end()));
}

std::vector<std::string> command_names(const CLI::App& app) {
  std::vector<std::string> names;
  for (const CLI::App* command : app.get_subcommands([](const CLI::App*) { return true; })) {
    names.push_back(command->get_name());
  }
  return names;
}

/// "--lock-timeout", of a command and of all.
std::vector<std::string> flag_names(const CLI::App& app, const CLI::App* command) {
  std::vector<std::string> names;
  for (const CLI::App* one : {&app, command}) {
    if (one == nullptr) {
      continue;
    }
    for (const CLI::Option* option : one->get_options()) {
      for (const std::string& name : option->get_lnames()) {
        names.push_back("--" + name);
      }
    }
  }
  return names;
}

bool is_plan_file(const std::string& word) {
  return word.ends_with(".yaml") || word.ends_with(".yml") || word.ends_with(".json");
}

/// The flag that took the plan's file for its value; its own was forgotten.
const CLI::Option* flag_with_plan_as_value(const CLI::App& app, const CLI::App& command) {
  for (const CLI::App* one : {&app, &command}) {
    for (const CLI::Option* option : one->get_options()) {
      if (option->nonpositional() && option->count() > 0 && !option->results().empty() &&
          is_plan_file(option->results().back()) && !option->check_name("--out")) {
        return option;
      }
    }
  }
  return nullptr;
}

std::string long_name(const CLI::Option& option) {
  return "--" + option.get_lnames().front();
}

WrongUsage wrong_flag(const CLI::App& app, const CLI::App* command, const std::string& word) {
  const std::string flag = word.substr(0, word.find('='));
  const std::string of = command == nullptr ? "ecmigrate" : command->get_name();
  const std::string help = fmt::format("ecmigrate help{} lists the flags.", command == nullptr ? "" : " " + of);
  if (flag == "--dry-run") {
    return {fmt::format("{} has no flag --dry-run", of),
            "ecmigrate plan shows what every phase will do; it changes nothing."};
  }
  if (flag == "--password" || flag == "-W") {
    return {fmt::format("{} has no flag {}", of, flag),
            "Passwords come from PGPASSWORD, .pgpass, a service file or the connection string, as with psql."};
  }
  const auto nearest = flag.starts_with("--") ? nearest_of(flag, flag_names(app, command)) : std::nullopt;
  return {fmt::format("{} has no flag {}", of, flag),
          nearest ? fmt::format("Did you mean {}? {}", *nearest, help) : help};
}

}  // namespace

WrongUsage explain_wrong_usage(const CLI::App& app, const std::vector<std::string>& words,
                               const CLI::ParseError& error) {
  const CLI::App* command = app.get_subcommands().empty() ? nullptr : app.get_subcommands().front();
  const std::vector<std::string> names = command_names(app);
  if (command == nullptr) {
    // Behind a flag that takes a value, the word is that value.
    for (std::size_t i = 0; i < words.size(); ++i) {
      if (words[i].starts_with('-')) {
        const CLI::Option* option = app.get_option_no_throw(words[i].substr(0, words[i].find('=')));
        if (option == nullptr) {
          return wrong_flag(app, nullptr, words[i]);
        }
        i += option->get_items_expected_max() > 0 && words[i].find('=') == std::string::npos ? 1 : 0;
        continue;
      }
      const auto synonym = std::ranges::find(k_other_commands, std::string_view(words[i]), &Pair::first);
      const auto nearest =
          synonym != k_other_commands.end() ? std::optional(std::string(synonym->second)) : nearest_of(words[i], names);
      return {fmt::format("there is no command \"{}\"", words[i]),
              nearest ? fmt::format("Did you mean \"{}\"?", *nearest) : "ecmigrate help lists the commands."};
    }
    const bool value_missing = dynamic_cast<const CLI::ArgumentMismatch*>(&error) != nullptr;
    return {value_missing ? error.what() : "no command was given", "ecmigrate help lists the commands."};
  }
  const std::string help = fmt::format("ecmigrate help {} shows its arguments and examples.", command->get_name());
  if (dynamic_cast<const CLI::ExtrasError*>(&error) != nullptr) {
    const auto extra = app.remaining(true);
    if (!extra.empty() && extra.front().starts_with('-')) {
      return wrong_flag(app, command, extra.front());
    }
    if (!extra.empty()) {
      return {fmt::format("{} has no use for \"{}\"", command->get_name(), extra.front()), help};
    }
  }
  if (dynamic_cast<const CLI::RequiredError*>(&error) != nullptr) {
    if (const CLI::Option* flag = flag_with_plan_as_value(app, *command)) {
      return {fmt::format("{} has no value: it took \"{}\" for it, and no plan is left", long_name(*flag),
                          flag->results().back()),
              fmt::format("Give it one: {} {}. {}", long_name(*flag), flag->get_type_name(), help)};
    }
  }
  return {error.what(), help};
}

}  // namespace ecmigrate
