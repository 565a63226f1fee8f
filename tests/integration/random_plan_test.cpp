// Plans of several operations on one table, made at random, must leave the values that plain SQL leaves.

#include <fmt/format.h>

#include <algorithm>
#include <random>

#include "ecmigrate/base/text.hpp"
#include "support/catch.hpp"
#include "support/server.hpp"

namespace ecmigrate::test {

namespace {

constexpr int k_plans = 25;

/// What an operation is in a plan, and what plain SQL does instead: at once, and when everything else is done.
struct Operation {
  std::string yaml;
  std::vector<std::string> plain;
  std::vector<std::string> plain_last;
  /// Columns that later expressions may read: name in the plan, name in plain SQL meanwhile.
  std::vector<std::pair<std::string, std::string>> makes;
};

std::vector<Operation> pool() {
  return {
      {"split_column: { table: t, column: name, into: [{ name: first, type: text, nullable: true, up: "
       "\"split_part(name, ' ', 1)\" }, "
       "{ name: last, type: text, nullable: true, up: \"split_part(name, ' ', 2)\" }], down: \"concat_ws(' ', first, "
       "last)\" }",
       {"alter table t add column first text, add column last text",
        "update t set first = split_part(name, ' ', 1), last = split_part(name, ' ', 2)"},
       {"alter table t drop column name"},
       {{"first", "first"}, {"last", "last"}}},
      {"rename_column: { table: t, from: b, to: b2 }", {}, {"alter table t rename column b to b2"}, {{"b2", "b"}}},
      {"alter_column: { table: t, column: n, type: bigint }", {}, {"alter table t alter column n type bigint"}, {}},
      {"alter_column: { table: t, column: code, name: code_text, type: text, up: \"'#' || code\", down: "
       "\"substr(code_text, 2)::int\" }",
       {"alter table t add column code_text text", "update t set code_text = '#' || code"},
       {"alter table t drop column code"},
       {{"code_text", "code_text"}}},
      {"merge_columns: { table: t, columns: [street, city], into: { name: address, type: text, nullable: true, up: "
       "\"street || ', ' || city\" }, "
       "down: { street: \"split_part(address, ', ', 1)\", city: \"split_part(address, ', ', 2)\" } }",
       {"alter table t add column address text", "update t set address = street || ', ' || city"},
       {"alter table t drop column street, drop column city"},
       {{"address", "address"}}},
      {"add_column: { table: t, column: { name: kind, type: text, nullable: false, default: \"'usual'\" } }",
       {"alter table t add column kind text not null default 'usual'"},
       {},
       {{"kind", "kind"}}},
      {"drop_column: { table: t, column: d }", {}, {"alter table t drop column d"}, {}},
      {"create_index: { table: t, name: t_b_n, columns: [a, n] }", {"create index t_b_n on t (a, n)"}, {}, {}},
  };
}

}  // namespace

TEST_CASE("plans of several operations leave the values of plain SQL") {
  for (int seed = 1; seed <= k_plans; ++seed) {
    std::mt19937 random(static_cast<unsigned>(seed));
    std::vector<Operation> operations = pool();
    std::ranges::shuffle(operations, random);
    operations.resize(1 + random() % operations.size());
    // Columns that are made from what there is by then.
    std::vector<std::pair<std::string, std::string>> columns{
        {"a", "a"}, {"b", "b"}, {"name", "name"}, {"city", "city"}};
    std::vector<Operation> all;
    int made = 0;
    for (Operation& operation : operations) {
      std::ranges::copy(operation.makes, std::back_inserter(columns));
      all.push_back(std::move(operation));
      if (random() % 2 == 0) {
        const auto [in_plan, in_sql] = columns[random() % columns.size()];
        const std::string name = fmt::format("x{}", ++made);
        const std::string nullable = random() % 2 == 0 ? "true" : "false";
        const auto expression = [](const std::string& column) {
          return fmt::format("upper(coalesce({}, 'none'))", column);
        };
        all.push_back(
            {fmt::format("add_column: {{ table: t, up: \"{}\", column: {{ name: {}, type: text, nullable: {} }} }}",
                         expression(in_plan), name, nullable),
             {fmt::format("alter table t add column {} text", name),
              fmt::format("update t set {} = {}", name, expression(in_sql))},
             {},
             {}});
        columns.emplace_back(name, name);
      }
    }
    std::string plan = fmt::format("name: random\noperations:\n");
    for (const Operation& operation : all) {
      plan += "  - " + operation.yaml + "\n";
    }
    INFO("seed " << seed << "\n" << plan);
    const std::string setup =
        "create table t (id int primary key, name text, a text, b text, n int, code int, street text, city text, d "
        "text); "
        "insert into t select i, 'f' || i || ' l' || i, case when i % 7 > 0 then 'a' || i end, case when i % 5 > 0 "
        "then 'b' || i end, i, i * 3, 's' || i, "
        "case when i % 3 > 0 then 'c' || i end, 'd' from generate_series(1, 60) i";
    const std::string writes =
        "update t set name = 'new name' where id % 10 = 1; update t set b = 'new b', code = 5 where id % 10 = 2; "
        "update t set city = null where id % 10 = 3; insert into t (id, name, a, city, street) values (1000 + {0}, 'in "
        "serted', 'q', 'w', 'e')";
    Database plain;
    plain.exec(setup);
    plain.exec(fmt::format(fmt::runtime(writes), 1));
    plain.exec(fmt::format(fmt::runtime(writes), 2));
    for (const Operation& operation : all) {
      for (const std::string& sql : operation.plain) {
        plain.exec(sql);
      }
    }
    for (const Operation& operation : all) {
      for (const std::string& sql : operation.plain_last) {
        plain.exec(sql);
      }
    }
    Database database;
    database.exec(setup);
    migrate(database, plan, "expand");
    database.exec(fmt::format(fmt::runtime(writes), 1));
    migrate(database, plan, "backfill");
    database.exec(fmt::format(fmt::runtime(writes), 2));
    migrate(database, plan, "verify contract");
    const std::string shown = "select to_jsonb(t) from t order by id";
    CHECK(database.rows(shown) == plain.rows(shown));
  }
}

}  // namespace ecmigrate::test
