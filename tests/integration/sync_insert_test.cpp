// The INSERT table of docs/sync.md, row by row, and every statement that inserts.
#include <fmt/format.h>

#include "sync_cases.hpp"

namespace ecmigrate::test {

namespace {

constexpr const char* k_people = R"(
create table users (id bigint primary key, full_name varchar(40) not null, note text);
insert into users values (1, 'Ann Lee', 'n'))";

std::string split_plan(const std::string& last_name_more = "") {
  return fmt::format(R"yaml(
name: split
operations:
  - split_column:
      table: users
      column: full_name
      into:
        - {{ name: first_name, type: text, nullable: false, up: "split_part(full_name, ' ', 1)" }}
        - {{ name: last_name, type: text, up: "substr(full_name, length(split_part(full_name, ' ', 1)) + 2)"{} }}
      down: "concat_ws(' ', first_name, nullif(last_name, ''))"
)yaml",
                     last_name_more);
}

constexpr const char* k_second = "select full_name, first_name, last_name from users where id > 1 order by id";

}  // namespace

TEST_CASE("insert into a split table: every row of the table", "[sync][insert]") {
  check_writes(
      k_people, split_plan(), k_second,
      {
          // N unset
          write("insert into users values (2, 'Bea Lu', 'x'); ", "Bea Lu|Bea|Lu"),
          write("delete from users where id > 1; insert into users (id, full_name) values (2, 'Bea Lu'), (3, 'Cher')",
                "Bea Lu|Bea|Lu\nCher|Cher|"),
          write("delete from users where id > 1; insert into users (id, full_name) select g, 'N' || g || ' M' from "
                "generate_series(2, 3) g",
                "N2 M|N2|M\nN3 M|N3|M"),
          // N set, O not
          write("delete from users where id > 1; insert into users (id, first_name, last_name) values (2, 'Bea', 'Lu')",
                "Bea Lu|Bea|Lu"),
          write("delete from users where id > 1; insert into users (id, full_name, first_name, last_name) values (2, "
                "null, 'Anna Maria', 'Lu')",
                "Anna Maria Lu|Anna Maria|Lu"),
          // both, consistent by up, by down, and in neither direction
          write("delete from users where id > 1; insert into users (id, full_name, first_name, last_name) values (2, "
                "'Bea  Lu', 'Bea', ' Lu')",
                "Bea  Lu|Bea| Lu"),
          write("delete from users where id > 1; insert into users (id, full_name, first_name, last_name) values (2, "
                "'A M Lu', 'A M', 'Lu')",
                "A M Lu|A M|Lu"),
          write("delete from users where id > 1; insert into users (id, full_name, first_name, last_name) values (2, "
                "'Cher ', 'Cher', '')",
                "Cher |Cher|"),
          write("delete from users where id > 1; insert into users (id, full_name, first_name, last_name) values (2, "
                "'X Y', 'Bea', 'Lu')",
                "Bea Lu|Bea|Lu"),
      });
}

TEST_CASE("on conflict do update, in the old shape and in the new one", "[sync][insert]") {
  check_writes(k_people, split_plan(), "select full_name, first_name, last_name from users where id = 1",
               {
                   write("insert into users (id, full_name) values (1, 'Bea Lu') on conflict (id) do update set "
                         "full_name = excluded.full_name",
                         "Bea Lu|Bea|Lu"),
                   write("insert into users (id, first_name, last_name) values (1, 'Anna Maria', 'Lu') on conflict "
                         "(id) do update set "
                         "first_name = excluded.first_name, last_name = excluded.last_name",
                         "Anna Maria Lu|Anna Maria|Lu"),
                   write("update users set full_name = 'Ann Lee'; insert into users (id, first_name, last_name) values "
                         "(1, 'Bea', 'Lu') on conflict (id) "
                         "do update set first_name = excluded.first_name",
                         "Bea Lee|Bea|Lee"),
                   write("insert into users as u (id, full_name) values (1, 'Cleo Po') on conflict (id) do update set "
                         "note = u.note, full_name = 'Dan ' || "
                         "excluded.last_name",
                         "Dan Po|Dan|Po"),
                   // As an ORM does: every column from the proposed row, which the trigger has completed.
                   write("insert into users (id, full_name) values (1, 'Eve Ox') on conflict (id) do update set "
                         "full_name = excluded.full_name, "
                         "first_name = excluded.first_name, last_name = excluded.last_name",
                         "Eve Ox|Eve|Ox"),
               });
}

TEST_CASE("copy in the old and in the new shape", "[sync][insert]") {
  for (const std::string phases : {"expand", "expand backfill"}) {
    Database database;
    database.exec(k_people);
    migrate(database, split_plan(), phases);
    const auto copy = [&](const std::string& columns, const std::string& lines) {
      shell(fmt::format("printf '{}' | psql -X -q -v ON_ERROR_STOP=1 '{}' -c '\\copy users ({}) from stdin' 2>&1",
                        lines, database.conninfo(), columns));
    };
    copy("id, full_name", "2\\tBea Lu\\n3\\tCher\\n");
    copy("id, first_name, last_name", "4\\tAnna Maria\\tOx\\n");
    copy("id, full_name, first_name, last_name", "5\\tX Y\\tDan\\tPo\\n6\\tEve\\t\\\\N\\t\\\\N\\n");
    CHECK(database.rows(k_second) == "Bea Lu|Bea|Lu\nCher|Cher|\nAnna Maria Ox|Anna Maria|Ox\nDan Po|Dan|Po\nEve|Eve|");
    migrate(database, split_plan(), "backfill verify contract");
  }
}

TEST_CASE("a value that is too long for the other shape is an error of the client's statement", "[sync][insert]") {
  for (const std::string phases : {"expand", "expand backfill"}) {
    Database database;
    database.exec(
        "create table users (id bigint primary key, full_name varchar(8) not null, note text); insert into users "
        "values (1, 'Ann Lee')");
    const std::string plan = R"yaml(
name: split
operations:
  - split_column:
      table: users
      column: full_name
      into:
        - { name: first_name, type: varchar(4), up: "split_part(full_name, ' ', 1)" }
        - { name: last_name, type: varchar(4), up: "substr(full_name, length(split_part(full_name, ' ', 1)) + 2)" }
      down: "concat_ws(' ', first_name, nullif(last_name, ''))"
)yaml";
    migrate(database, plan, phases);
    const std::string before = database.rows("select full_name, first_name from users");
    CHECK(sqlstate_of(database, "update users set full_name = 'Maria O'") == "22001");
    CHECK(sqlstate_of(database, "update users set first_name = 'Bert', last_name = 'Long'") == "22001");
    CHECK(sqlstate_of(database, "update users set full_name = 'Mar Long9'") == "22001");
    CHECK(sqlstate_of(database, "insert into users (id, full_name) values (2, 'Maria')") == "22001");
    CHECK(sqlstate_of(database, "insert into users (id, first_name, last_name) values (2, 'Bert', 'Long')") == "22001");
    CHECK(database.rows("select full_name, first_name from users") == before);
    migrate(database, plan, "backfill verify contract");
  }
}

TEST_CASE("a plan's default is taken where nothing was given, and is the column's own after contract",
          "[sync][insert]") {
  for (const std::string phases : {"expand", "expand backfill"}) {
    Database database;
    database.exec("create table users (id bigint primary key, nick text); insert into users values (1, 'ann')");
    const std::string plan = R"yaml(
name: alias
operations:
  - split_column:
      table: users
      column: nick
      into:
        - name: alias
          type: text
          nullable: false
          up: "nick"
          default: |
            'nobody' -- who wrote nothing
      down: "alias"
)yaml";
    migrate(database, plan, phases);
    database.exec(
        "insert into users (id) values (2); insert into users (id, nick) values (3, 'bea'); insert into users (id, "
        "alias) values (4, 'cleo')");
    CHECK(database.rows("select nick, alias from users where id > 1 order by id") ==
          "nobody|nobody\nbea|bea\ncleo|cleo");
    migrate(database, plan, "backfill verify contract");
    CHECK(database.rows("insert into users (id) values (5) returning alias") == "nobody");
  }
}

TEST_CASE("a part of the new columns that was left out is what it will be after contract", "[sync][insert]") {
  const auto plan = [](const std::string& more) {
    return "name: parts\noperations:\n  - split_column:\n      table: users\n      column: full_name\n      into:\n"
           "        - { name: first_name, type: text, nullable: true, up: \"split_part(full_name, ' ', 1)\" }\n"
           "        - { name: last_name, type: text, up: \"split_part(full_name, ' ', 2)\", " +
           more + " }\n      down: \"concat_ws(' ', first_name, last_name)\"\n";
  };
  for (const std::string old_default : {"", "default 'No Name'"}) {
    for (const auto& [more, left_out] : {std::pair<std::string, std::string>{"nullable: true", "null"},
                                         {"nullable: true, default: \"'Doe'\"", "Doe"},
                                         {"nullable: false, default: \"'Doe'\"", "Doe"}}) {
      for (const std::string phases : {"expand", "expand backfill"}) {
        INFO("old default: " << old_default << ", " << more << ", " << phases);
        Database database;
        database.exec("create table users (id bigint primary key, full_name text " + old_default +
                      "); insert into users values (1, 'Ann Lee')");
        migrate(database, plan(more), phases);
        database.exec(
            "insert into users (id, first_name) values (2, 'Bea'); insert into users (id, full_name) values (3, 'Cleo "
            "Po'); insert into users (id, first_name, last_name) values (4, 'No', 'Name')");
        const std::string both = "select full_name, first_name, last_name from users where id > 1 order by id";
        CHECK(database.rows(both) == (left_out == "null" ? "Bea|Bea|null" : "Bea Doe|Bea|Doe") +
                                         std::string("\nCleo Po|Cleo|Po\nNo Name|No|Name"));
        migrate(database, plan(more), "backfill verify contract");
        CHECK(database.rows("insert into users (id, first_name) values (5, 'Bea') returning last_name") == left_out);
      }
    }
  }
}

TEST_CASE("a part that was left out is told from one that was given, whatever its type", "[sync][insert]") {
  for (const auto& [type, value] : {std::pair<std::string, std::string>{"varchar(50)", "x"},
                                    {"char(1)", "x"},
                                    {"numeric(10,2)", "1.50"},
                                    {"smallint", "1"},
                                    {"real", "1.5"},
                                    {"timestamptz", "2024-02-03 00:00:00+00"},
                                    {"interval", "1 day"},
                                    {"jsonb", "{}"}}) {
    INFO(type);
    Database database;
    database.exec("create table t (id int primary key, pair text[] default array['" + value + "', '" + value +
                  "']); set time zone 'UTC'");
    const std::string plan = fmt::format(
        "name: parts\noperations:\n  - split_column:\n      table: t\n      column: pair\n      into:\n"
        "        - {{ name: a, type: text, nullable: true, up: \"pair[1]\" }}\n"
        "        - {{ name: b, type: \"{0}\", nullable: true, up: \"null::{0}\" }}\n"
        "      down: \"array[a, 'b']\"\n",
        type);
    migrate(database, plan, "expand");
    database.exec("insert into t (id, a) values (1, 'given'); insert into t (id, a, b) values (2, 'given', '" + value +
                  "')");
    CHECK(database.rows("select a, b from t order by id") == "given|null\ngiven|" + value);
  }
}

TEST_CASE("where no value tells that a part was left out, expand says what it gets", "[sync][insert]") {
  Database database;
  database.exec("create table t (id int primary key, flags text default '1 false')");
  Recorder recorder;
  migrate(database,
          "name: parts\noperations:\n  - split_column:\n      table: t\n      column: flags\n      into:\n"
          "        - { name: a, type: int, nullable: true, up: \"split_part(flags, ' ', 1)::int\" }\n"
          "        - { name: b, type: boolean, nullable: true, up: \"split_part(flags, ' ', 2)::boolean\" }\n"
          "      down: \"concat_ws(' ', a, b)\"\n",
          "expand", &recorder);
  CHECK_THAT(recorder.warnings(), Catch::Matchers::Contains("leaves out \"b\""));
  CHECK_THAT(recorder.warnings(), !Catch::Matchers::Contains("leaves out \"a\""));
}

TEST_CASE("a dropped column is filled by down for those who leave it out, and only for them", "[sync][insert]") {
  const std::string plan = R"yaml(
name: drop-street
operations:
  - drop_column: { table: users, column: street, down: "'unknown, ' || city" }
)yaml";
  for (const std::string phases : {"expand", "expand backfill"}) {
    Database database;
    database.exec(
        "create table users (id bigint primary key, street text not null, city text); insert into users values (1, "
        "'High St', 'York')");
    migrate(database, plan, phases);
    database.exec("insert into users (id, city) values (2, 'Bath'); insert into users values (3, 'Low Rd', 'Hull')");
    database.exec("update users set city = 'Leeds'");
    database.exec("update users set street = 'New St' where id = 3");
    CHECK(database.rows("select street, city from users order by id") ==
          "High St|Leeds\nunknown, Bath|Leeds\nNew St|Leeds");
    CHECK(sqlstate_of(database, "update users set street = null") == "23502");
    migrate(database, plan, "backfill verify contract");
    CHECK(database.rows("select * from users where id = 2") == "2|Leeds");
  }
}

TEST_CASE("not null of the new columns is held for those who write them, not asked of the others", "[sync][insert]") {
  Database database;
  database.exec(k_people);
  migrate(database, split_plan(), "expand");
  CHECK(sqlstate_of(database, "insert into users (id, last_name) values (2, 'Lu')") == "23514");
  migrate(database, split_plan(), "backfill");
  CHECK(sqlstate_of(database, "update users set first_name = null") == "23514");
  CHECK(sqlstate_of(database, "insert into users (id) values (2)") == "23502");
  migrate(database, split_plan(), "verify contract");
  CHECK(sqlstate_of(database, "update users set first_name = null") == "23502");
}

}  // namespace ecmigrate::test
