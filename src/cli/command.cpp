#include "command.hpp"

#include <fmt/format.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <iostream>

#include "ecmigrate/base/error.hpp"
#include "ecmigrate/base/text.hpp"
#include "ecmigrate/model/lifecycle.hpp"
#include "ecmigrate/planfile/planfile.hpp"
#include "ecmigrate/store/journal.hpp"
#include "ecmigrate/store/recorder.hpp"

namespace ecmigrate {

namespace {

/// The name of the recorder's session behind the runner's.
constexpr std::string_view k_recorder_suffix = " (journal)";

/// "--max-wal-rate" for "max_wal_rate".
std::string pace_flag(std::string_view limit) {
  std::string flag = "--" + std::string(limit);
  std::ranges::replace(flag, '_', '-');
  return flag;
}

/// Ends the recorder, then the run: what was told before its end is in the journal before it.
void end_run(Migration& migration, JournalRecorder& recorder, Observer& observer, const RunEnd& end) {
  constexpr std::chrono::milliseconds k_patience{3'000};
  if (const std::size_t lost = recorder.finish(k_patience); lost > 0) {
    observer.on(event::Note{
        event::Note::Level::warning,
        fmt::format("{} events could not be written into the journal: `status` and the page do not show them", lost)});
  }
  try {
    migration.end(end);
  } catch (const std::exception&) {
    // How the run ended is told to the caller in any case.
  }
}

bool typed_name(const std::string& question, const std::string& name) {
  // What is asked of a list stands on a line of its own.
  fmt::print(stderr, "{}{}Type the migration's name to go on ({}): ", question,
             question.find('\n') == std::string::npos ? " " : "\n", name);
  std::string answer;
  std::getline(std::cin, answer);
  return trim(answer) == name;
}

RunEnd failed_end(Outcome outcome, const std::string& message, const std::string& hint) {
  return {std::string(outcome_row(outcome).name), message, hint, ""};
}

}  // namespace

std::string command_line(const CommonFlags& flags, std::string_view command, const std::string& plan_file) {
  std::string line = fmt::format("ecmigrate {} {}", command, shell_quote(plan_file));
  if (const std::string target = pg::without_password(flags.dbname); !target.empty()) {
    line += " -d " + shell_quote(target);
  }
  return flags.schema.empty() ? line : line + " --schema " + shell_quote(flags.schema);
}

std::string connection_string(const CommonFlags& flags) {
  if (!flags.dbname.empty()) {
    return flags.dbname;
  }
  for (const char* name : {"ECMIGRATE_DATABASE_URL", "DATABASE_URL"}) {
    if (const char* value = std::getenv(name); value != nullptr && *value != '\0') {
      return value;
    }
  }
  return {};
}

std::chrono::milliseconds duration_flag(const std::string& flag, const std::string& text,
                                        std::chrono::milliseconds fallback) {
  if (text.empty()) {
    return fallback;
  }
  const auto duration = parse_duration(text);
  if (!duration) {
    throw Error(Outcome::usage, fmt::format("{} \"{}\" is not a duration", flag, text),
                "Give a number with its unit: 50ms, 2s, 1m.");
  }
  return *duration;
}

RunOptions RunFlags::options(const Plan& plan) const {
  RunOptions options;
  options.lock_timeout = duration_flag("--lock-timeout", lock_timeout, options.lock_timeout);
  if (options.lock_timeout.count() < 10) {
    throw Error(Outcome::usage, "--lock-timeout must be at least 10ms",
                "A try without a time limit would queue the application behind it.");
  }
  options.lock_budget = duration_flag("--lock-budget", lock_budget, options.lock_budget);
  options.index_wait = duration_flag("--index-wait", index_wait, options.index_wait);
  options.run_lock_wait = duration_flag("--run-lock-wait", run_lock_wait, options.run_lock_wait);
  options.max_duration = duration_flag("--max-duration", max_duration, options.max_duration);
  options.pace = plan.backfill;
  for (const auto& [name, value] : pace) {
    if (const std::string wrong = value.empty() ? std::string() : set_limit(options.pace, name, value);
        !wrong.empty()) {
      throw Error(Outcome::usage, fmt::format("{}: {}", pace_flag(name), wrong));
    }
  }
  if (check_rows == "all") {
    options.check_rows = 0;
  } else if (!check_rows.empty()) {
    char* end = nullptr;
    options.check_rows = std::strtoll(check_rows.c_str(), &end, 10);
    if (*end != '\0' || options.check_rows <= 0) {
      throw Error(Outcome::usage,
                  fmt::format("--check-rows \"{}\" is neither a number above 0 nor \"all\"", check_rows));
    }
  }
  options.strict = strict;
  options.repair_pending = !repair.empty();
  options.repair = repair == "old"   ? RunOptions::Side::old_columns
                   : repair == "new" ? RunOptions::Side::new_columns
                                     : RunOptions::Side::none;
  options.accept_drop = {accept_drop.begin(), accept_drop.end()};
  if (!confirm.empty() && confirm != plan.name) {
    throw Error(Outcome::refused, fmt::format("--confirm names \"{}\", the migration is \"{}\"", confirm, plan.name));
  }
  options.confirmed = confirm;
  options.confirm_contract = true;
  options.quiet_for = duration_flag("--quiet-for", quiet_for, options.quiet_for);
  if (isatty(STDIN_FILENO) != 0) {
    options.ask = [name = plan.name](const std::string& question) { return typed_name(question + ".", name); };
  }
  return options;
}

void with_migration(Invocation& invocation, const RunFlags& flags,
                    const std::function<void(Migration&, Session&, const Plan&)>& work) {
  const Plan plan = read_plan(flags.plan_file, invocation.flags.schema);
  invocation.result.migration = plan.name;
  const std::string command = "ecmigrate " + invocation.result.command + " " + plan.name;
  const std::string conninfo = connection_string(invocation.flags);
  Migration* open = nullptr;
  JournalRecorder recorder(
      invocation.observer,
      {conninfo, truncate_utf8(command, 63 - k_recorder_suffix.size()) + std::string(k_recorder_suffix), nullptr},
      plan.name, [&open] { return open == nullptr ? 0 : open->run_id(); });
  RunOptions options = flags.options(plan);
  options.target = pg::without_password(invocation.flags.dbname);
  Session session({conninfo, truncate_utf8(command, 63), nullptr}, options, recorder, system_clock(),
                  invocation.interrupt.token());
  recorder.on(event::Started{invocation.result.command, plan.name, session.connection().description()});
  Migration migration(session, plan, invocation.result.command);
  open = &migration;
  const auto tell = [&] {
    // Of the state, whatever the command was; after a rollback the plan has to be mended first.
    const auto state = migration.state();
    const auto next = state && state != State::rolled_back ? next_command(*state) : std::nullopt;
    if (next) {
      invocation.result.next = command_line(invocation.flags, command_name(*next), flags.plan_file);
    }
    invocation.result.changed = migration.changed();
    invocation.result.state = migration.state() ? std::string(state_name(*migration.state())) : std::string();
  };
  try {
    work(migration, session, plan);
    tell();
    end_run(migration, recorder, invocation.observer,
            {std::string(outcome_row(Outcome::done).name), "", "", invocation.result.next});
  } catch (const Error& error) {
    tell();
    end_run(migration, recorder, invocation.observer, failed_end(error.outcome(), error.what(), error.hint()));
    throw;
  } catch (const pg::Stopped&) {
    tell();
    session.connection().cancel_on_stop({});  // the journal has yet to hear of it
    end_run(migration, recorder, invocation.observer,
            failed_end(invocation.interrupt.signal() == SIGINT ? Outcome::interrupted : Outcome::terminated,
                       "stopped at a checkpoint", "Run the same command again to go on."));
    throw;
  }
}

void add_plan_argument(CLI::App& command, RunFlags& flags) {
  command.add_option("plan", flags.plan_file, "The plan file")->required()->type_name("PLAN");
}

void add_lock_flags(CLI::App& command, RunFlags& flags) {
  command.add_option("--lock-timeout", flags.lock_timeout, "Longest single wait for a table lock; default 500ms")
      ->type_name("TIME");
  command.add_option("--lock-budget", flags.lock_budget, "All tries at one lock together; default 5m")
      ->type_name("TIME");
  command.add_option("--run-lock-wait", flags.run_lock_wait, "How long to wait for another runner; default 10s")
      ->type_name("TIME");
}

void add_confirm_flag(CLI::App& command, RunFlags& flags) {
  command
      .add_option("--confirm", flags.confirm,
                  "The migration's name, where data may be lost or the plan has changed and no terminal can ask")
      ->type_name("NAME");
}

void add_quiet_for_flag(CLI::App& command, RunFlags& flags) {
  command
      .add_option("--quiet-for", flags.quiet_for,
                  "Refuse to contract where the old columns were used within this time, as far as can be known")
      ->type_name("TIME");
}

void add_index_wait_flag(CLI::App& command, RunFlags& flags) {
  command
      .add_option("--index-wait", flags.index_wait,
                  "How long a concurrent index may wait for transactions; default: as long as it takes")
      ->type_name("TIME");
}

void add_trial_flags(CLI::App& command, RunFlags& flags) {
  command
      .add_option("--check-rows", flags.check_rows, "Try up and down on so many rows first, or `all`; default 10000")
      ->type_name("N");
  command.add_flag("--strict", flags.strict, "Refuse where there would be a warning");
}

void add_accept_drop_flag(CLI::App& command, RunFlags& flags) {
  command
      .add_option("--accept-drop", flags.accept_drop,
                  "An index, constraint or statistics object that may go with a dropped column")
      ->type_name("NAME");
}

void add_phase(CLI::App& command, ChosenCommand& chosen, const std::shared_ptr<RunFlags>& flags,
               const std::function<void(Migration&)>& work) {
  add_plan_argument(command, *flags);
  add_lock_flags(command, *flags);
  add_confirm_flag(command, *flags);
  command.callback([&chosen, flags, work] {
    chosen = [flags, work](Invocation& invocation) {
      with_migration(invocation, *flags, [&](Migration& migration, Session&, const Plan&) { work(migration); });
    };
  });
}

void add_pace_flags(CLI::App& command, RunFlags& flags) {
  for (const PaceLimitName& limit : k_pace_limits) {
    command.add_option(pace_flag(limit.name), flags.pace[std::string(limit.name)], std::string(limit.doc))
        ->type_name("VALUE");
  }
  command.add_option("--max-duration", flags.max_duration, "Stop at a checkpoint after this time, with exit status 8")
      ->type_name("TIME");
}

}  // namespace ecmigrate
