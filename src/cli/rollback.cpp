#include "command.hpp"

namespace ecmigrate {

namespace {

void add_to(CLI::App& command, ChosenCommand& chosen) {
  const auto flags = std::make_shared<RunFlags>();
  add_phase(command, chosen, flags, [](Migration& migration) { migration.rollback(); });
}

const RegisterCommand k_rollback({.place = 50,
                                  .name = "rollback",
                                  .description = "Back to the start, at any time before contract",
                                  .examples = {"ecmigrate rollback plan.yaml"},
                                  .outcomes = run_outcomes(),
                                  .add_to = add_to});

}  // namespace

}  // namespace ecmigrate
