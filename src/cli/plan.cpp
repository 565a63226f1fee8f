#include <fmt/format.h>

#include "command.hpp"
#include "ecmigrate/store/recipe_json.hpp"

namespace ecmigrate {

namespace {

void print_steps(std::string_view phase, const std::vector<Step>& steps) {
  if (steps.empty()) {
    return;
  }
  fmt::print("{}\n", phase);
  int number = 0;
  for (const Step& step : steps) {
    fmt::print("  {}. {}\n", ++number, step.title);
    for (const LockRequest& lock : step.locks) {
      fmt::print("     lock: {} on {}\n", lock_mode_name(lock.mode), lock.relation.display());
    }
    const bool transaction = step.kind == Step::Kind::transaction || step.kind == Step::Kind::validate;
    fmt::print("     cost: {}; {}\n", step.cost, transaction ? "one transaction" : "outside a transaction");
    for (const std::string& statement : step.sql) {
      std::string indented = statement;
      for (std::size_t at = 0; (at = indented.find('\n', at)) != std::string::npos; at += 8) {
        indented.insert(at + 1, "       ");
      }
      fmt::print("       {};\n", indented);
    }
  }
}

void print_walks(const Recipe& recipe) {
  for (const SyncedTable& table : recipe.synced) {
    for (const SyncedMapping& mapping : table.mappings) {
      fmt::print(
          "  {}: {}\n     cost: reads the table, writes each pending row, in batches of their own transactions\n",
          table.table.display(), mapping.label);
      fmt::print("       update {} as this set {} where {};\n", table.table.sql(), mapping.fill, mapping.pending);
    }
  }
}

void print_checks(const Recipe& recipe) {
  for (const SyncedTable& table : recipe.synced) {
    for (const SyncedMapping& mapping : table.mappings) {
      fmt::print("  {}: {}\n     cost: reads the table\n       pending:      {}\n", table.table.display(),
                 mapping.label, mapping.pending);
      fmt::print("       inconsistent: {}\n", mapping.inconsistent.empty() ? "not compared" : mapping.inconsistent);
    }
  }
}

void add_to(CLI::App& command, ChosenCommand& chosen) {
  auto flags = std::make_shared<RunFlags>();
  add_plan_argument(command, *flags);
  command.add_option("--check-rows", flags->check_rows, "Try up and down on so many rows, or `all`; default 10000")
      ->type_name("N");
  command.add_flag("--strict", flags->strict, "Refuse where there would be a warning");
  command.callback([&chosen, flags] {
    chosen = [flags](Invocation& invocation) {
      with_migration(invocation, *flags, [&](Migration& migration, const Plan&) {
        const Recipe recipe = migration.compile();
        if (invocation.flags.report.json) {
          invocation.observer.on(event::Document{"recipe", "{\"recipe\":" + recipe_to_json(recipe) + "}"});
          return;
        }
        print_steps("expand", recipe.expand);
        if (!recipe.synced.empty() || !recipe.after_fill.empty()) {
          fmt::print("backfill\n");
        }
        print_walks(recipe);
        print_steps("  then", recipe.after_fill);
        if (!recipe.synced.empty()) {
          fmt::print("verify\n");
        }
        print_checks(recipe);
        print_steps("  then", recipe.validate);
        print_steps("contract, before its locks", recipe.before_contract);
        print_steps("contract", recipe.contract);
        print_steps("rollback (instead of contract)", undo_steps(recipe));
      });
    };
  });
}

const RegisterCommand k_plan({.place = 70,
                              .name = "plan",
                              .description = "Print what each phase will do, with its locks and cost; changes nothing",
                              .examples = {"ecmigrate plan plan.yaml -d postgres://app@db/shop"},
                              .outcomes = run_outcomes(),
                              .add_to = add_to});

}  // namespace

}  // namespace ecmigrate
