#include "ecmigrate/phases/missing.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <set>

#include "ecmigrate/base/quote.hpp"
#include "ecmigrate/base/text.hpp"
#include "ecmigrate/pace/limits_check.hpp"
#include "ecmigrate/store/catalog_reader.hpp"
#include "ecmigrate/store/journal.hpp"
#include "lock_need.hpp"

namespace ecmigrate {

namespace {

std::optional<Missing> journal_right(pg::Connection& connection) {
  try {
    Journal(connection).check_may_install();
    return std::nullopt;
  } catch (const pg::SqlError&) {
    throw;
  } catch (const Error& error) {
    return Missing{error.what(), error.hint(), Command::expand, error.outcome()};
  }
}

std::optional<Missing> ownership(pg::Connection& connection, const Recipe& recipe, const std::string& role) {
  std::vector<std::string> names;
  for (const QualifiedName& table : recipe.tables) {
    if (!connection
             .query("select pg_catalog.pg_has_role(c.relowner, 'usage') from pg_catalog.pg_class c where c.oid = "
                    "$1::pg_catalog.regclass",
                    {table.sql()})
             .boolean(0, 0)) {
      names.push_back(table.display());
    }
  }
  if (names.empty()) {
    return std::nullopt;
  }
  return Missing{fmt::format("ownership: {} may not alter {}", role, join(names, ", ")),
                 "Let it run as their owner, or as a member of the owning role.", Command::expand};
}

/// A new index is made in its table's schema.
std::optional<Missing> right_to_create(pg::Connection& connection, const Recipe& recipe, const std::string& role) {
  std::set<std::string> schemas;
  for (const std::vector<Step>* steps : {&recipe.expand, &recipe.after_fill, &recipe.before_contract}) {
    for (const Step& step : *steps) {
      if (step.kind == Step::Kind::index_build &&
          !connection.query("select pg_catalog.has_schema_privilege($1, 'create')", {step.index->schema})
               .boolean(0, 0)) {
        schemas.insert(quote_identifier(step.index->schema));
      }
    }
  }
  if (schemas.empty()) {
    return std::nullopt;
  }
  const std::string names = fmt::format("{}", fmt::join(schemas, ", "));
  return Missing{fmt::format("CREATE on schema {}, which an index needs", names),
                 fmt::format("Have its owner run: grant create on schema {} to {};", names, role), Command::expand};
}

bool triggers_would_fire(pg::Connection& connection, const Recipe& recipe) {
  return std::ranges::any_of(recipe.synced, &SyncedTable::user_update_triggers) &&
         !may_replace_replication_role(connection);
}

}  // namespace

std::vector<Missing> unmet_limits(pg::Connection& connection, const PaceLimits& limits) {
  std::vector<Missing> missing;
  for (const UnmetNeed& need : unmet_needs(connection, limits)) {
    missing.push_back({need.what, need.remedy, Command::backfill, Outcome::plan_invalid});
  }
  return missing;
}

std::vector<Missing> what_is_missing(Session& session, const Recipe& recipe, const PaceLimits& limits, State state) {
  pg::Connection& connection = session.connection();
  std::vector<Missing> missing;
  const auto add = [&](const std::optional<Missing>& one) {
    if (one) {
      missing.push_back(*one);
    }
  };
  const bool begins = state == State::planned || state == State::rolled_back;
  const bool fills = (begins || state < State::backfilled) && !recipe.synced.empty();
  if (state == State::contracted) {
    return missing;
  }
  const std::optional<Missing> lock_room =
      missing_lock_room(session, recipe, begins ? Command::expand : Command::contract);
  const std::string role = connection.query("select quote_ident(current_user)").text(0, 0);
  if (begins) {
    add(journal_right(connection));
    add(ownership(connection, recipe, role));
    add(right_to_create(connection, recipe, role));
    add(lock_room);
  }
  if (fills) {
    std::ranges::move(unmet_limits(connection, limits), std::back_inserter(missing));
  }
  if (!begins) {
    add(lock_room);
  }
  if (!sees_other_sessions(connection)) {
    missing.push_back({"pg_monitor: what others' sessions do, replicas and the archive cannot be watched",
                       fmt::format("Run: grant pg_monitor to {};", role),
                       {}});
  }
  if (fills && triggers_would_fire(connection, recipe)) {
    missing.push_back(
        {"the right to set session_replication_role: the tables' own triggers fire for every row of the backfill",
         connection.server_version() >= 150000
             ? fmt::format("A superuser may run: grant set on parameter session_replication_role to {};", role)
             : "Before PostgreSQL 15 only a superuser has it.",
         {}});
  }
  return missing;
}

void refuse_missing(const std::vector<Missing>& missing, Command phase) {
  const auto first =
      std::ranges::find_if(missing, [&](const Missing& one) { return one.refused && *one.refused <= phase; });
  if (first != missing.end()) {
    throw Error(first->outcome, first->what, first->remedy);
  }
}

}  // namespace ecmigrate
