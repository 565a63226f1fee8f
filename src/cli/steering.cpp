#include <fmt/format.h>

#include "command.hpp"
#include "ecmigrate/base/error.hpp"
#include "ecmigrate/planfile/planfile.hpp"
#include "ecmigrate/store/journal.hpp"

namespace ecmigrate {

namespace {

struct SteeringFlags {
  std::string plan_file;
  std::vector<std::string> settings;
};

/// Steering needs no run lock: it is read by the runner, wherever that is, within a second.
void steer(Invocation& invocation, const SteeringFlags& flags, const std::function<void(Journal&, const std::string&)>& change) {
  const std::string name = read_plan(flags.plan_file).name;
  invocation.result.migration = name;
  pg::Connection connection({connection_string(invocation.flags), "ecmigrate " + invocation.result.command, nullptr});
  Journal journal(connection);
  const auto record = journal.installed() ? journal.find(name) : std::nullopt;
  if (!record) {
    throw Error(Outcome::refused, fmt::format("\"{}\" was never begun", name), fmt::format("Run: ecmigrate expand {}", flags.plan_file));
  }
  invocation.result.state = state_name(record->state);
  change(journal, name);
  invocation.result.changed = true;
}

void set_limits(Journal& journal, const std::string& name, const std::vector<std::string>& settings) {
  // All are checked before the first is stored.
  PaceLimits limits;
  std::vector<std::pair<std::string, std::string>> pairs;
  for (const std::string& setting : settings) {
    const std::size_t equals = setting.find('=');
    if (equals == std::string::npos) {
      throw Error(Outcome::usage, fmt::format("\"{}\" is not of the form limit=value", setting), "For example max_wal_rate=8MB/s.");
    }
    pairs.emplace_back(setting.substr(0, equals), setting.substr(equals + 1));
    if (const std::string wrong = set_limit(limits, pairs.back().first, pairs.back().second); !wrong.empty()) {
      throw Error(Outcome::usage, fmt::format("{}: {}", pairs.back().first, wrong));
    }
  }
  for (const auto& [limit, value] : pairs) {
    journal.steer_limit(name, limit, value);
  }
}

CLI::App* add_steering(CLI::App& app, ChosenCommand& chosen, const std::string& name, const std::string& description,
                       const std::shared_ptr<SteeringFlags>& flags, const std::function<void(Journal&, const std::string&)>& change) {
  CLI::App* command = app.add_subcommand(name, description);
  command->add_option("plan", flags->plan_file, "The plan file")->required()->type_name("PLAN");
  command->callback([&chosen, flags, change] { chosen = [flags, change](Invocation& invocation) { steer(invocation, *flags, change); }; });
  return command;
}

}  // namespace

void add_steering_commands(CLI::App& app, ChosenCommand& chosen) {
  add_steering(app, chosen, "pause", "Pause a running backfill, from anywhere", std::make_shared<SteeringFlags>(),
               [](Journal& journal, const std::string& name) { journal.steer_pause(name, true); });
  add_steering(app, chosen, "resume", "Let a paused backfill go on", std::make_shared<SteeringFlags>(),
               [](Journal& journal, const std::string& name) { journal.steer_pause(name, false); });
  const auto flags = std::make_shared<SteeringFlags>();
  add_steering(app, chosen, "set", "Change limits of a running backfill, from anywhere", flags,
               [flags](Journal& journal, const std::string& name) { set_limits(journal, name, flags->settings); })
      ->add_option("settings", flags->settings, "For example max_wal_rate=8MB/s target_batch=20ms")
      ->required()
      ->type_name("LIMIT=VALUE");
}

}  // namespace ecmigrate
