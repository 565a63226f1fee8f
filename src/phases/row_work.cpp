#include "row_work.hpp"

#include <fmt/format.h>

#include <ranges>

#include "ecmigrate/base/error.hpp"
#include "ecmigrate/base/text.hpp"
#include "ecmigrate/fill/verify.hpp"
#include "ecmigrate/pace/limits_check.hpp"
#include "ecmigrate/phases/missing.hpp"
#include "ecmigrate/store/catalog_reader.hpp"
#include "ecmigrate/store/walks.hpp"

namespace ecmigrate {

namespace {

constexpr int k_most_shown = 20;

}  // namespace

void check_may_fill(CurrentRun& run) {
  const PaceLimits limits = run.limits_now();
  check_limits(run.session.connection(), limits);
  if (!run.record->recipe.synced.empty()) {
    refuse_missing(unmet_limits(run.session.connection(), limits), Command::backfill);
  }
}

Filled fill_tables(CurrentRun& run, bool again) {
  bool may_replace_role = may_replace_replication_role(run.session.connection());
  for (const SyncedTable& table : run.record->recipe.synced) {
    for (const SyncedMapping& mapping : table.mappings) {
      may_replace_role =
          may_replace_role && !has_validated_foreign_key(run.session.connection(), table.table, mapping.new_columns);
    }
  }
  Backfill backfill(run.session, run.plan.name, run.id, may_replace_role, again);
  for (const SyncedTable& table : run.record->recipe.synced) {
    if (table.user_update_triggers && !may_replace_role) {
      run.session.warn(fmt::format(
          "the triggers of {} fire for every row of the backfill: this role may not set session_replication_role, "
          "or a validated foreign key has to see the rows",
          table.table.display()));
    }
    for (const auto& [leaf, walked] : leaves(run.session.connection(), run.plan.name, table.table)) {
      backfill.add(table, leaf);
    }
  }
  const bool wrote = backfill.run();
  run.changed = run.changed || wrote;
  return {wrote, backfill.bad_rows()};
}

void refuse_set_aside(const std::vector<BadRow>& rows) {
  if (rows.empty()) {
    return;
  }
  std::vector<std::string> lines;
  for (const BadRow& row : rows | std::views::take(k_most_shown)) {
    lines.push_back(fmt::format("{}: {}", row.key, row.error));
  }
  throw Error(Outcome::work_remains,
              fmt::format("{} rows are set aside, as they cannot be filled:\n  {}",
                          with_thousands(static_cast<std::int64_t>(rows.size())), join(lines, "\n  ")),
              "Mend or delete them (all are in ecmigrate.bad_rows) and run the same command again: it tries these "
              "rows alone.");
}

std::int64_t compare_tables(CurrentRun& run) {
  const bool may_replace_role = may_replace_replication_role(run.session.connection());
  std::int64_t differences = 0;
  for (const SyncedTable& table : run.record->recipe.synced) {
    for (const auto& [leaf, walked] : leaves(run.session.connection(), run.plan.name, table.table)) {
      const event::VerifyFinished result = verify_relation(run.session, table, leaf, may_replace_role);
      run.journal.record_verification(run.plan.name, run.id, result);
      differences += result.pending + result.inconsistent - result.repaired;
      run.changed = run.changed || result.repaired > 0;
    }
  }
  return differences;
}

}  // namespace ecmigrate
