#include "status.hpp"

#include <fmt/format.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>

#include "ecmigrate/base/error.hpp"
#include "ecmigrate/base/text.hpp"
#include "migration_name.hpp"
#include "output.hpp"

namespace ecmigrate {

namespace {

/// Prints what differs from what was printed last.
class Printer {
 public:
  Printer(Invocation& invocation, const std::string& name, const StatusFlags& flags)
      : m_invocation(invocation), m_name(name), m_flags(flags) {}

  void print(const Look& look) {
    const bool json = m_invocation.flags.report.json;
    const std::string now = json ? json_of(look, m_flags) : text_of(look, m_name, m_flags);
    if (now == m_before) {
      return;
    }
    if (json) {
      m_invocation.observer.on(event::Document{"status", now});
      if (output_error()) {
        throw OutputLost();
      }
    } else {
      constexpr std::string_view k_clear = "\x1b[H\x1b[2J";
      const bool repaints = m_flags.watch && isatty(STDOUT_FILENO) != 0;
      print_whole(fmt::format("{}{}", repaints ? k_clear : m_before.empty() ? "" : "\n", now));
    }
    m_before = now;
  }

 private:
  Invocation& m_invocation;
  const std::string& m_name;
  const StatusFlags& m_flags;
  std::string m_before;
};

State state_in(const Look& look) {
  return look.migrations.empty() ? State::planned : look.migrations.front().view.state;
}

/// Whether a migration has come to a state, or past it. Throws Error{refused} where it does not go there any more.
bool has_reached(State state, State wanted, const std::string& name) {
  const bool back = state == State::rolling_back || state == State::rolled_back;
  const bool wants_back = wanted == State::rolling_back || wanted == State::rolled_back;
  if (back != wants_back && (back || state == State::contracted)) {
    throw Error(Outcome::refused,
                fmt::format("\"{}\" is {}: it will not be {}", name, state_words(state), state_words(wanted)));
  }
  return back == wants_back && state >= wanted;
}

/// Sees whether anybody still goes on with the migration.
class FailedRun {
 public:
  /// Throws Error{failed} when the newest run failed, by something that running it again does not mend, and nobody has
  /// begun another for some seconds: somebody may just be doing so.
  void check(const Look& look, State wanted) {
    constexpr std::chrono::milliseconds k_patience{5'000};
    const RunView* run = look.migrations.empty() ? nullptr : failed_run(look.migrations.front().view);
    if (run == nullptr || may_run_again(*run)) {
      m_began = 0;
      return;
    }
    const std::chrono::milliseconds now = system_clock().now();
    if (m_began != run->since) {
      m_seen_at = now;
      m_began = run->since;
    }
    if (now - m_seen_at >= k_patience) {
      const MigrationView& migration = look.migrations.front().view;
      throw Error(Outcome::failed,
                  fmt::format("\"{}\" is {}, and will not be {}: {} ended with {}: {}", migration.name,
                              state_words(migration.state), state_words(wanted), run->command,
                              run->outcome.value_or(""), run->message),
                  run->hint);
    }
  }

 private:
  Instant m_began = 0;  ///< of the failed run; 0: none
  std::chrono::milliseconds m_seen_at{0};
};

void sleep_for(std::chrono::milliseconds duration, const Invocation& invocation) {
  const std::stop_token stop = invocation.interrupt.token();
  system_clock().sleep(duration, stop);
  if (stop.stop_requested()) {
    throw Error(invocation.interrupt.signal() == SIGINT ? Outcome::interrupted : Outcome::terminated,
                "no longer looking; what runs goes on");
  }
}

/// Looks until the migration is in the state that was asked for. Gives the last look.
Look wait_for_state(const std::string& name, const StatusFlags& flags, StatusReader& reader, Printer& printer,
                    const Invocation& invocation) {
  constexpr std::chrono::milliseconds k_ask_every{300};
  const State wanted = *state_from_name(flags.wait_for);
  const auto longest = duration_flag("--timeout", flags.timeout, std::chrono::milliseconds::max());
  const auto begin = system_clock().now();
  FailedRun failed;
  std::optional<Look> look;
  for (;;) {
    if (auto next = reader.look()) {
      look = std::move(next);
      if (has_reached(state_in(*look), wanted, name)) {
        return std::move(*look);
      }
      failed.check(*look, wanted);
      if (flags.watch) {
        printer.print(*look);
      }
    }
    const auto left = longest - (system_clock().now() - begin);
    if (left.count() <= 0) {
      const std::string now =
          look ? fmt::format("is {}, and", state_words(state_in(*look))) : "could not be looked at:";
      throw Error(Outcome::work_remains, fmt::format("\"{}\" {} not {} within {}", name, now, state_words(wanted),
                                                     format_milliseconds(static_cast<double>(longest.count()))));
    }
    sleep_for(std::min(k_ask_every, left), invocation);
  }
}

constexpr std::chrono::milliseconds k_look_every{1'000};

/// The server may go away between the connection and the first look, too.
Look first_look(StatusReader& reader, const Invocation& invocation) {
  for (;;) {
    if (auto look = reader.look()) {
      return std::move(*look);
    }
    sleep_for(k_look_every, invocation);
  }
}

/// Shows each change until the migration is over, or whoever reads has gone.
void watch(const std::string& name, StatusReader& reader, Printer& printer, Look& look, const Invocation& invocation) {
  while (name.empty() || !is_over(state_in(look))) {
    sleep_for(k_look_every, invocation);
    if (reader_has_gone()) {
      return;
    }
    if (auto next = reader.look()) {
      look = std::move(*next);
      printer.print(look);
    }
  }
}

void show_status(const StatusFlags& flags, Invocation& invocation) {
  const auto [name, by_name] = flags.plan_file.empty() ? MeantMigration{} : meant_migration(flags.plan_file);
  if (!flags.wait_for.empty() && name.empty()) {
    throw Error(Outcome::usage, "--wait-for needs a plan", "It waits for the migration of one plan.");
  }
  if (!flags.timeout.empty() && flags.wait_for.empty()) {
    throw Error(Outcome::usage, "--timeout needs --wait-for", "It says how long to wait for a state.");
  }
  invocation.result.migration = name;
  StatusReader reader(invocation, name, flags.history);
  Printer printer(invocation, name, flags);
  if (flags.watch || !flags.wait_for.empty()) {
    invocation.interrupt.say_nothing();
  }
  Look look = flags.wait_for.empty() ? first_look(reader, invocation)
                                     : wait_for_state(name, flags, reader, printer, invocation);
  if (by_name && look.migrations.empty()) {
    pg::Connection connection({connection_string(invocation.flags), "ecmigrate status", nullptr});
    refuse_unknown_migration(connection, name);
  }
  const bool watches = flags.watch && flags.wait_for.empty();
  try {
    printer.print(look);
    if (watches) {
      watch(name, reader, printer, look, invocation);
    }
  } catch (const OutputLost&) {
    if (!watches || !reader_has_gone()) {
      throw;
    }
  }
  if (watches && reader_has_gone()) {
    // As with `status --watch | head`: who watches may stop at any time.
    do_without_output();
    invocation.printed_document = true;
    return;
  }
  if (look.migrations.size() == 1) {
    invocation.result.state = look.migrations.front().view.state_text;
  }
  const bool work_left =
      look.migrations.empty() ? !name.empty() : std::ranges::any_of(look.migrations, [](const Shown& shown) {
        return !shown.view.readable || !is_over(shown.view.state);
      });
  if (flags.exit_code && work_left) {
    throw Error(Outcome::work_remains, "work remains");
  }
}

void add_to(CLI::App& command, ChosenCommand& chosen) {
  const auto flags = std::make_shared<StatusFlags>();
  command.add_option("plan", flags->plan_file, "Only this migration: its plan file, or its name")->type_name("PLAN");
  command.add_flag("--watch", flags->watch, "Show it anew whenever something changes, until it is over or interrupted");
  std::vector<std::string> states;
  for (const std::string_view state : k_state_names) {
    states.emplace_back(state);
  }
  command.add_option("--wait-for", flags->wait_for, "Wait until the plan's migration is in this state, or past it")
      ->check(CLI::IsMember(states))
      ->type_name("STATE");
  command.add_option("--timeout", flags->timeout, "How long to wait for it; default: as long as it takes")
      ->type_name("TIME");
  command.add_flag("--history", flags->history, "Everything that the journal recorded, oldest first");
  command.add_flag("--locks", flags->locks, "Every lock: who waited, how long it was held, whom it blocked");
  command.add_flag("--exit-code", flags->exit_code, "Exit 8 while a migration is neither contracted nor rolled back");
  command.callback([&chosen, flags] { chosen = [flags](Invocation& invocation) { show_status(*flags, invocation); }; });
}

const RegisterCommand k_status({.place = 90,
                                .name = "status",
                                .description = "Where each migration stands",
                                .examples = {"ecmigrate status -d postgres://app@db/shop",
                                             "ecmigrate status plan.yaml --watch",
                                             "ecmigrate status plan.yaml --wait-for verified --timeout 2h",
                                             "ecmigrate status plan.yaml --locks --history"},
                                .outcomes = {Outcome::failed, Outcome::plan_invalid, Outcome::cannot_connect,
                                             Outcome::refused, Outcome::work_remains, Outcome::interrupted},
                                .add_to = add_to});

}  // namespace

}  // namespace ecmigrate
