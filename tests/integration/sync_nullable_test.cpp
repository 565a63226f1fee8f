// Mappings whose new columns may be null: with a marker column where a null can be the new application's, without where
// it can only mean "not filled yet".
#include <fmt/format.h>

#include <tuple>

#include "sync_cases.hpp"

namespace ecmigrate::test {

namespace {

std::string nullable_split(const std::string& down) {
  return fmt::format(R"yaml(
name: split
operations:
  - split_column:
      table: users
      column: full_name
      into:
        - {{ name: first_name, type: text, nullable: true, up: "nullif(split_part(full_name, ' ', 1), '')" }}
        - {{ name: last_name, type: text, nullable: true, up: "nullif(substr(full_name, length(split_part(full_name, ' ', 1)) + 2), '')" }}
      down: "{}"
)yaml",
                     down);
}

constexpr const char* k_down_null = "nullif(concat_ws(' ', first_name, last_name), '')";
constexpr const char* k_down_text = "coalesce(nullif(concat_ws(' ', first_name, last_name), ''), 'unknown')";

std::string people(const std::string& not_null) {
  return fmt::format(
      "create table users (id bigint primary key, full_name text {}, note text); insert into users values (1, 'Ann "
      "Lee'), (2, '')",
      not_null);
}

constexpr const char* k_row = "select full_name, first_name, last_name from users where id = 1";

std::string markers(Database& database) {
  return database.value(
      "select count(*) from pg_attribute where attrelid = 'users'::regclass and attname like '\\_ecmigrate\\_filled%' "
      "and not attisdropped");
}

}  // namespace

TEST_CASE("nullable columns without a marker: null means not filled", "[sync][nullable]") {
  Database database;
  database.exec(people(""));
  migrate(database, nullable_split(k_down_null), "expand");
  CHECK(markers(database) == "0");
  check_writes(
      people(""), nullable_split(k_down_null), k_row,
      {
          write("update users set note = 'x'", "Ann Lee|Ann|Lee"),
          write("update users set full_name = 'Bea Lu'", "Bea Lu|Bea|Lu"),
          write("update users set full_name = null", "null|null|null"),
          write("update users set full_name = 'Ann Lee'; update users set first_name = 'Bea'", "Bea Lee|Bea|Lee"),
          write("update users set full_name = 'Ann Lee'; update users set first_name = null", "Lee|null|Lee"),
          write("update users set full_name = 'Ann Lee'; update users set first_name = null, last_name = null",
                "null|null|null"),
          write("delete from users where id = 1; insert into users (id) values (1)", "null|null|null"),
          write("delete from users where id = 1; insert into users (id, last_name) values (1, 'Lu')", "Lu|null|Lu"),
          write("delete from users where id = 1; insert into users (id, full_name) values (1, '')", "|null|null"),
      });
}

TEST_CASE("nullable columns with a marker: a null of the new application stays", "[sync][nullable]") {
  Database database;
  database.exec(people("not null"));
  migrate(database, nullable_split(k_down_text), "expand");
  CHECK(markers(database) == "1");
  check_writes(
      people("not null"), nullable_split(k_down_text), k_row,
      {
          write("update users set note = 'x'", "Ann Lee|Ann|Lee"),
          write("update users set full_name = 'Bea Lu'", "Bea Lu|Bea|Lu"),
          write("update users set full_name = ''", "|null|null"),
          write("update users set full_name = 'Ann Lee'; update users set first_name = null", "Lee|null|Lee"),
          write("update users set full_name = 'Ann Lee'; update users set first_name = null, last_name = null",
                "unknown|null|null"),
          // Filled, and null: nothing may take it for pending.
          write("update users set full_name = 'Ann Lee'; update users set first_name = null, last_name = null; update "
                "users set note = 'y'",
                "unknown|null|null"),
          write("update users set full_name = 'Ann Lee'; update users set first_name = null, last_name = null; "
                "update users set first_name = 'Bea'",
                "Bea|Bea|null"),
          write("delete from users where id = 1; insert into users (id, full_name) values (1, 'Cher')",
                "Cher|Cher|null"),
          write("delete from users where id = 1; insert into users (id, last_name) values (1, 'Lu')", "Lu|null|Lu"),
      });
}

TEST_CASE("backfill and verify leave alone what the new application set to null", "[sync][nullable]") {
  for (const std::string phases : {"expand", "expand backfill"}) {
    Database database;
    database.exec(people("not null"));
    migrate(database, nullable_split(k_down_text), phases);
    database.exec(
        "update users set first_name = 'X' where id = 1; update users set first_name = null, last_name = null where id "
        "= 1");
    migrate(database, nullable_split(k_down_text), "backfill verify");
    CHECK(database.rows(k_row) == "unknown|null|null");
    RunOptions repair;
    repair.repair_pending = true;
    repair.repair = RunOptions::Side::old_columns;
    migrate(database, nullable_split(k_down_text), "verify", nullptr, repair);
    CHECK(database.rows(k_row) == "unknown|null|null");
    migrate(database, nullable_split(k_down_text), "contract");
    CHECK(markers(database) == "0");
  }
}

TEST_CASE("a row whose up is null is no work, with and without a marker", "[sync][nullable]") {
  for (const std::string down : {k_down_null, k_down_text}) {
    Database database;
    database.exec(
        "create table users (id bigint primary key, full_name text, note text); insert into users values (1, ''), (2, "
        "null), (3, 'Ann Lee')");
    Recorder recorder;
    migrate(database, nullable_split(down), "expand backfill verify contract", &recorder);
    CHECK(recorder.all<event::WalkFinished>().front().rows == 1);
    CHECK(database.rows("select first_name, last_name from users order by id") == "null|null\nnull|null\nAnn|Lee");
  }
}

TEST_CASE("dropping not null keeps the nulls of the new application, with a marker where down does not tell them apart",
          "[sync][nullable]") {
  for (const auto& [up, marker, filled_none] : std::vector<std::tuple<std::string, std::string, std::string>>{
           {"nullif(city, 'none')", "0", "null"},  // up and down are each other's inverse: a null is the old 'none'
           {"city", "1", "none"}}) {
    const std::string plan = fmt::format(R"yaml(
name: nullable
operations:
  - alter_column: {{ table: users, column: city, type: "varchar(50)", nullable: true, up: "{}", down: "coalesce(city, 'none')" }}
)yaml",
                                         up);
    for (const std::string phases : {"expand", "expand backfill"}) {
      INFO(up << " after " << phases);
      Database database;
      database.exec(
          "create table users (id bigint primary key, city text not null); insert into users values (1, 'York'), (2, "
          "'none'), (3, 'Hull')");
      migrate(database, plan, phases);
      CHECK(markers(database) == marker);
      const std::string copy = database.value(
          "select quote_ident(attname) from pg_attribute where attrelid = 'users'::regclass and attname like "
          "'\\_ecmigrate\\_new%'");
      database.exec("update users set " + copy + " = 'x' where id = 1; update users set " + copy +
                    " = null where id = 1");
      database.exec("update users set id = id + 10 where id < 3");
      CHECK(database.rows("select city, " + copy + " from users where id < 13 and id > 3 order by id") ==
            "none|null\nnone|" + filled_none);
      database.exec("update users set city = 'Bath' where id = 12");
      migrate(database, plan, "backfill verify contract");
      CHECK(database.rows("select city from users order by id") == "Hull\nnull\nBath");
      CHECK(markers(database) == "0");
    }
  }
}

TEST_CASE("a null of the new application survives a move between partitions", "[sync][nullable]") {
  for (const std::string phases : {"expand", "expand backfill"}) {
    Database database;
    database.exec(
        "create table users (id bigint, full_name text not null, note text, primary key (id)) partition by range (id); "
        "create table users_low partition of users for values from (0) to (100); "
        "create table users_high partition of users for values from (100) to (200); insert into users values (1, 'Ann "
        "Lee')");
    migrate(database, nullable_split(k_down_text), phases);
    database.exec(
        "update users set note = 'x'; update users set first_name = null, last_name = null; update users set id = 101");
    CHECK(database.rows("select tableoid::regclass, full_name, first_name, last_name from users") ==
          "users_high|unknown|null|null");
    migrate(database, nullable_split(k_down_text), "backfill verify contract");
    CHECK(database.rows("select first_name from users") == "null");
  }
}

}  // namespace ecmigrate::test
