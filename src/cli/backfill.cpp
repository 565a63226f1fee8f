#include "command.hpp"

namespace ecmigrate {

namespace {

void add_to(CLI::App& command, ChosenCommand& chosen) {
  const auto flags = std::make_shared<RunFlags>();
  add_phase(command, chosen, flags, [](Migration& migration) { migration.backfill(); });
  add_pace_flags(command, *flags);
  add_index_wait_flag(command, *flags);
}

const RegisterCommand k_backfill({.place = 20,
                                  .name = "backfill",
                                  .description = "Fill the rows that exist; goes on where it was stopped",
                                  .examples = {"ecmigrate backfill plan.yaml --workers 2 --max-replica-lag 1s",
                                               "ecmigrate backfill plan.yaml --windows '22:00-06:00 Europe/Berlin'"},
                                  .outcomes = run_outcomes(),
                                  .add_to = add_to});

}  // namespace

}  // namespace ecmigrate
