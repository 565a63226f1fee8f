// ecmigrate-manual FOLDER: writes the manual pages, ecmigrate(1) and one a command, from the tables that help is made
// from. It runs in the build and is not installed.
#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <filesystem>
#include <fstream>

#include "command_shape.hpp"

namespace ecmigrate {

namespace {

/// Text for roff. What stands between backquotes is bold.
std::string roff(std::string_view text) {
  std::string out;
  bool bold = false;
  for (const char c : text) {
    switch (c) {
      case '\\':
        out += "\\e";
        break;
      case '-':
        out += "\\-";
        break;
      case '\'':
        out += "\\(aq";
        break;
      case '`':
        out += bold ? "\\fR" : "\\fB";
        bold = !bold;
        break;
      default:
        out += c;
    }
  }
  return out.starts_with('.') ? "\\&" + out : out;
}

std::string with_stop(std::string_view text) {
  return std::string(text) + (text.ends_with('.') ? "" : ".");
}

/// As it stands after the name of a page: "add the new shape", but "WAL written".
std::string begun_small(std::string_view text) {
  std::string small(text);
  if (small.size() > 1 && std::islower(static_cast<unsigned char>(small[1])) != 0) {
    small[0] = static_cast<char>(std::tolower(static_cast<unsigned char>(small[0])));
  }
  return small;
}

std::string page_name(std::string_view command) {
  return fmt::format("ecmigrate-{}", command);
}

std::string header(const std::string& name, std::string_view description) {
  std::string title = name;
  std::ranges::transform(title, title.begin(), [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
  return fmt::format(
      ".\\\" Made by src/cli/manual_main.cpp.\n"
      ".TH \"{}\" 1 \"\" \"ecmigrate {}\" \"ecmigrate\"\n.SH NAME\n{} \\- {}\n",
      roff(title), roff(ECMIGRATE_VERSION), roff(name), roff(begun_small(description)));
}

std::string value_words(const std::string& value, const std::vector<std::string>& choices) {
  std::string text;
  for (const std::string& choice : choices) {
    text += fmt::format("{}\\fB{}\\fR", text.empty() ? "" : "|", roff(choice));
  }
  return choices.empty() ? fmt::format("\\fI{}\\fR", roff(value)) : text;
}

std::string flags_section(const std::string& title, const std::vector<FlagShape>& flags) {
  if (flags.empty()) {
    return {};
  }
  std::string text = fmt::format(".SH {}\n", title);
  for (const FlagShape& flag : flags) {
    std::string names;
    for (const std::string& name : flag.names) {
      names += fmt::format("{}\\fB{}\\fR", names.empty() ? "" : ", ", roff(name));
    }
    if (!flag.value.empty()) {
      const std::string value = value_words(flag.value, flag.choices);
      names += flag.value_optional ? fmt::format(" [{}]", value) : " " + value;
    }
    text += fmt::format(".TP\n{}\n{}\n", names, roff(with_stop(flag.description)));
  }
  return text;
}

std::string argument_words(const ArgumentShape& argument) {
  const std::string text = value_words(argument.value, argument.choices) + (argument.repeated ? " \\fR...\\fR" : "");
  return argument.required ? text : "[" + text + "]";
}

std::string exit_status_section(const std::vector<Outcome>* outcomes) {
  std::string text = ".SH \"EXIT STATUS\"\n";
  for (const OutcomeRow& row : k_outcomes) {
    const bool of_all = outcomes == nullptr || row.outcome == Outcome::done || row.outcome == Outcome::usage;
    if (of_all || std::ranges::find(*outcomes, row.outcome) != outcomes->end()) {
      text += fmt::format(".TP\n.B {}\n{}\n", row.exit_code,
                          roff(with_stop(fmt::format("{}{}", row.meaning, row.retryable ? " (run again)" : ""))));
    }
  }
  return text;
}

template <typename Lines>
std::string examples_section(const Lines& examples) {
  std::string text = ".SH EXAMPLES\n.nf\n";
  for (const std::string_view example : examples) {
    text += roff(example) + "\n";
  }
  return text + ".fi\n";
}

std::string command_page(const ProgramShape& program, const CommandShape& command) {
  const CommandEntry& entry = *command.entry;
  std::string text = header(page_name(entry.name), entry.description);
  text += fmt::format(".SH SYNOPSIS\n\\fBecmigrate {}\\fR [\\fIOPTIONS\\fR]", entry.name);
  for (const ArgumentShape& argument : command.arguments) {
    text += " " + argument_words(argument);
  }
  text += fmt::format("\n.SH DESCRIPTION\n{}\n", roff(with_stop(entry.description)));
  if (!command.arguments.empty()) {
    text += ".SH ARGUMENTS\n";
    for (const ArgumentShape& argument : command.arguments) {
      text += fmt::format(".TP\n{}\n{}\n", argument_words(argument), roff(with_stop(argument.description)));
    }
  }
  text += flags_section("OPTIONS", command.flags);
  text += flags_section("\"OPTIONS OF EVERY COMMAND\"", program.flags);
  text += exit_status_section(&entry.outcomes);
  text += examples_section(entry.examples);
  return text + ".SH \"SEE ALSO\"\n.BR ecmigrate (1)\n";
}

std::string program_page(const ProgramShape& program) {
  std::string text = header("ecmigrate", program.description.substr(0, program.description.find_last_not_of('.') + 1));
  text += ".SH SYNOPSIS\n\\fBecmigrate\\fR \\fICOMMAND\\fR [\\fIOPTIONS\\fR] [\\fIARGUMENTS\\fR]\n.SH DESCRIPTION\n";
  text += roff(
              "Takes a table of a running PostgreSQL server to a new shape in phases, with the old and the new version "
              "of an application at work side by side: `expand` adds the new columns and a trigger that keeps old and "
              "new equal, `backfill` fills the rows that exist, `verify` compares every row, `contract` removes the "
              "old columns. Until then `rollback` brings back the schema of the start. What is to be done stands in a "
              "plan file, in YAML.") +
          "\n.SH COMMANDS\n";
  for (const CommandShape& command : program.commands) {
    text += fmt::format(".TP\n.BR {} (1)\n{}\n", roff(page_name(command.entry->name)),
                        roff(with_stop(command.entry->description)));
  }
  std::vector<FlagShape> flags = program.flags;
  flags.insert(flags.end(), program.program_flags.begin(), program.program_flags.end());
  text += flags_section("OPTIONS", flags);
  text += exit_status_section(nullptr);
  text += ".SH ENVIRONMENT\n";
  using Row = std::pair<const char*, const char*>;
  for (const auto& [name, meaning] : {Row{"ECMIGRATE_DATABASE_URL", "The database, where `--dbname` is not given."},
                                      Row{"DATABASE_URL", "The same, where that is not set either."},
                                      Row{"PGHOST, PGPORT, PGUSER, PGPASSWORD, PGSERVICE, ...",
                                          "What these leave open, as for every program that uses libpq."},
                                      Row{"ECMIGRATE_DEMO_DIR", "Where `ecmigrate demo` keeps its server."},
                                      Row{"NO_COLOR", "No colours on a terminal."},
                                      Row{"GITHUB_STEP_SUMMARY", "A file that gets a summary of each phase."}}) {
    text += fmt::format(".TP\n.B {}\n{}\n", roff(name), roff(meaning));
  }
  text += examples_section(std::vector<std::string_view>{"ecmigrate new split-full-name",
                                                         "ecmigrate run split-full-name.yaml -d postgres://app@db/shop",
                                                         "ecmigrate contract split-full-name.yaml "
                                                         "-d postgres://app@db/shop"});
  text += ".SH \"SEE ALSO\"\n";
  for (const CommandShape& command : program.commands) {
    text += fmt::format(".BR {} (1),\n", roff(page_name(command.entry->name)));
  }
  return text + ".BR psql (1)\n";
}

void write(const std::filesystem::path& file, const std::string& text) {
  std::ofstream out(file);
  out << text;
  out.close();
  if (!out) {
    throw std::runtime_error(fmt::format("{} cannot be written", file.string()));
  }
}

void write_manual(const std::filesystem::path& folder) {
  CommonFlags flags;
  ChosenCommand chosen;
  const std::unique_ptr<CLI::App> app = make_command_line(flags, chosen);
  const ProgramShape program = shape_of(*app);
  std::filesystem::create_directories(folder);
  write(folder / "ecmigrate.1", program_page(program));
  for (const CommandShape& command : program.commands) {
    write(folder / (page_name(command.entry->name) + ".1"), command_page(program, command));
  }
}

}  // namespace

}  // namespace ecmigrate

int main(int argc, char** argv) {
  if (argc != 2) {
    fmt::print(stderr, "usage: ecmigrate-manual FOLDER\n");
    return 2;
  }
  try {
    ecmigrate::write_manual(argv[1]);
    return 0;
  } catch (const std::exception& error) {
    fmt::print(stderr, "error: {}\n", error.what());
    return 1;
  }
}
