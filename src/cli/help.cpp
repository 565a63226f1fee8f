#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "command.hpp"
#include "ecmigrate/base/text.hpp"
#include "output.hpp"

namespace ecmigrate {

namespace {

void show_help(const CLI::App& app, const std::string& topic, Invocation& invocation) {
  const auto print = [&](const std::string& text) {
    if (invocation.flags.report.json) {
      invocation.observer.on(event::Document{"help", nlohmann::ordered_json{{"text", text}}.dump()});
    } else {
      print_whole(text);
      invocation.printed_document = true;
    }
  };
  if (topic.empty()) {
    // app.help() would be about this command, which was chosen.
    print(app.get_formatter()->make_help(&app, app.get_name(), CLI::AppFormatMode::Normal));
    return;
  }
  const auto entry = std::ranges::find(commands(), std::string_view(topic), &CommandEntry::name);
  if (entry != commands().end()) {
    print(app.get_subcommand(topic)->help(app.get_name()));
    return;
  }
  std::vector<std::string_view> names;
  for (const CommandEntry& one : commands()) {
    names.push_back(one.name);
  }
  const auto nearest = nearest_word(topic, names);
  throw Error(Outcome::usage, fmt::format("there is no command \"{}\"", topic),
              nearest ? fmt::format("Did you mean \"{}\"?", *nearest) : "ecmigrate help lists the commands.");
}

void add_to(CLI::App& command, ChosenCommand& chosen) {
  const auto topic = std::make_shared<std::string>();
  command.add_option("command", *topic, "Only about this one")->type_name("COMMAND");
  command.callback([&chosen, &app = *command.get_parent(), topic] {
    chosen = [&app, topic](Invocation& invocation) { show_help(app, *topic, invocation); };
  });
}

const RegisterCommand k_help({.place = 150,
                              .name = "help",
                              .description = "Show the commands, or the arguments and examples of one",
                              .examples = {"ecmigrate help backfill"},
                              .outcomes = {},
                              .add_to = add_to});

}  // namespace

}  // namespace ecmigrate
