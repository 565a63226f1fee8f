#pragma once

#include <CLI/CLI.hpp>
#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "ecmigrate/base/error.hpp"
#include "ecmigrate/phases/migration.hpp"
#include "ecmigrate/report/report.hpp"
#include "ecmigrate/session/session.hpp"
#include "interrupt.hpp"

namespace ecmigrate {

/// Flags that every command has.
struct CommonFlags {
  std::string dbname;
  std::string schema;
  ReportOptions report;
};

/// What a command is run with.
struct Invocation {
  const CommonFlags& flags;
  Interrupt& interrupt;
  Observer& observer;
  event::Result& result;          ///< filled in as far as the command gets; printed by the caller
  bool printed_document = false;  ///< what was asked for is all of the output: no result follows
};

/// The command chosen on the command line, to be run once everything is parsed.
using ChosenCommand = std::function<void(Invocation&)>;

/// A command of the program. Its file defines it and registers it by a `const RegisterCommand` of its own; the program,
/// its help, manual pages and completion are made from what is registered.
struct CommandEntry {
  int place = 0;  ///< in the list of commands
  std::string_view name;
  std::string_view description;
  std::vector<std::string_view> examples;
  /// What it may end with, besides `done` and a wrong command line, which all have.
  std::vector<Outcome> outcomes;
  /// Adds its arguments to its subcommand, and on parsing stores what to run.
  void (*add_to)(CLI::App& command, ChosenCommand& chosen) = nullptr;
};

class RegisterCommand {
 public:
  explicit RegisterCommand(CommandEntry entry);
};

/// Every command, in the order of its place.
const std::vector<CommandEntry>& commands();

/// The whole command line: flags of every command go into `flags`, the chosen command into `chosen`; both must outlive
/// it.
std::unique_ptr<CLI::App> make_command_line(CommonFlags& flags, ChosenCommand& chosen);

/// A command line that cannot be read: what is wrong with it, and what helps.
struct WrongUsage {
  std::string what;
  std::string hint;
};
/// `words`: the command line without the program; `message`: the parser's own.
WrongUsage explain_wrong_usage(const CLI::App& app, const std::vector<std::string>& words,
                               const CLI::ParseError& error);

/// What a command that works on a migration may end with.
std::vector<Outcome> run_outcomes();

/// A command, as a shell reads it, with the target and the schema that this one was given; no password.
std::string command_line(const CommonFlags& flags, std::string_view command, const std::string& plan_file);

/// The duration that a flag was given, or `fallback` where it was not. Throws Error{usage}.
std::chrono::milliseconds duration_flag(const std::string& flag, const std::string& text,
                                        std::chrono::milliseconds fallback);

/// The connection string: --dbname, ECMIGRATE_DATABASE_URL, DATABASE_URL, or empty for libpq's own variables.
std::string connection_string(const CommonFlags& flags);

/// Options of the commands that change a database, as text until they are read.
struct RunFlags {
  std::string plan_file;
  std::string lock_timeout;
  std::string lock_budget;
  std::string index_wait;
  std::string run_lock_wait;
  std::map<std::string, std::string> pace;  ///< by the limit's name
  std::string max_duration;
  std::string check_rows;
  std::string confirm;
  std::string quiet_for;
  std::string through = "verify";
  std::string repair;
  bool strict = false;
  std::vector<std::string> accept_drop;

  [[nodiscard]] RunOptions options(const Plan& plan) const;
};

/// Connects, opens the migration of the plan and gives it to `work`; journals events and how it ended.
void with_migration(Invocation& invocation, const RunFlags& flags,
                    const std::function<void(Migration&, Session&, const Plan&)>& work);

/// Flags shared by phases; each adds those that it uses.
void add_plan_argument(CLI::App& command, RunFlags& flags);
void add_lock_flags(CLI::App& command, RunFlags& flags);
void add_pace_flags(CLI::App& command, RunFlags& flags);
void add_confirm_flag(CLI::App& command, RunFlags& flags);
void add_quiet_for_flag(CLI::App& command, RunFlags& flags);
void add_index_wait_flag(CLI::App& command, RunFlags& flags);
void add_trial_flags(CLI::App& command, RunFlags& flags);
void add_accept_drop_flag(CLI::App& command, RunFlags& flags);

/// The arguments that every phase has, and its work.
void add_phase(CLI::App& command, ChosenCommand& chosen, const std::shared_ptr<RunFlags>& flags,
               const std::function<void(Migration&)>& work);

}  // namespace ecmigrate
