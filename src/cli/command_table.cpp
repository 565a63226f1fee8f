#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <sstream>

#include "command.hpp"
#include "ecmigrate/base/text.hpp"

namespace ecmigrate {

namespace {

std::vector<CommandEntry>& table() {
  static std::vector<CommandEntry> entries;
  return entries;
}

std::string exit_status(const OutcomeRow& row) {
  return fmt::format("  {:>3}  {}{}\n", row.exit_code, row.meaning, row.retryable ? " (run again)" : "");
}

std::string exit_status_of_all() {
  std::string text = "Exit status:\n";
  for (const OutcomeRow& row : k_outcomes) {
    text += exit_status(row);
  }
  return text;
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

/// Help that fits the terminal, or 80 columns.
class HelpFormatter final : public CLI::Formatter {
 public:
  HelpFormatter() { column_width(k_names); }

  std::string make_option_desc(const CLI::Option* option) const override {
    return wrapped(CLI::Formatter::make_option_desc(option));
  }
  std::string make_subcommand(const CLI::App* command) const override {
    std::stringstream out;
    CLI::detail::format_help(out, command->get_name(), wrapped(command->get_description()), k_names);
    return out.str();
  }

 private:
  static constexpr std::size_t k_names = 28;

  static std::string wrapped(const std::string& text) {
    std::string lines;
    std::size_t length = 0;
    std::istringstream words(text);
    for (std::string word; words >> word;) {
      if (length > 0 && length + 1 + word.size() > help_width() - k_names) {
        lines += '\n';
        length = 0;
      }
      lines += (length > 0 ? " " : "") + word;
      length += (length > 0 ? 1 : 0) + word.size();
    }
    return lines;
  }

  static std::size_t help_width() {
    constexpr std::size_t k_usual = 80;
    winsize size{};
    const bool told = ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0;
    return told ? std::clamp<std::size_t>(size.ws_col, 60, 120) : k_usual;
  }
};

/// What stands below a command's own flags: those that every command has, examples, and how it may end.
std::string footer(const CommandEntry& entry, const std::string& common_flags) {
  std::string text = common_flags + "\n";
  text += entry.examples.size() == 1 ? "Example:\n" : "Examples:\n";
  for (const std::string_view line : entry.examples) {
    text += fmt::format("  {}\n", line);
  }
  text += "\nExit status:\n";
  for (const OutcomeRow& row : k_outcomes) {
    const bool of_all = row.outcome == Outcome::done || row.outcome == Outcome::usage;
    if (of_all || std::ranges::find(entry.outcomes, row.outcome) != entry.outcomes.end()) {
      text += exit_status(row);
    }
  }
  return text;
}

/// The same list as in the program's own help.
std::string flags_in_words(const CLI::App& app) {
  std::vector<const CLI::Option*> options = app.get_options([](const CLI::Option* option) {
    return option->nonpositional() && !option->check_name("--help") && !option->check_name("--version");
  });
  return trim(HelpFormatter().make_group("Of every command", false, options)) + "\n";
}

}  // namespace

RegisterCommand::RegisterCommand(CommandEntry entry) {
  const auto place =
      std::ranges::find_if(table(), [&](const CommandEntry& other) { return other.place > entry.place; });
  table().insert(place, std::move(entry));
}

const std::vector<CommandEntry>& commands() {
  return table();
}

std::vector<Outcome> run_outcomes() {
  return {Outcome::failed,
          Outcome::plan_invalid,
          Outcome::cannot_connect,
          Outcome::lock_not_obtained,
          Outcome::busy,
          Outcome::refused,
          Outcome::work_remains,
          Outcome::differences_found,
          Outcome::outcome_unknown,
          Outcome::interrupted,
          Outcome::terminated};
}

std::unique_ptr<CLI::App> make_command_line(CommonFlags& flags, ChosenCommand& chosen) {
  auto app = std::make_unique<CLI::App>("Zero-downtime PostgreSQL schema migrations with the expand-contract pattern.",
                                        "ecmigrate");
  app->formatter(std::make_shared<HelpFormatter>());
  app->require_subcommand(1);
  app->fallthrough();
  app->set_version_flag("-V,--version", "ecmigrate " ECMIGRATE_VERSION);
  app->footer(
      "Examples:\n"
      "  ecmigrate new split-full-name\n"
      "  ecmigrate run split-full-name.yaml -d postgres://app@db/shop\n"
      "  ecmigrate contract split-full-name.yaml -d postgres://app@db/shop\n\n"
      "`ecmigrate help COMMAND` says more about one.\n\n" +
      exit_status_of_all());
  add_common_flags(*app, flags);
  const std::string common_flags = flags_in_words(*app);
  for (const CommandEntry& entry : commands()) {
    CLI::App* command = app->add_subcommand(std::string(entry.name), std::string(entry.description));
    command->footer(footer(entry, common_flags));
    entry.add_to(*command, chosen);
  }
  return app;
}

}  // namespace ecmigrate
