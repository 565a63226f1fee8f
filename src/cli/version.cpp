#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "command.hpp"
#include "ecmigrate/pg/connection.hpp"
#include "output.hpp"

namespace ecmigrate {

namespace {

void print_version(Invocation& invocation) {
  if (invocation.flags.report.json) {
    const nlohmann::ordered_json members{{"version", ECMIGRATE_VERSION}, {"libpq", pg::library_version()}};
    invocation.observer.on(event::Document{"version", members.dump()});
    return;
  }
  print_whole(fmt::format("ecmigrate {} (libpq {})\n", ECMIGRATE_VERSION, pg::library_version()));
  invocation.printed_document = true;
}

void add_to(CLI::App& command, ChosenCommand& chosen) {
  command.callback([&chosen] { chosen = print_version; });
}

const RegisterCommand k_version({.place = 160,
                                 .name = "version",
                                 .description = "Print the version",
                                 .examples = {"ecmigrate version"},
                                 .outcomes = {},
                                 .add_to = add_to});

}  // namespace

}  // namespace ecmigrate
