#include "ecmigrate/pace/limits_check.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "ecmigrate/base/error.hpp"
#include "ecmigrate/base/text.hpp"
#include "ecmigrate/model/fixed_settings.hpp"
#include "ecmigrate/pace/windows.hpp"
#include "ecmigrate/pg/sqlstate.hpp"
#include "ecmigrate/pg/syntax.hpp"
#include "load_reader.hpp"

namespace ecmigrate {

namespace {

/// Whether the first value can stand as a condition; other faults are thrown.
bool first_value_is(pg::Connection& connection, const std::string& query, const std::string& condition,
                    std::string_view refusal) {
  connection.query("savepoint question");
  try {
    connection.query("explain select " + from_question(query) + " where " + condition);
    return true;
  } catch (const pg::SqlError& error) {
    if (error.sqlstate() != refusal) {
      throw;
    }
    connection.query("rollback to savepoint question");
    return false;
  }
}

void check_question(pg::Connection& connection, const std::string& name, const std::string& query) {
  if (query.empty()) {
    return;
  }
  const std::string begin = "begin read only; " + users_settings_for_now();
  std::optional<Error> wrong;
  const auto complain = [&](Outcome outcome, const std::string& what, const std::string& hint) {
    wrong.emplace(outcome, fmt::format("{}: {}", name, what), hint);
  };
  constexpr const char* k_hint =
      "It has to be one SELECT, whose first value says whether to stop: true, or a number above 0.";
  connection.script(begin);
  if (const auto error = pg::syntax_error(connection, query)) {  // as it stands: in brackets it could close them
    throw Error(Outcome::plan_invalid, fmt::format("{}: {}", name, error->what()), k_hint);
  }
  connection.script(begin);
  try {
    if (!first_value_is(connection, query, "value", pg::sqlstate::k_datatype_mismatch) &&
        !first_value_is(connection, query, "value > 0", pg::sqlstate::k_undefined_function)) {
      complain(Outcome::plan_invalid, "its first value is neither true or false nor a number", k_hint);
    }
  } catch (const pg::SqlError& error) {
    if (error.connection_lost()) {
      throw;
    }
    if (error.outcome() == Outcome::refused) {
      complain(error.outcome(), error.what(), error.hint());
    } else {
      complain(Outcome::plan_invalid, error.what(), k_hint);
    }
  }
  connection.query("rollback");
  if (wrong) {
    throw Error(*wrong);
  }
}

/// The limits of these that are set.
std::string set_ones(const std::vector<std::pair<std::string, bool>>& limits) {
  std::vector<std::string> names;
  for (const auto& [name, set] : limits) {
    if (set) {
      names.push_back(name);
    }
  }
  return join(names, ", ");
}

}  // namespace

std::string from_question(std::string query) {
  query.erase(query.find_last_not_of("; \t\r\n") + 1);
  return fmt::format("from (\n{}\n) as ecmigrate_question (value)", query);
}

PaceLimits limits_in_force(PaceLimits limits, const Journal::Steering& steering) {
  for (const auto& [name, value] : steering.limits) {
    // Who may write into the journal has the right to steer, not the runner's rights.
    if (!is_query(name)) {
      set_limit(limits, name, value);  // checked when it was stored
    }
  }
  return limits;
}

void check_limits(pg::Connection& connection, const PaceLimits& limits) {
  check_question(connection, "pause_query", limits.pause_query);
  check_question(connection, "abort_query", limits.abort_query);
  if (const auto zone = unknown_zone(connection, limits.windows)) {
    throw Error(Outcome::plan_invalid, fmt::format("windows: the server knows no time zone \"{}\"", *zone),
                "The view pg_timezone_names lists those that it knows.");
  }
}

std::vector<UnmetNeed> unmet_needs(pg::Connection& connection, const PaceLimits& limits) {
  std::vector<UnmetNeed> unmet;
  const pg::Rows rights = connection.query(
      "select quote_ident(current_user), pg_catalog.pg_has_role('pg_read_all_stats', 'usage'), "
      "pg_catalog.has_function_privilege('pg_catalog.pg_ls_archive_statusdir()', 'execute')");
  const std::string role = rights.text(0, 0);
  const auto without_right = [&](const std::string& names, const std::string& what) {
    if (!names.empty()) {
      unmet.push_back({fmt::format("{}: {} may not see {}", names, role, what),
                       fmt::format("Run: grant pg_monitor to {}; or set {} to 0.", role, names)});
    }
  };
  LoadReading reading;
  read_replicas(connection, reading);
  const auto hidden = std::ranges::find_if(reading.replicas, [](const auto& replica) { return !replica.replayed; });
  if (hidden != reading.replicas.end()) {
    without_right(set_ones({{"max_replica_lag", limits.max_replica_lag.count() > 0},
                            {"abort_replica_lag", limits.abort_replica_lag.count() > 0},
                            {"replicas", limits.replicas > 0}}),
                  fmt::format("how far replica {} is behind", hidden->name));
  } else if (const auto streaming = std::ranges::count(reading.replicas, true, &LoadReading::Replica::streaming);
             streaming < limits.replicas) {
    unmet.push_back({fmt::format("replicas: {} of {} are connected", streaming, limits.replicas),
                     fmt::format("Connect them, or set replicas to {}.", streaming)});
  }
  if (!rights.boolean(0, 1)) {
    without_right(set_ones({{"max_active_sessions", limits.max_active_sessions > 0},
                            {"abort_active_sessions", limits.abort_active_sessions > 0},
                            {"max_snapshot_age", limits.max_snapshot_age.count() > 0}}),
                  "other users' sessions");
  }
  if (!rights.boolean(0, 2)) {
    without_right(set_ones({{"max_archive_queue", limits.max_archive_queue > 0}}), "the archive's queue");
  }
  return unmet;
}

}  // namespace ecmigrate
