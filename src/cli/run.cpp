#include <array>

#include "command.hpp"

namespace ecmigrate {

namespace {

void run_phases(Migration& migration, const std::string& last) {
  const std::array<std::pair<std::string_view, void (Migration::*)()>, 4> k_phases{
      {{"expand", last == "expand" ? &Migration::expand : &Migration::expand_to_fill},
       {"backfill", &Migration::backfill_if_needed},
       {"verify", &Migration::verify},
       {"contract", &Migration::contract}}};
  for (const auto& [name, phase] : k_phases) {
    (migration.*phase)();
    if (last == name || migration.state() == State::contracted) {
      break;
    }
  }
}

void add_to(CLI::App& command, ChosenCommand& chosen) {
  const auto flags = std::make_shared<RunFlags>();
  add_phase(command, chosen, flags, [flags](Migration& migration) { run_phases(migration, flags->through); });
  command.add_option("--through", flags->through, "The last phase to run; default verify")
      ->check(CLI::IsMember({"expand", "backfill", "verify", "contract"}))
      ->type_name("PHASE");
  add_trial_flags(command, *flags);
  add_pace_flags(command, *flags);
  add_index_wait_flag(command, *flags);
  add_quiet_for_flag(command, *flags);
  add_accept_drop_flag(command, *flags);
}

const RegisterCommand k_run({.place = 60,
                             .name = "run",
                             .description = "expand, backfill, verify; --through contract goes on",
                             .examples = {"ecmigrate run plan.yaml -d postgres://app@db/shop",
                                          "ecmigrate run plan.yaml --through contract --confirm split-full-name"},
                             .outcomes = run_outcomes(),
                             .add_to = add_to});

}  // namespace

}  // namespace ecmigrate
