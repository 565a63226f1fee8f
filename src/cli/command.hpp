#pragma once

#include <CLI/CLI.hpp>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>

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
  event::Result& result;  ///< filled in as far as the command gets; printed by the caller
};

/// The command chosen on the command line, to be run once everything is parsed.
using ChosenCommand = std::function<void(Invocation&)>;

/// Each command's file defines one of these: adds its subcommand, and on parsing stores what to run.
void add_phase_commands(CLI::App& app, ChosenCommand& chosen);
void add_run_command(CLI::App& app, ChosenCommand& chosen);
void add_plan_command(CLI::App& app, ChosenCommand& chosen);
void add_steering_commands(CLI::App& app, ChosenCommand& chosen);
void add_status_command(CLI::App& app, ChosenCommand& chosen);
void add_serve_command(CLI::App& app, ChosenCommand& chosen);
void add_new_command(CLI::App& app, ChosenCommand& chosen);
void add_schema_command(CLI::App& app, ChosenCommand& chosen);
void add_compare_command(CLI::App& app, ChosenCommand& chosen);
void add_demo_command(CLI::App& app, ChosenCommand& chosen);
void add_version_command(CLI::App& app, ChosenCommand& chosen);

/// A command, as a shell reads it, with the target and the schema that this one was given; no password.
std::string command_line(const CommonFlags& flags, std::string_view command, const std::string& plan_file);

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
  std::string through = "verify";
  std::string repair;
  bool strict = false;
  std::vector<std::string> accept_drop;

  [[nodiscard]] RunOptions options(const Plan& plan) const;
};

/// Connects, opens the migration of the plan and gives it to `work`; journals events and how it ended.
void with_migration(Invocation& invocation, const RunFlags& flags,
                    const std::function<void(Migration&, const Plan&)>& work);

/// Flags shared by phases; each adds those that it uses.
void add_plan_argument(CLI::App& command, RunFlags& flags);
void add_lock_flags(CLI::App& command, RunFlags& flags);
void add_pace_flags(CLI::App& command, RunFlags& flags);
void add_confirm_flag(CLI::App& command, RunFlags& flags);

}  // namespace ecmigrate
