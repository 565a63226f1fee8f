#include "ecmigrate/cli/cli.hpp"

#include <fmt/format.h>
#include <signal.h>

#include <algorithm>
#include <array>
#include <clocale>
#include <vector>

#include "command.hpp"
#include "ecmigrate/base/error.hpp"
#include "ecmigrate/base/text.hpp"
#include "step_summary.hpp"

namespace ecmigrate {

namespace {

std::string exit_code_table() {
  std::string table = "Exit status:\n";
  for (const OutcomeRow& row : k_outcomes) {
    table += fmt::format("  {:>3}  {}{}\n", row.exit_code, row.meaning, row.retryable ? " (run again)" : "");
  }
  return table;
}

void add_common_flags(CLI::App& app, CommonFlags& flags) {
  app.add_option(
         "-d,--dbname,--url", flags.dbname,
         "The database: a name, key=value pairs or a URI; else ECMIGRATE_DATABASE_URL, DATABASE_URL, libpq's variables")
      ->type_name("CONNINFO");
  app.add_option("--schema", flags.schema, "Where the plan's tables live; default: the plan's `schema:`, or public")
      ->type_name("NAME");
  app.add_flag("--json", flags.report.json, "One JSON object a line on standard output");
  app.add_flag("-q,--quiet", flags.report.quiet, "Only errors and warnings");
  app.add_flag("-v,--verbose", flags.report.verbose, "Every look at an index build, not only now and then");
}

/// What to say of a word that stands in a command's place and is none; nothing where the commands are right.
struct WrongCommand {
  std::string word;
  std::string hint;
};
std::optional<WrongCommand> find_wrong_command(const CLI::App& app, const std::vector<std::string>& words) {
  std::vector<std::string> names;
  for (const CLI::App* command : app.get_subcommands({})) {
    names.push_back(command->get_name());
  }
  const std::vector<std::string_view> candidates(names.begin(), names.end());
  constexpr std::array<std::pair<std::string_view, std::string_view>, 8> k_other_words{{{"start", "expand"},
                                                                                        {"complete", "contract"},
                                                                                        {"abort", "rollback"},
                                                                                        {"revert", "rollback"},
                                                                                        {"down", "rollback"},
                                                                                        {"up", "run"},
                                                                                        {"migrate", "run"},
                                                                                        {"apply", "run"}}};
  const auto word = std::ranges::find_if(words, [](const std::string& text) { return !text.starts_with('-'); });
  if (word == words.end() || std::ranges::find(names, *word) != names.end()) {
    return std::nullopt;
  }
  const auto synonym = std::ranges::find(k_other_words, *word, &std::pair<std::string_view, std::string_view>::first);
  const auto nearest =
      synonym != k_other_words.end() ? std::optional(std::string(synonym->second)) : nearest_word(*word, candidates);
  return WrongCommand{*word, nearest ? fmt::format("Did you mean \"{}\"?", *nearest) : std::string()};
}

void set_outcome(event::Result& result, Outcome outcome) {
  const OutcomeRow& row = outcome_row(outcome);
  result.exit_code = row.exit_code;
  result.outcome = row.name;
  result.retryable = row.retryable;
}

/// A command line that cannot be read. Who asked for JSON gets a result like any other.
int report_wrong_usage(const CLI::App& app, const std::vector<std::string>& words, const std::string& message) {
  const auto wrong = find_wrong_command(app, words);
  const std::string what = wrong ? fmt::format("there is no command \"{}\"", wrong->word) : message;
  const std::string hint =
      wrong && !wrong->hint.empty() ? wrong->hint : "ecmigrate --help lists the commands and flags.";
  fmt::print(stderr, "error: {}\nhint: {}\n", what, hint);
  event::Result result;
  set_outcome(result, Outcome::usage);
  if (std::ranges::find(words, "--json") != words.end()) {
    result.command = app.get_subcommands().empty() ? std::string() : app.get_subcommands().front()->get_name();
    result.message = what;
    result.hint = hint;
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
  } catch (const pg::Stopped&) {
    fail(invocation.interrupt.signal() == SIGTERM ? Outcome::terminated : Outcome::interrupted,
         "stopped at a checkpoint", "Run the same command again to go on.");
  } catch (const pg::SqlError& error) {
    fail(error.connection_lost() ? Outcome::outcome_unknown : Outcome::failed, error.what(),
         error.connection_lost() ? "What was under way is either wholly done or not at all: run the same command again "
                                   "to find out and go on."
                                 : error.hint());
    result.sqlstate = error.sqlstate();
  } catch (const Error& error) {
    fail(error.outcome(), error.what(), error.hint());
  } catch (const std::exception& error) {
    fail(Outcome::failed, fmt::format("internal error: {}", error.what()),
         "This should not happen; running the command again is safe.");
  }
}

}  // namespace

int run_command_line(int argc, char** argv) {
  std::setlocale(LC_CTYPE, "");
  CLI::App app("Zero-downtime PostgreSQL schema migrations with the expand-contract pattern.", "ecmigrate");
  app.require_subcommand(1);
  app.fallthrough();
  app.set_version_flag("-V,--version", "ecmigrate " ECMIGRATE_VERSION);
  app.footer(
      "Example:\n  ecmigrate run plans/split-full-name.yaml -d postgres://app@db/shop\n  ecmigrate contract "
      "plans/split-full-name.yaml\n\n" +
      exit_code_table());
  CommonFlags flags;
  add_common_flags(app, flags);
  ChosenCommand chosen;
  add_phase_commands(app, chosen);
  add_run_command(app, chosen);
  add_plan_command(app, chosen);
  add_steering_commands(app, chosen);
  add_status_command(app, chosen);
  add_serve_command(app, chosen);
  add_new_command(app, chosen);
  add_schema_command(app, chosen);
  add_compare_command(app, chosen);
  add_demo_command(app, chosen);
  add_version_command(app, chosen);
  try {
    app.parse(argc, argv);
  } catch (const CLI::CallForHelp& help) {
    return app.exit(help);
  } catch (const CLI::CallForVersion& version) {
    return app.exit(version);
  } catch (const CLI::ParseError& error) {
    return report_wrong_usage(app, std::vector<std::string>(argv + 1, argv + argc), error.what());
  }

  Interrupt interrupt;
  const auto observer = with_step_summary(flags.report.json ? make_json_report(stdout)
                                                            : make_terminal_report(flags.report, stdout, stderr));
  event::Result result;
  result.command = app.get_subcommands().front()->get_name();
  Invocation invocation{flags, interrupt, *observer, result};
  const auto begin = system_clock().now();
  run_chosen(chosen, invocation);
  result.duration_ms = static_cast<double>((system_clock().now() - begin).count());
  const bool prints_a_document = result.command == "schema" || result.command == "version";
  if (!prints_a_document || result.exit_code != 0) {
    observer->on(result);
  }
  return result.exit_code;
}

}  // namespace ecmigrate
