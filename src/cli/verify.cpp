#include "command.hpp"

namespace ecmigrate {

namespace {

void add_to(CLI::App& command, ChosenCommand& chosen) {
  const auto flags = std::make_shared<RunFlags>();
  add_phase(command, chosen, flags, [](Migration& migration) { migration.verify(); });
  command
      .add_option("--repair", flags->repair,
                  "Fill pending rows; `old` or `new`: also take that side where both are filled and differ")
      ->expected(0, 1)
      ->default_str("pending")
      ->check(CLI::IsMember({"pending", "old", "new"}))
      ->type_name("SIDE");
}

const RegisterCommand k_verify({.place = 30,
                                .name = "verify",
                                .description = "Compare old and new values of every row; validate constraints",
                                .examples = {"ecmigrate verify plan.yaml", "ecmigrate verify plan.yaml --repair"},
                                .outcomes = run_outcomes(),
                                .add_to = add_to});

}  // namespace

}  // namespace ecmigrate
