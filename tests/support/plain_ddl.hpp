#pragma once

#include <algorithm>
#include <sstream>
#include <string>
#include <vector>

#include "ecmigrate/base/error.hpp"
#include "support/catch.hpp"
#include "support/example_table.hpp"
#include "support/server.hpp"

namespace ecmigrate::test {

/// A dump without the order of its lines: a column that went through a copy stands last in its table, and every list
/// that follows the columns' order differs too. Comments of the dump are left out.
inline std::vector<std::string> lines_without_order(const std::string& dump) {
  std::vector<std::string> lines;
  std::istringstream text(dump);
  for (std::string line; std::getline(text, line);) {
    if (!line.empty() && line.back() == ',') {
      line.pop_back();
    }
    if (!line.empty() && !line.starts_with("--")) {
      lines.push_back(line);
    }
  }
  std::ranges::sort(lines);
  return lines;
}

/// The lines that only one of two dumps has; empty when they say the same.
inline std::string difference(const std::string& is, const std::string& should_be) {
  const std::vector<std::string> left = lines_without_order(is);
  const std::vector<std::string> right = lines_without_order(should_be);
  std::vector<std::string> only;
  std::ranges::set_difference(left, right, std::back_inserter(only));
  std::string text;
  for (const std::string& line : only) {
    text += "is: " + line + "\n";
  }
  only.clear();
  std::ranges::set_difference(right, left, std::back_inserter(only));
  for (const std::string& line : only) {
    text += "should be: " + line + "\n";
  }
  return text;
}

/// A database after the whole migration must be the one that plain DDL gives: schema, column position aside, and rows.
/// And a rollback from verified must give back the start: of a copy, so that what comes before both runs once.
inline void check_as_plain(const std::string& setup, const std::string& operation, const std::string& plain,
                           const std::string& rows = "select 1") {
  INFO(setup << "\n" << operation << "\nas " << plain);
  const std::string plan = plan_of(operation);
  Database expected;
  expected.exec(setup);
  const std::string start = expected.schema();
  expected.exec(plain);
  Database migrated;
  migrated.exec(setup);
  try {
    migrate(migrated, plan, "expand backfill verify");
    migrated.leave();
    Database taken_back(&migrated);
    migrate(taken_back, plan, "rollback");
    CHECK(taken_back.schema() == start);
    migrate(taken_back, plan, "expand");  // nothing that is left is in its way
    migrated.enter();
    migrate(migrated, plan, "contract");
  } catch (const Error& error) {
    FAIL_CHECK(error.what() << "\n" << error.hint());
    return;
  }
  CHECK(difference(migrated.schema(), expected.schema()) == "");
  CHECK(migrated.rows(rows) == expected.rows(rows));
}

/// The error that a call ends with.
template <typename Call>
Error error_of(Call call) {
  try {
    call();
  } catch (const Error& error) {
    return error;
  }
  FAIL("no error");
  return Error(Outcome::done, "");
}

/// Refused with exit code 7 at expand, and nothing has been changed, not even a journal made.
inline void check_expand_refused(const std::string& setup, const std::string& operation, const std::string& because) {
  INFO(operation);
  Database database;
  database.exec(setup);
  const std::string before = database.schema();
  const Error error = error_of([&] { migrate(database, plan_of(operation), "expand"); });
  CHECK(error.outcome() == Outcome::refused);
  CHECK_THAT(error.what(), Catch::Matchers::Contains(because));
  CHECK(database.schema() == before);
  CHECK(database.value("select count(*) from pg_namespace where nspname = 'ecmigrate'") == "0");
}

}  // namespace ecmigrate::test
