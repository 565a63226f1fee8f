#include "command.hpp"

namespace ecmigrate {

namespace {

void add_to(CLI::App& command, ChosenCommand& chosen) {
  const auto flags = std::make_shared<RunFlags>();
  add_phase(command, chosen, flags, [](Migration& migration) { migration.contract(); });
  add_index_wait_flag(command, *flags);
  add_quiet_for_flag(command, *flags);
  add_accept_drop_flag(command, *flags);
}

const RegisterCommand k_contract(
    {.place = 40,
     .name = "contract",
     .description = "Remove the old shape, in one brief lock a table; needs a clean verify",
     .examples = {"ecmigrate contract plan.yaml",
                  "ecmigrate contract plan.yaml --confirm split-full-name --quiet-for 10m"},
     .outcomes = run_outcomes(),
     .add_to = add_to});

}  // namespace

}  // namespace ecmigrate
