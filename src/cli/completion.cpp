#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "command_shape.hpp"
#include "ecmigrate/base/text.hpp"
#include "output.hpp"

namespace ecmigrate {

namespace {

/// What stands where a word is expected.
enum class Expected { nothing, choices, plan, file, folder, command };

Expected expected_of(const std::string& value, const std::vector<std::string>& choices) {
  if (!choices.empty()) {
    return Expected::choices;
  }
  return value == "PLAN"      ? Expected::plan
         : value == "FILE"    ? Expected::file
         : value == "DIR"     ? Expected::folder
         : value == "COMMAND" ? Expected::command
                              : Expected::nothing;
}

std::vector<std::string> command_names(const ProgramShape& program) {
  std::vector<std::string> names;
  for (const CommandShape& command : program.commands) {
    names.emplace_back(command.entry->name);
  }
  return names;
}

std::string replaced(std::string text, std::string_view from, std::string_view to) {
  for (std::size_t at = text.find(from); at != std::string::npos; at = text.find(from, at + to.size())) {
    text.replace(at, from.size(), to);
  }
  return text;
}

// ── bash

/// A call of the script's functions that offers what is expected.
std::string bash_offer(const std::string& value, const std::vector<std::string>& choices,
                       const std::vector<std::string>& command_list) {
  switch (expected_of(value, choices)) {
    case Expected::choices:
      return "_ecmigrate_words " + shell_quote(join(choices, " "));
    case Expected::plan:
      return "_ecmigrate_files yaml yml";
    case Expected::file:
      return "_ecmigrate_files";
    case Expected::folder:
      return "_ecmigrate_files /";
    case Expected::command:
      return "_ecmigrate_words " + shell_quote(join(command_list, " "));
    case Expected::nothing:
      break;
  }
  return ":";
}

/// Lines of a `case` over flags that take a value.
std::string bash_values(const std::vector<FlagShape>& flags, const std::vector<std::string>& command_list,
                        const std::string& prefix) {
  std::string text;
  for (const FlagShape& flag : flags) {
    if (flag.value.empty()) {
      continue;
    }
    std::vector<std::string> patterns;
    for (const std::string& name : flag.names) {
      patterns.push_back(prefix + name);
    }
    text += fmt::format("    {}) {}; return ;;\n", join(patterns, " | "),
                        bash_offer(flag.value, flag.choices, command_list));
  }
  return text;
}

std::string bash_flags(const std::vector<FlagShape>& flags, bool with_value_only) {
  std::vector<std::string> words;
  for (const FlagShape& flag : flags) {
    if (!with_value_only || (!flag.value.empty() && !flag.value_optional)) {
      words.insert(words.end(), flag.names.begin(), flag.names.end());
    }
  }
  return join(words, " ");
}

std::string bash_script(const ProgramShape& program) {
  const std::vector<std::string> names = command_names(program);
  std::string values;
  std::string cases;
  for (const CommandShape& command : program.commands) {
    values += bash_values(command.flags, names, fmt::format("{}' '", command.entry->name));
    cases +=
        fmt::format("    {})\n      own={}\n      valued+={}\n      ;;\n", command.entry->name,
                    shell_quote(bash_flags(command.flags, false)), shell_quote(" " + bash_flags(command.flags, true)));
  }
  std::string places;
  for (const CommandShape& command : program.commands) {
    for (std::size_t i = 0; i < command.arguments.size(); ++i) {
      const ArgumentShape& argument = command.arguments[i];
      places += fmt::format("    {}' '{}) {} ;;\n", command.entry->name, argument.repeated ? "*" : std::to_string(i),
                            bash_offer(argument.value, argument.choices, names));
    }
  }
  return fmt::format(
      R"SCRIPT(# bash completion for ecmigrate {version}, made by `ecmigrate completion bash`.

_ecmigrate_words() {{
  mapfile -t COMPREPLY < <(compgen -W "$1" -- "$cur")
}}

# Files whose names end so, and folders; "/": folders alone.
_ecmigrate_files() {{
  local ending
  compopt -o filenames -o default 2>/dev/null
  mapfile -t COMPREPLY < <(
    compgen -d -- "$cur"
    [ $# -gt 0 ] || compgen -f -- "$cur"
    for ending; do
      [ "$ending" = / ] || compgen -f -X "!*.$ending" -- "$cur"
    done
  )
}}

_ecmigrate() {{
  local cur=${{COMP_WORDS[COMP_CWORD]}} prev=${{COMP_WORDS[COMP_CWORD - 1]}}
  local common={common} valued={valued}
  local own= command= word place=0 i
  COMPREPLY=()
  # --flag=value comes as three words.
  if [ "$prev" = = ]; then
    prev=${{COMP_WORDS[COMP_CWORD - 2]}}
  elif [ "$cur" = = ]; then
    cur=
  fi
  for ((i = 1; i < COMP_CWORD; i++)); do
    word=${{COMP_WORDS[i]}}
    case $word in
      =) i=$((i + 1)); continue ;;
      -*)
        if [[ " $valued " == *" $word "* && ${{COMP_WORDS[i + 1]}} != = ]]; then
          i=$((i + 1))
        fi
        continue
        ;;
    esac
    if [ -n "$command" ]; then
      place=$((place + 1))
      continue
    fi
    command=$word
    case $command in
{cases}    esac
  done
  case $prev in
{common_values}  esac
  case "$command $prev" in
{values}  esac
  if [[ $cur == -* ]]; then
    _ecmigrate_words "$own $common"
  elif [ -z "$command" ]; then
    _ecmigrate_words {names}
  else
    case "$command $place" in
{places}    esac
  fi
}}

complete -F _ecmigrate ecmigrate
)SCRIPT",
      fmt::arg("version", ECMIGRATE_VERSION),
      fmt::arg("common",
               shell_quote(bash_flags(program.flags, false) + " " + bash_flags(program.program_flags, false))),
      fmt::arg("valued", shell_quote(bash_flags(program.flags, true))), fmt::arg("cases", cases),
      fmt::arg("common_values", bash_values(program.flags, names, "")), fmt::arg("values", values),
      fmt::arg("names", shell_quote(join(names, " "))), fmt::arg("places", places));
}

// ── zsh

/// Text inside [..] or :..: of _arguments, inside single quotes.
std::string zsh_text(std::string text) {
  for (const char* special : {"\\", "[", "]", ":"}) {
    text = replaced(text, special, std::string("\\") + special);
  }
  return replaced(text, "'", R"('\'')");
}

std::string zsh_offer(const std::string& value, const std::vector<std::string>& choices) {
  switch (expected_of(value, choices)) {
    case Expected::choices:
      return "(" + join(choices, " ") + ")";
    case Expected::plan:
      return "_files -g '\\''*.(yaml|yml)(-.)'\\''";
    case Expected::file:
      return "_files";
    case Expected::folder:
      return "_files -/";
    case Expected::command:
      return "_ecmigrate_commands";
    case Expected::nothing:
      break;
  }
  return " ";
}

std::string zsh_flags(const std::vector<FlagShape>& flags) {
  std::string text;
  for (const FlagShape& flag : flags) {
    const std::string names = join(flag.names, " ");
    const std::string value = flag.value.empty()
                                  ? ""
                                  : fmt::format("{}{}:{}", flag.value_optional ? "::" : ":", zsh_text(flag.value),
                                                zsh_offer(flag.value, flag.choices));
    for (const std::string& name : flag.names) {
      const char* joint = flag.value.empty() ? "" : !name.starts_with("--") ? "+" : flag.value_optional ? "=-" : "=";
      text += fmt::format("    '({}){}{}[{}]{}'\n", names, name, joint, zsh_text(flag.description), value);
    }
  }
  return text;
}

std::string zsh_script(const ProgramShape& program) {
  std::string commands;
  std::string cases;
  for (const CommandShape& command : program.commands) {
    commands += fmt::format("    '{}:{}'\n", command.entry->name, zsh_text(std::string(command.entry->description)));
    std::string arguments;
    for (std::size_t i = 0; i < command.arguments.size(); ++i) {
      const ArgumentShape& argument = command.arguments[i];
      arguments += fmt::format("    '{}{}:{}:{}'\n", argument.repeated ? "*" : std::to_string(i + 1),
                               argument.required || argument.repeated ? "" : ":", zsh_text(argument.value),
                               zsh_offer(argument.value, argument.choices));
    }
    cases += fmt::format("        {})\n          own=(\n{}{}          )\n          ;;\n", command.entry->name,
                         zsh_flags(command.flags), arguments);
  }
  return fmt::format(
      R"SCRIPT(#compdef ecmigrate
# zsh completion for ecmigrate {version}, made by `ecmigrate completion zsh`.

_ecmigrate_commands() {{
  local -a names
  names=(
{commands}  )
  _describe -t commands command names
}}

_ecmigrate() {{
  local curcontext=$curcontext state line
  local -a common alone own
  typeset -A opt_args
  common=(
{common}  )
  alone=(
{alone}  )
  _arguments -C -s $common $alone '1: :->command' '*:: :->arguments' && return
  case $state in
    command) _ecmigrate_commands ;;
    arguments)
      curcontext=${{curcontext%:*:*}}:ecmigrate-$words[1]:
      case $words[1] in
{cases}      esac
      _arguments -s $common $own
      ;;
  esac
}}

if [ "$funcstack[1]" = _ecmigrate ]; then
  _ecmigrate "$@"
else
  compdef _ecmigrate ecmigrate
fi
)SCRIPT",
      fmt::arg("version", ECMIGRATE_VERSION), fmt::arg("commands", commands),
      fmt::arg("common", zsh_flags(program.flags)), fmt::arg("alone", zsh_flags(program.program_flags)),
      fmt::arg("cases", cases));
}

// ── fish

std::string fish_quote(const std::string& text) {
  return "'" + replaced(replaced(text, "\\", "\\\\"), "'", "\\'") + "'";
}

std::string fish_offer(const std::string& value, const std::vector<std::string>& choices) {
  switch (expected_of(value, choices)) {
    case Expected::choices:
      return " -a " + fish_quote(join(choices, " "));
    case Expected::plan:
      return " -a '(__ecmigrate_plans)'";
    case Expected::file:
      return " -F";
    case Expected::folder:
      return " -a '(__fish_complete_directories (commandline -ct))'";
    case Expected::command:
      return " -a '(__ecmigrate_commands)'";
    case Expected::nothing:
      break;
  }
  return "";
}

std::string fish_flags(const std::vector<FlagShape>& flags, const std::string& condition) {
  std::string text;
  for (const FlagShape& flag : flags) {
    text += "complete -c ecmigrate" + condition;
    for (const std::string& name : flag.names) {
      text += name.starts_with("--") ? " -l " + name.substr(2) : " -s " + name.substr(1);
    }
    if (!flag.value.empty()) {
      const bool file = expected_of(flag.value, flag.choices) == Expected::file;
      text += flag.value_optional ? "" : file ? " -r" : " -x";
      text += fish_offer(flag.value, flag.choices);
    }
    text += " -d " + fish_quote(flag.description) + "\n";
  }
  return text;
}

std::string fish_script(const ProgramShape& program) {
  std::vector<std::string> valued;
  for (const FlagShape& flag : program.flags) {
    if (!flag.value.empty()) {
      valued.insert(valued.end(), flag.names.begin(), flag.names.end());
    }
  }
  std::string names;
  std::string of_commands;
  for (const CommandShape& command : program.commands) {
    names += fmt::format("    printf '%s\\t%s\\n' {} {}\n", command.entry->name,
                         fish_quote(std::string(command.entry->description)));
    const std::string condition = fmt::format(" -n '__ecmigrate_is {}'", command.entry->name);
    of_commands += fish_flags(command.flags, condition);
    for (const ArgumentShape& argument : command.arguments) {
      if (const std::string offer = fish_offer(argument.value, argument.choices); !offer.empty()) {
        of_commands += "complete -c ecmigrate" + condition + offer + "\n";
      }
    }
  }
  return fmt::format(
      R"SCRIPT(# fish completion for ecmigrate {version}, made by `ecmigrate completion fish`.

function __ecmigrate_commands
{names}end

# The command on the line; fails where there is none yet.
function __ecmigrate_command
    set -l words (commandline -opc)
    set -l value no
    for word in $words[2..-1]
        if test $value = yes
            set value no
            continue
        end
        switch $word
            case {valued}
                set value yes
            case '-*'
            case '*'
                echo $word
                return 0
        end
    end
    return 1
end

function __ecmigrate_is
    contains -- "$(__ecmigrate_command)" $argv
end

# Plan files, and the folders on the way to them.
function __ecmigrate_plans
    __fish_complete_path (commandline -ct) | string match -r '^[^\t]*(?:/|\.ya?ml)(?:\t.*)?$'
end

complete -c ecmigrate -f
complete -c ecmigrate -n 'not __ecmigrate_command >/dev/null' -a '(__ecmigrate_commands)'
{common}{alone}{of_commands})SCRIPT",
      fmt::arg("version", ECMIGRATE_VERSION), fmt::arg("names", names), fmt::arg("valued", join(valued, " ")),
      fmt::arg("common", fish_flags(program.flags, "")),
      fmt::arg("alone", fish_flags(program.program_flags, " -n 'not __ecmigrate_command >/dev/null'")),
      fmt::arg("of_commands", of_commands));
}

void add_to(CLI::App& command, ChosenCommand& chosen) {
  const auto shell = std::make_shared<std::string>();
  command.add_option("shell", *shell, "The shell that is to read it")
      ->required()
      ->check(CLI::IsMember({"bash", "zsh", "fish"}))
      ->type_name("SHELL");
  command.callback([&chosen, &app = *command.get_parent(), shell] {
    chosen = [&app, shell](Invocation& invocation) {
      const ProgramShape program = shape_of(app);
      const std::string script = *shell == "bash"  ? bash_script(program)
                                 : *shell == "zsh" ? zsh_script(program)
                                                   : fish_script(program);
      if (invocation.flags.report.json) {
        invocation.observer.on(event::Document{"completion", nlohmann::ordered_json{{"script", script}}.dump()});
        return;
      }
      print_whole(script);
      invocation.printed_document = true;
    };
  });
}

const RegisterCommand k_completion({.place = 145,
                                    .name = "completion",
                                    .description = "Print what has a shell complete the command line",
                                    .examples = {"source <(ecmigrate completion bash)",
                                                 "ecmigrate completion fish | source"},
                                    .outcomes = {},
                                    .add_to = add_to});

}  // namespace

}  // namespace ecmigrate
