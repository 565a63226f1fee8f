#include "bad_rows.hpp"

#include <fmt/format.h>

#include "ecmigrate/base/error.hpp"
#include "ecmigrate/fill/relation_rows.hpp"
#include "ecmigrate/pg/sqlstate.hpp"

namespace ecmigrate {

namespace {

/// With more, something is wrong with `up` and not with the rows.
constexpr std::size_t k_most_bad_rows = 1000;

/// What filling the rows raises, if it does; nothing is written. Rows that somebody holds are passed over: they would
/// hide the others, and will be met again.
std::optional<pg::SqlError> raised(pg::Connection& connection, const RelationWalk& walk, const std::string& where) {
  try {
    connection.script("begin; " + walk.update(unlocked_rows(walk.relation(), where)) + "; rollback");
    return std::nullopt;
  } catch (const pg::SqlError& error) {
    if (!row_is_at_fault(error)) {
      throw;
    }
    return error;
  }
}

/// A constraint that stands for NOT NULL until contract is ours: its name says nothing to anybody.
std::string in_words(pg::Connection& connection, const RelationWalk& walk, const pg::SqlError& error) {
  const std::string text = error.what();
  const std::size_t at = text.find("_ecmigrate_not_null_");
  if (error.sqlstate() != pg::sqlstate::k_check_violation || at == std::string::npos) {
    return text;
  }
  const std::string constraint = text.substr(at, text.find('"', at) - at);
  const pg::Rows column = connection.query(
      "select a.attname from pg_catalog.pg_constraint k join pg_catalog.pg_attribute a on a.attrelid = k.conrelid and "
      "a.attnum = k.conkey[1] where k.conrelid = $1::pg_catalog.regclass and k.conname = $2",
      {walk.relation().sql(), constraint});
  return column.size() == 0 ? text : fmt::format("{} would be null, which the plan does not allow", column.text(0, 0));
}

}  // namespace

bool row_is_at_fault(const pg::SqlError& error) {
  // 54: limits of the server (an index row or a tsvector that is too large); 21: a subquery with two rows.
  return error.is_class(pg::sqlstate::k_cardinality_violation) || error.is_class(pg::sqlstate::k_data_exception) ||
         error.is_class(pg::sqlstate::k_integrity_constraint_violation) ||
         error.is_class(pg::sqlstate::k_program_limit_exceeded) || error.is_class(pg::sqlstate::k_plpgsql_error) ||
         error.is_class(pg::sqlstate::k_external_routine_exception) ||
         error.is_class(pg::sqlstate::k_external_routine_invocation_exception);
}

bool set_bad_rows_aside(Session& session, pg::Connection& connection, RelationWalk& walk, std::int64_t from,
                        std::int64_t to, bool quarantine) {
  while (to - from > 1) {
    const std::int64_t middle = from + (to - from) / 2;
    (raised(connection, walk, page_range(from, middle) + " and " + walk.work()) ? to : from) = middle;
  }
  // `up` is not asked here: to find the rows of the page must not raise.
  const pg::Rows rows =
      connection.query(fmt::format("select this.ctid::text, {} from only {} as this where {}",
                                   row_key(walk.table().key), walk.relation().sql(), page_range(from, to)));
  bool found = false;
  for (int row = 0; row < rows.size(); ++row) {
    const auto bad = raised(connection, walk,
                            fmt::format("this.ctid = {}::tid and {}", quote_literal(rows.text(row, 0)), walk.work()));
    if (!bad) {
      continue;
    }
    const std::string why = in_words(connection, walk, *bad);
    if (!quarantine) {
      throw Error(Outcome::failed, fmt::format("{} row {}: {}", walk.relation().display(), rows.text(row, 1), why),
                  "Mend the row or `up`, and run the same command again; finished rows are kept. With "
                  "bad_rows=quarantine it is set aside.");
    }
    if (walk.bad_rows().size() >= k_most_bad_rows) {
      throw Error(
          Outcome::failed,
          fmt::format("{} has more than {} rows that cannot be filled; the last is {}: {}", walk.relation().display(),
                      k_most_bad_rows, rows.text(row, 1), why),
          "They are in ecmigrate.bad_rows. Mend them or `up`, and run the same command again; finished rows are kept.");
    }
    walk.bad_rows().push_back({rows.text(row, 0), rows.text(row, 1), bad->sqlstate(), why});
    walk.journal().add_bad_row(walk.relation(), walk.bad_rows().back());
    session.warn(fmt::format("{} row {} is set aside: {}", walk.relation().display(), rows.text(row, 1), why));
    found = true;
  }
  return found;
}

void retry_bad_rows(Session& session, RelationWalk& walk, bool replace_replication_role) {
  std::erase_if(walk.bad_rows(), [&](const BadRow& row) {
    try {
      session.connection().script(fmt::format(
          "begin; set local ecmigrate.fill = 'on'; set local lock_timeout = '500ms'; {}{}; commit",
          writer_settings(session.connection(), walk.relation(), replace_replication_role),
          walk.update(fmt::format("this.ctid = {}::tid and ({})", quote_literal(row.ctid), walk.pending()))));
    } catch (const pg::SqlError& error) {
      if (!row_is_at_fault(error) && error.sqlstate() != pg::sqlstate::k_lock_not_available) {
        throw;
      }
      return false;  // also where somebody holds it: then it stays aside until the next run
    }
    walk.journal().remove_bad_row(walk.relation(), row.ctid);
    return true;
  });
}

}  // namespace ecmigrate
