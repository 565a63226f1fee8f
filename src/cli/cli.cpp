#include "ecmigrate/cli/cli.hpp"

#include <fmt/format.h>
#include <signal.h>

#include <algorithm>
#include <clocale>
#include <vector>

#include "command.hpp"
#include "ecmigrate/base/error.hpp"
#include "ecmigrate/base/text.hpp"
#include "output.hpp"
#include "step_summary.hpp"

namespace ecmigrate {

namespace {

void set_outcome(event::Result& result, Outcome outcome) {
  const OutcomeRow& row = outcome_row(outcome);
  result.exit_code = row.exit_code;
  result.outcome = row.name;
  result.retryable = row.retryable;
}

/// A command line that cannot be read. Who asked for JSON gets a result like any other.
int report_wrong_usage(const CLI::App& app, const std::vector<std::string>& words, const CLI::ParseError& error) {
  const WrongUsage wrong = explain_wrong_usage(app, words, error);
  fmt::print(stderr, "error: {}\nhint: {}\n", wrong.what, wrong.hint);
  event::Result result;
  set_outcome(result, Outcome::usage);
  if (std::ranges::find(words, "--json") != words.end()) {
    result.command = app.get_subcommands().empty() ? std::string() : app.get_subcommands().front()->get_name();
    result.message = wrong.what;
    result.hint = wrong.hint;
    make_json_report(stdout)->on(result);
  }
  return result.exit_code;
}

/// The one place where failures become exit codes.
void run_chosen(const ChosenCommand& chosen, Invocation& invocation) {
  event::Result& result = invocation.result;
  const auto fail = [&](Outcome outcome, const std::string& message, const std::string& hint) {
    set_outcome(result, outcome);
    result.message = message;
    result.hint = hint;
    result.next.clear();
  };
  try {
    set_outcome(result, Outcome::done);
    chosen(invocation);
  } catch (const OutputLost&) {
    set_outcome(result, Outcome::failed);
    invocation.printed_document = true;  // there is nowhere to tell a result
  } catch (const pg::Stopped&) {
    fail(invocation.interrupt.signal() == SIGINT ? Outcome::interrupted : Outcome::terminated,
         "stopped at a checkpoint", "Run the same command again to go on.");
  } catch (const pg::SqlError& error) {
    fail(error.connection_lost() ? Outcome::outcome_unknown : error.outcome(), error.what(),
         error.connection_lost() ? "What was under way is either wholly done or not at all: run the same command again "
                                   "to find out and go on."
                                 : error.hint());
    result.sqlstate = error.sqlstate();
  } catch (const Error& error) {
    fail(error.outcome(), error.what(), error.hint());
  } catch (const std::exception& error) {
    fail(Outcome::failed, fmt::format("{} failed in a way it should not: {}", invocation.result.command, error.what()),
         "Nothing is half done, and running the command again is safe. Please report it, with what it printed.");
  }
}

int run(int argc, char** argv) {
  CommonFlags flags;
  ChosenCommand chosen;
  const std::unique_ptr<CLI::App> app = make_command_line(flags, chosen);
  try {
    app->parse(argc, argv);
  } catch (const CLI::CallForHelp& help) {
    return app->exit(help);
  } catch (const CLI::CallForVersion& version) {
    return app->exit(version);
  } catch (const CLI::ParseError& error) {
    return report_wrong_usage(*app, std::vector<std::string>(argv + 1, argv + argc), error);
  }

  Interrupt interrupt;
  const auto observer = with_step_summary(flags.report.json ? make_json_report(stdout)
                                                            : make_terminal_report(flags.report, stdout, stderr));
  event::Result result;
  result.command = app->get_subcommands().front()->get_name();
  Invocation invocation{flags, interrupt, *observer, result};
  const auto begin = system_clock().now();
  run_chosen(chosen, invocation);
  result.duration_ms = static_cast<double>((system_clock().now() - begin).count());
  if (!invocation.printed_document) {
    observer->on(result);
  }
  return result.exit_code;
}

}  // namespace

int run_command_line(int argc, char** argv) {
  hold_standard_files();
  std::setlocale(LC_CTYPE, "");
  const int status = run(argc, argv);
  // Only now: what a command has begun, it has finished.
  if (const auto why = output_error()) {
    std::fputs(fmt::format("error: standard output cannot be written: {}\n", *why).c_str(), stderr);
    return status == 0 ? outcome_row(Outcome::failed).exit_code : status;
  }
  return status;
}

}  // namespace ecmigrate
