#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "command.hpp"
#include "ecmigrate/base/error.hpp"
#include "ecmigrate/base/text.hpp"
#include "ecmigrate/model/fixed_settings.hpp"
#include "ecmigrate/model/lifecycle.hpp"
#include "ecmigrate/pace/windows.hpp"
#include "ecmigrate/store/journal.hpp"
#include "migration_name.hpp"

namespace ecmigrate {

namespace {

/// The value that takes back what was set: plan and flags say it again.
constexpr std::string_view k_default = "default";

struct SteeringFlags {
  std::string plan_file;
  std::vector<std::string> settings;
};

struct ThrottleFlags {
  std::string ratio;
  std::vector<std::string> words;  ///< "for 2h"
};

/// Gives what was done, as event::Steered::text.
using Steer = std::function<std::string(pg::Connection&, const std::string& migration)>;

/// Steering needs no run lock: it is read by the runner, wherever that is, within a second.
void steer(Invocation& invocation, const SteeringFlags& flags, const Steer& change) {
  const auto [name, by_name] = meant_migration(flags.plan_file);
  invocation.result.migration = name;
  pg::Connection connection({connection_string(invocation.flags), "ecmigrate " + invocation.result.command, nullptr});
  connection.script("begin; " + own_settings_for_now());
  Journal journal(connection);
  journal.check_trusted();
  const auto record = journal.installed() ? journal.find(name) : std::nullopt;
  if (by_name && !record) {
    refuse_unknown_migration(connection, name);
  }
  const State state = record ? record->state : State::planned;
  if (const Verdict verdict = verdict_on(state, Command::steer); verdict.turn == Turn::refused) {
    throw Error(Outcome::refused, fmt::format("\"{}\" is {}: there is no backfill to steer", name, state_words(state)),
                verdict.instead && !by_name
                    ? fmt::format("Run: ecmigrate {} {}", command_name(*verdict.instead), flags.plan_file)
                    : std::string());
  }
  invocation.result.state = state_name(record->state);
  const event::Steered steered{change(connection, name), connection.query("select current_user").text(0, 0)};
  journal.record_event(name, 0, steered);
  connection.script("commit");
  invocation.observer.on(steered);
  invocation.result.changed = true;
}

std::string set_limits(pg::Connection& connection, const std::string& name, const std::vector<std::string>& settings) {
  // All are checked before the first is stored.
  PaceLimits limits;
  std::vector<std::pair<std::string, std::string>> pairs;
  for (const std::string& setting : settings) {
    const std::size_t equals = setting.find('=');
    if (equals == std::string::npos) {
      throw Error(Outcome::usage, fmt::format("\"{}\" is not of the form limit=value", setting),
                  "For example max_wal_rate=8MB/s.");
    }
    pairs.emplace_back(setting.substr(0, equals), setting.substr(equals + 1));
    if (is_query(pairs.back().first)) {
      throw Error(Outcome::usage,
                  fmt::format("{} is SQL, which the runner takes from its plan or its flags alone", pairs.back().first),
                  "Stop the backfill, and run it again with the query.");
    }
    const auto& [limit, value] = pairs.back();
    const bool known = std::ranges::find(k_pace_limits, limit, &PaceLimitName::name) != k_pace_limits.end();
    if (const std::string wrong = known && value == k_default ? std::string() : set_limit(limits, limit, value);
        !wrong.empty()) {
      throw Error(Outcome::usage, fmt::format("{}: {}", limit, wrong));
    }
  }
  if (const auto zone = unknown_zone(connection, limits.windows)) {
    throw Error(Outcome::usage, fmt::format("windows: the server knows no time zone \"{}\"", *zone),
                "The view pg_timezone_names lists those that it knows.");
  }
  Journal journal(connection);
  std::vector<std::string> done;
  for (const auto& [limit, value] : pairs) {
    const bool back = value == k_default;
    journal.steer_limit(name, limit, back ? std::nullopt : std::optional(value));
    done.push_back(back ? "unset " + limit : fmt::format("set {}={}", limit, value));
  }
  return join(done, ", ");
}

std::string throttle(pg::Connection& connection, const std::string& name, const ThrottleFlags& flags) {
  double ratio = 0;
  const char* end = flags.ratio.data() + flags.ratio.size();
  if (const auto read = std::from_chars(flags.ratio.data(), end, ratio);
      read.ec != std::errc() || read.ptr != end || !(ratio >= 0 && ratio < 1)) {
    throw Error(Outcome::usage, fmt::format("\"{}\" is not a number from 0 to below 1", flags.ratio),
                "0.5 sleeps half of the time, 0 ends the throttling.");
  }
  std::optional<std::chrono::milliseconds> duration;
  if (!flags.words.empty()) {
    duration = flags.words.size() == 2 && flags.words[0] == "for" ? parse_duration(flags.words[1]) : std::nullopt;
    if (!duration) {
      throw Error(Outcome::usage, fmt::format("\"{}\" does not say for how long", join(flags.words, " ")),
                  "For example: for 2h.");
    }
  }
  Journal(connection).steer_throttle(name, ratio, duration);
  if (ratio <= 0) {
    return "no longer throttled";
  }
  const std::string time =
      duration ? " for " + format_milliseconds(static_cast<double>(duration->count())) : std::string();
  return fmt::format("throttled to rest {:.0f} % of the time{}", 100 * ratio, time);
}

CLI::App& add_steering(CLI::App& command, ChosenCommand& chosen, const std::shared_ptr<SteeringFlags>& flags,
                       const Steer& change) {
  command.add_option("plan", flags->plan_file, "The plan file, or the migration's name")->required()->type_name("PLAN");
  command.callback([&chosen, flags, change] {
    chosen = [flags, change](Invocation& invocation) { steer(invocation, *flags, change); };
  });
  return command;
}

/// Pauses, or lets it go on.
template <bool paused>
void add_pause(CLI::App& command, ChosenCommand& chosen) {
  add_steering(command, chosen, std::make_shared<SteeringFlags>(),
               [](pg::Connection& connection, const std::string& name) {
                 Journal(connection).steer_pause(name, paused);
                 return std::string(paused ? "paused" : "resumed");
               });
}

void add_throttle(CLI::App& command, ChosenCommand& chosen) {
  const auto ratio = std::make_shared<ThrottleFlags>();
  add_steering(
      command, chosen, std::make_shared<SteeringFlags>(),
      [ratio](pg::Connection& connection, const std::string& name) { return throttle(connection, name, *ratio); });
  command
      .add_option("ratio", ratio->ratio,
                  "The share of the time that is slept: 0.5 is half of it, 0 ends the throttling")
      ->required()
      ->type_name("RATIO");
  command.add_option("for", ratio->words, "For how long, as in \"for 2h\"; without it, until it is changed")
      ->type_name("for TIME");
}

void add_set(CLI::App& command, ChosenCommand& chosen) {
  const auto flags = std::make_shared<SteeringFlags>();
  add_steering(command, chosen, flags, [flags](pg::Connection& connection, const std::string& name) {
    return set_limits(connection, name, flags->settings);
  });
  command
      .add_option("settings", flags->settings,
                  "For example max_wal_rate=8MB/s target_batch=20ms; max_wal_rate=default takes it back")
      ->required()
      ->type_name("LIMIT=VALUE");
}

const std::vector<Outcome> k_outcomes_of_steering{Outcome::plan_invalid, Outcome::cannot_connect, Outcome::refused};

const RegisterCommand k_pause({.place = 80,
                               .name = "pause",
                               .description = "Pause a running backfill, from anywhere",
                               .examples = {"ecmigrate pause plan.yaml", "ecmigrate pause split-full-name"},
                               .outcomes = k_outcomes_of_steering,
                               .add_to = add_pause<true>});
const RegisterCommand k_resume({.place = 81,
                                .name = "resume",
                                .description = "Let a paused backfill go on",
                                .examples = {"ecmigrate resume plan.yaml"},
                                .outcomes = k_outcomes_of_steering,
                                .add_to = add_pause<false>});
const RegisterCommand k_throttle({.place = 82,
                                  .name = "throttle",
                                  .description = "Let a running backfill rest for a share of the time, from anywhere",
                                  .examples = {"ecmigrate throttle plan.yaml 0.5 for 2h",
                                               "ecmigrate throttle plan.yaml 0"},
                                  .outcomes = k_outcomes_of_steering,
                                  .add_to = add_throttle});
const RegisterCommand k_set({.place = 83,
                             .name = "set",
                             .description = "Change limits of a running backfill, from anywhere",
                             .examples = {"ecmigrate set plan.yaml max_wal_rate=8MB/s target_batch=20ms",
                                          "ecmigrate set plan.yaml max_wal_rate=default"},
                             .outcomes = k_outcomes_of_steering,
                             .add_to = add_set});

}  // namespace

}  // namespace ecmigrate
