#include "command.hpp"

namespace ecmigrate {

namespace {

void add_to(CLI::App& command, ChosenCommand& chosen) {
  const auto flags = std::make_shared<RunFlags>();
  add_phase(command, chosen, flags, [](Migration& migration) { migration.expand(); });
  add_index_wait_flag(command, *flags);
  add_trial_flags(command, *flags);
}

const RegisterCommand k_expand({.place = 10,
                                .name = "expand",
                                .description = "Add the new shape beside the old one, in brief locks",
                                .examples = {"ecmigrate expand plan.yaml -d postgres://app@db/shop",
                                             "ecmigrate expand plan.yaml --lock-timeout 200ms --lock-budget 30m"},
                                .outcomes = run_outcomes(),
                                .add_to = add_to});

}  // namespace

}  // namespace ecmigrate
