#include <fmt/format.h>

#include <cerrno>
#include <cstring>

#include "command.hpp"
#include "ecmigrate/base/error.hpp"
#include "ecmigrate/base/text.hpp"
#include "ecmigrate/planfile/planfile.hpp"

namespace ecmigrate {

namespace {

void write_starter(std::string name, Invocation& invocation) {
  constexpr std::string_view k_ending = ".yaml";
  if (name.ends_with(k_ending)) {
    name.resize(name.size() - k_ending.size());
  }
  const std::string path = name + std::string(k_ending);
  if (name.empty() || name.find('/') != std::string::npos) {
    throw Error(Outcome::usage, fmt::format("\"{}\" cannot be a file name", name),
                "Give a plain name, such as split-full-name.");
  }
  // "x": fails where the file exists, so that nobody's plan is lost.
  std::FILE* file = std::fopen(path.c_str(), "wx");
  if (file == nullptr) {
    throw Error(Outcome::usage, fmt::format("{} cannot be made: {}", path, std::strerror(errno)));
  }
  const std::string text = starter_plan(name);
  const bool written = std::fwrite(text.data(), 1, text.size(), file) == text.size();
  if (std::fclose(file) != 0 || !written) {
    throw Error(Outcome::failed, fmt::format("{} could not be written whole", path));
  }
  invocation.result.message = "wrote " + path;
  invocation.result.next = "ecmigrate plan " + shell_quote(path);
}

void add_to(CLI::App& command, ChosenCommand& chosen) {
  const auto name = std::make_shared<std::string>();
  command.add_option("name", *name, "Name of the migration")->required()->type_name("NAME");
  command.callback([&chosen, name] { chosen = [name](Invocation& invocation) { write_starter(*name, invocation); }; });
}

const RegisterCommand k_new({.place = 130,
                             .name = "new",
                             .description = "Write a starter plan NAME.yaml",
                             .examples = {"ecmigrate new split-full-name"},
                             .outcomes = {Outcome::failed},
                             .add_to = add_to});

}  // namespace

}  // namespace ecmigrate
