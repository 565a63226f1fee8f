// How long a client may have to wait for a row of a batch, whatever `up` costs.
#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "ecmigrate/base/error.hpp"
#include "support/catch.hpp"
#include "support/server.hpp"

namespace ecmigrate::test {

namespace {

/// A page of a hundred rows or more, of which each takes so long.
void make_slow_rows(Database& database, int rows, double seconds) {
  database.exec(fmt::format(
      "create function slowly(text) returns text language plpgsql immutable as $$ begin perform "
      "pg_catalog.pg_sleep({}); "
      "return upper($1); end $$; "
      "create table t (id int primary key, a text not null); insert into t select i, 'a' || i from generate_series(1, "
      "{}) i; analyze t",
      seconds, rows));
}

constexpr const char* k_plan = R"yaml(
name: slow
operations:
  - add_column: { table: t, up: slowly(a), column: { name: b, type: text, nullable: true } }
)yaml";

/// Position behind a batch: page and line pointer.
std::pair<int, int> end_of(std::string_view sql) {
  const std::string_view before = "this.ctid < '(";
  const std::string end(sql.substr(sql.find(before) + before.size(), 30));
  return {std::stoi(end), std::stoi(end.substr(end.find(',') + 1))};
}

RunOptions options(std::chrono::milliseconds target) {
  RunOptions options;
  options.check_rows = 1;
  options.pace.target_batch = target;
  options.pace.workers = 1;
  return options;
}

}  // namespace

TEST_CASE("the first batch is a page, and one that takes too long is given up for a part of it", "[version]") {
  Database database;
  make_slow_rows(database, 400, 0.01);
  migrate(database, k_plan, "expand", nullptr, options(std::chrono::milliseconds(50)));
  std::vector<std::pair<int, int>> ends;
  int begun = 0;
  int done = 0;
  migrate(database, k_plan, "backfill", nullptr, options(std::chrono::milliseconds(50)),
          [&](pg::CallMoment moment, int, std::string_view sql) {
            if (fills(sql) && moment == pg::CallMoment::before) {
              ends.push_back(end_of(sql));
              ++begun;
            } else if (fills(sql)) {
              ++done;
            }
          });
  REQUIRE(!ends.empty());
  CHECK(ends.front() <= std::pair(1, 0));
  CHECK(done < begun);  // a page of them takes seconds
  CHECK(std::ranges::any_of(ends, [](const auto& end) { return end.second > 0; }));
  CHECK(database.value("select count(*) from t where b is distinct from upper(a)") == "0");
  CHECK(database.value("select sum(rows) from ecmigrate.windows") == "400");
  CHECK(database.value("select bool_and(done) from ecmigrate.windows") == "t");
}

TEST_CASE("a row that takes longer than a batch may is filled all the same, and told once") {
  Database database;
  make_slow_rows(database, 4, 0.15);
  migrate(database, k_plan, "expand", nullptr, options(std::chrono::milliseconds(10)));
  Recorder recorder;
  migrate(database, k_plan, "backfill", &recorder, options(std::chrono::milliseconds(10)));
  CHECK(database.value("select count(*) from t where b is distinct from upper(a)") == "0");
  const std::string warnings = recorder.warnings();
  const auto first = warnings.find("t: filling a single row takes");
  CHECK(first != std::string::npos);
  CHECK(warnings.find("filling a single row", first + 10) == std::string::npos);
}

TEST_CASE("pages that are done in parts may have gaps, no rows, and rows that somebody holds") {
  Database database;
  make_slow_rows(database, 1000, 0.002);
  migrate(database, k_plan, "expand", nullptr, options(std::chrono::milliseconds(10)));
  database.exec("delete from t where id % 3 = 0 or id between 200 and 700");
  const auto holder = database.connect();
  holder->script("begin; select from t where id in (1, 199, 999) for update");
  bool held = true;
  migrate(database, k_plan, "backfill", nullptr, options(std::chrono::milliseconds(10)),
          [&](pg::CallMoment moment, int, std::string_view sql) {
            // In the second round, which is for these rows.
            if (held && moment == pg::CallMoment::before && fills(sql) &&
                database.value("select bool_or(sweeping) from ecmigrate.windows") == "t") {
              holder->script("rollback");
              held = false;
            }
          });
  CHECK(!held);
  CHECK(database.value("select count(*) from t where b is distinct from upper(a)") == "0");
}

}  // namespace ecmigrate::test
