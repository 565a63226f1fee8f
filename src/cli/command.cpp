#include "command.hpp"

#include <fmt/format.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <iostream>
#include <map>

#include "ecmigrate/base/error.hpp"
#include "ecmigrate/base/text.hpp"
#include "ecmigrate/planfile/planfile.hpp"
#include "ecmigrate/store/journal.hpp"

namespace ecmigrate {

namespace {

std::chrono::milliseconds duration_flag(const std::string& flag, const std::string& text, std::chrono::milliseconds fallback) {
  if (text.empty()) {
    return fallback;
  }
  const auto duration = parse_duration(text);
  if (!duration) {
    throw Error(Outcome::usage, fmt::format("{} \"{}\" is not a duration", flag, text), "Give a number with its unit: 50ms, 2s, 1m.");
  }
  return *duration;
}

/// "--max-wal-rate" for "max_wal_rate".
std::string pace_flag(std::string_view limit) {
  std::string flag = "--" + std::string(limit);
  std::ranges::replace(flag, '_', '-');
  return flag;
}

/// Hands events on, and writes those into the journal that tell what happened to the database.
class JournalingObserver final : public Observer {
 public:
  explicit JournalingObserver(Observer& next) : m_next(next) {}

  void record_into(Session& session, Migration& migration, const std::string& name) {
    m_session = &session;
    m_migration = &migration;
    m_name = name;
  }

  void on(const Event& event) override {
    m_next.on(event);
    const auto* progress = std::get_if<event::Progress>(&event);
    const bool due = progress != nullptr && progress->phase == "backfill" && is_due(*progress);
    const bool worth_keeping = std::holds_alternative<event::StateChanged>(event) || std::holds_alternative<event::StepFinished>(event) ||
                               std::holds_alternative<event::LockTryFailed>(event) || std::holds_alternative<event::VerifyFinished>(event) ||
                               std::holds_alternative<event::WalkFinished>(event);
    if (!(worth_keeping || due) || m_migration == nullptr || m_migration->run_id() == 0) {
      return;
    }
    try {
      Journal journal(m_session->connection());
      const std::string json = event_to_json(event);
      due ? journal.record_progress(m_name, m_migration->run_id(), json) : journal.record_event(m_name, m_migration->run_id(), json);
    } catch (const std::exception&) {
      // The work itself will meet the same trouble at its next statement, and deal with it.
    }
  }

 private:
  /// A point of the time series: the first, the last, and one every few seconds.
  bool is_due(const event::Progress& progress) {
    constexpr std::chrono::milliseconds k_every{5'000};
    const auto now = system_clock().now();
    const auto [last, first] = m_progress.try_emplace(progress.relation, now);
    if (!first && progress.percent < 100 && now - last->second < k_every) {
      return false;
    }
    last->second = now;
    return true;
  }

  Observer& m_next;
  std::map<std::string, std::chrono::milliseconds> m_progress;  ///< when each relation's was kept
  Session* m_session = nullptr;
  Migration* m_migration = nullptr;
  std::string m_name;
};

void end_run(Migration& migration, Outcome outcome, const std::string& message) {
  try {
    migration.end(std::string(outcome_row(outcome).name), message);
  } catch (const std::exception&) {
    // How the run ended is told to the caller in any case.
  }
}

}  // namespace

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

RunOptions RunFlags::options(const Plan& plan) const {
  RunOptions options;
  options.lock_timeout = duration_flag("--lock-timeout", lock_timeout, options.lock_timeout);
  if (options.lock_timeout.count() < 10) {
    throw Error(Outcome::usage, "--lock-timeout must be at least 10ms", "A try without a time limit would queue the application behind it.");
  }
  options.lock_budget = duration_flag("--lock-budget", lock_budget, options.lock_budget);
  options.index_wait = duration_flag("--index-wait", index_wait, options.index_wait);
  options.run_lock_wait = duration_flag("--run-lock-wait", run_lock_wait, options.run_lock_wait);
  options.max_duration = duration_flag("--max-duration", max_duration, options.max_duration);
  options.pace = plan.backfill;
  for (const auto& [name, value] : pace) {
    if (const std::string wrong = value.empty() ? std::string() : set_limit(options.pace, name, value); !wrong.empty()) {
      throw Error(Outcome::usage, fmt::format("{}: {}", pace_flag(name), wrong));
    }
  }
  if (check_rows == "all") {
    options.check_rows = 0;
  } else if (!check_rows.empty()) {
    char* end = nullptr;
    options.check_rows = std::strtoll(check_rows.c_str(), &end, 10);
    if (*end != '\0' || options.check_rows <= 0) {
      throw Error(Outcome::usage, fmt::format("--check-rows \"{}\" is neither a number above 0 nor \"all\"", check_rows));
    }
  }
  options.strict = strict;
  options.repair_pending = !repair.empty();
  options.repair = repair == "old" ? RunOptions::Side::old_columns : repair == "new" ? RunOptions::Side::new_columns : RunOptions::Side::none;
  options.accept_drop = {accept_drop.begin(), accept_drop.end()};
  return options;
}

void with_migration(Invocation& invocation, const RunFlags& flags, const std::function<void(Migration&, const Plan&)>& work) {
  const Plan plan = read_plan(flags.plan_file, invocation.flags.schema);
  invocation.result.migration = plan.name;
  JournalingObserver observer(invocation.observer);
  Session session({connection_string(invocation.flags), truncate_utf8("ecmigrate " + invocation.result.command + " " + plan.name, 63), nullptr},
                  flags.options(plan), observer, system_clock(), invocation.interrupt.token());
  observer.on(event::Started{invocation.result.command, plan.name, session.connection().description()});
  Migration migration(session, plan);
  observer.record_into(session, migration, plan.name);
  const auto tell = [&] {
    invocation.result.changed = migration.changed();
    invocation.result.state = migration.state() ? std::string(state_name(*migration.state())) : std::string();
  };
  try {
    work(migration, plan);
    tell();
    end_run(migration, Outcome::done, "");
  } catch (const Error& error) {
    tell();
    end_run(migration, error.outcome(), error.what());
    throw;
  } catch (const pg::Stopped&) {
    tell();
    session.connection().cancel_on_stop({});  // the journal has yet to hear of it
    end_run(migration, invocation.interrupt.signal() == SIGTERM ? Outcome::terminated : Outcome::interrupted, "stopped at a checkpoint");
    throw;
  }
}

void confirm_contract(const RunFlags& flags, const Plan& plan) {
  if (flags.confirm == plan.name) {
    return;
  }
  if (!flags.confirm.empty()) {
    throw Error(Outcome::refused, fmt::format("--confirm names \"{}\", the migration is \"{}\"", flags.confirm, plan.name));
  }
  if (isatty(STDIN_FILENO) == 0) {
    throw Error(Outcome::refused, "contract drops data for good and there is no terminal to ask at", fmt::format("Give --confirm {}", plan.name));
  }
  fmt::print(stderr, "contract drops the old columns of \"{0}\" for good. Type the migration's name to go on ({0}): ", plan.name);
  std::string answer;
  std::getline(std::cin, answer);
  if (trim(answer) != plan.name) {
    throw Error(Outcome::refused, "not confirmed; nothing was changed");
  }
}

void add_plan_argument(CLI::App& command, RunFlags& flags) {
  command.add_option("plan", flags.plan_file, "The plan file")->required()->type_name("PLAN");
}

void add_lock_flags(CLI::App& command, RunFlags& flags) {
  command.add_option("--lock-timeout", flags.lock_timeout, "Longest single wait for a table lock; default 500ms")->type_name("TIME");
  command.add_option("--lock-budget", flags.lock_budget, "All tries at one lock together; default 5m")->type_name("TIME");
  command.add_option("--run-lock-wait", flags.run_lock_wait, "How long to wait for another runner; default 10s")->type_name("TIME");
}

void add_pace_flags(CLI::App& command, RunFlags& flags) {
  for (const PaceLimitName& limit : k_pace_limits) {
    command.add_option(pace_flag(limit.name), flags.pace[std::string(limit.name)], std::string(limit.doc))->type_name("VALUE");
  }
  command.add_option("--max-duration", flags.max_duration, "Stop at a checkpoint after this time, with exit status 8")->type_name("TIME");
}

}  // namespace ecmigrate
