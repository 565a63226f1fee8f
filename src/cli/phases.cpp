#include <fmt/format.h>

#include <array>

#include "command.hpp"
#include "ecmigrate/base/error.hpp"

namespace ecmigrate {

namespace {

/// A subcommand for a phase; `work` runs it.
template <typename Work>
CLI::App* add_phase(CLI::App& app, ChosenCommand& chosen, const std::string& name, const std::string& description,
                    const std::shared_ptr<RunFlags>& flags, Work work) {
  CLI::App* command = app.add_subcommand(name, description);
  add_plan_argument(*command, *flags);
  add_lock_flags(*command, *flags);
  add_confirm_flag(*command, *flags);
  command->callback([&chosen, flags, work] {
    chosen = [flags, work](Invocation& invocation) {
      with_migration(invocation, *flags, [&](Migration& migration, const Plan&) { work(migration); });
    };
  });
  return command;
}

}  // namespace

void add_phase_commands(CLI::App& app, ChosenCommand& chosen) {
  auto flags = std::make_shared<RunFlags>();
  CLI::App* expand = add_phase(app, chosen, "expand", "Add the new shape beside the old one, in brief locks", flags,
                               [](Migration& migration) { migration.expand(); });
  expand
      ->add_option("--index-wait", flags->index_wait,
                   "How long a concurrent index may wait for transactions; default: as long as it takes")
      ->type_name("TIME");
  expand
      ->add_option("--check-rows", flags->check_rows, "Try up and down on so many rows first, or `all`; default 10000")
      ->type_name("N");
  expand->add_flag("--strict", flags->strict, "Refuse where there would be a warning");

  flags = std::make_shared<RunFlags>();
  CLI::App* backfill = add_phase(app, chosen, "backfill", "Fill the rows that exist; goes on where it was stopped",
                                 flags, [](Migration& migration) { migration.backfill(); });
  add_pace_flags(*backfill, *flags);
  backfill
      ->add_option("--index-wait", flags->index_wait,
                   "How long a concurrent index may wait for transactions; default: as long as it takes")
      ->type_name("TIME");

  flags = std::make_shared<RunFlags>();
  CLI::App* verify = add_phase(app, chosen, "verify", "Compare old and new values of every row; validate constraints",
                               flags, [](Migration& migration) { migration.verify(); });
  verify
      ->add_option("--repair", flags->repair,
                   "Fill pending rows; `old` or `new`: also take that side where both are filled and differ")
      ->expected(0, 1)
      ->default_str("pending")
      ->check(CLI::IsMember({"pending", "old", "new"}))
      ->type_name("SIDE");

  flags = std::make_shared<RunFlags>();
  CLI::App* contract =
      add_phase(app, chosen, "contract", "Remove the old shape, in one brief lock a table; needs a clean verify", flags,
                [](Migration& migration) { migration.contract(); });
  contract
      ->add_option("--accept-drop", flags->accept_drop,
                   "An index, constraint or statistics object that may go with a dropped column")
      ->type_name("NAME");

  flags = std::make_shared<RunFlags>();
  add_phase(app, chosen, "rollback", "Back to the start, at any time before contract", flags,
            [](Migration& migration) { migration.rollback(); });
}

void add_run_command(CLI::App& app, ChosenCommand& chosen) {
  auto flags = std::make_shared<RunFlags>();
  CLI::App* command = app.add_subcommand("run", "expand, backfill, verify; --through contract goes on");
  add_plan_argument(*command, *flags);
  add_lock_flags(*command, *flags);
  command->add_option("--through", flags->through, "The last phase to run; default verify")
      ->check(CLI::IsMember({"expand", "backfill", "verify", "contract"}))
      ->type_name("PHASE");
  command
      ->add_option("--check-rows", flags->check_rows, "Try up and down on so many rows first, or `all`; default 10000")
      ->type_name("N");
  add_pace_flags(*command, *flags);
  command
      ->add_option("--index-wait", flags->index_wait,
                   "How long a concurrent index may wait for transactions; default: as long as it takes")
      ->type_name("TIME");
  add_confirm_flag(*command, *flags);
  command
      ->add_option("--accept-drop", flags->accept_drop,
                   "An index, constraint or statistics object that may go with a dropped column")
      ->type_name("NAME");
  command->add_flag("--strict", flags->strict, "Refuse where there would be a warning");
  command->callback([&chosen, flags] {
    chosen = [flags](Invocation& invocation) {
      with_migration(invocation, *flags, [&](Migration& migration, const Plan&) {
        constexpr std::array<std::pair<const char*, void (Migration::*)()>, 4> k_phases{
            {{"expand", &Migration::expand},
             {"backfill", &Migration::backfill_if_needed},
             {"verify", &Migration::verify},
             {"contract", &Migration::contract}}};
        for (const auto& [name, phase] : k_phases) {
          (migration.*phase)();
          if (flags->through == name) {
            break;
          }
        }
      });
    };
  });
}

}  // namespace ecmigrate
