#pragma once

#include <functional>
#include <string>
#include <vector>

#include "ecmigrate/base/error.hpp"
#include "support/catch.hpp"
#include "support/server.hpp"

namespace ecmigrate::test {

/// What one client sends, and what the row (or rows) must be afterwards: on a row that still waits for its new values
/// (after expand), and on one that has them (after backfill).
struct Write {
  std::string sql;
  std::string pending;
  std::string filled;
};

/// The same for both.
inline Write write(std::string sql, const std::string& expected) {
  return {std::move(sql), expected, expected};
}

/// Tries every write on the database as `setup` and the plan leave it, after expand and again after backfill; each is
/// rolled back. `shown` is the query whose rows are compared. In the end all of them are done one after the other, for
/// good, and the migration has to come out clean.
inline void check_writes(const std::string& setup, const std::string& plan, const std::string& shown,
                         const std::vector<Write>& writes) {
  for (const std::string phases : {"expand", "expand backfill"}) {
    Database database;
    database.exec(setup);
    migrate(database, plan, phases);
    for (const Write& write : writes) {
      INFO("after " << phases << ": " << write.sql);
      database.exec("begin");
      database.exec(write.sql);
      CHECK(database.rows(shown) == (phases == "expand" ? write.pending : write.filled));
      database.exec("rollback");
    }
    CHECK_NOTHROW(migrate(database, plan, "backfill verify"));
    for (const Write& write : writes) {
      database.exec(write.sql);
    }
    CHECK_NOTHROW(migrate(database, plan, "verify contract"));
  }
}

/// The outcome that a phase ends with; `done` when it does not throw. `message` gets the error's text.
inline Outcome outcome_of(const std::function<void()>& phase, std::string* message = nullptr) {
  try {
    phase();
    return Outcome::done;
  } catch (const Error& error) {
    if (message != nullptr) {
      *message = error.what();
    }
    return error.outcome();
  }
}

/// SQLSTATE of what a client sends; "" when it succeeds.
inline std::string sqlstate_of(Database& database, const std::string& sql) {
  try {
    database.exec(sql);
    return "";
  } catch (const pg::SqlError& error) {
    return error.sqlstate();
  }
}

}  // namespace ecmigrate::test
