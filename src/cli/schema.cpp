#include "command.hpp"
#include "ecmigrate/planfile/planfile.hpp"
#include "output.hpp"

namespace ecmigrate {

namespace {

void add_to(CLI::App& command, ChosenCommand& chosen) {
  command.callback([&chosen] {
    chosen = [](Invocation& invocation) {
      if (invocation.flags.report.json) {
        invocation.observer.on(event::Document{"schema", "{\"schema\":" + plan_json_schema() + "}"});
        return;
      }
      print_whole(plan_json_schema());
      invocation.printed_document = true;
    };
  });
}

const RegisterCommand k_schema({.place = 140,
                                .name = "schema",
                                .description = "Print the JSON Schema of plan files, for editors",
                                .examples = {"ecmigrate schema > ecmigrate.schema.json"},
                                .outcomes = {},
                                .add_to = add_to});

}  // namespace

}  // namespace ecmigrate
