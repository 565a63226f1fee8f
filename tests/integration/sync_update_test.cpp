// The UPDATE table of docs/sync.md, row by row, for every kind that keeps two shapes.
#include "sync_cases.hpp"

namespace ecmigrate::test {

namespace {

constexpr const char* k_people = R"(
create table users (id bigint primary key, full_name text not null, note text);
insert into users values (1, 'Ann Lee', 'n'))";

constexpr const char* k_split_people = R"yaml(
name: split
operations:
  - split_column:
      table: users
      column: full_name
      into:
        - { name: first_name, type: text, nullable: false, up: "split_part(full_name, ' ', 1)" }
        - { name: last_name, type: text, nullable: false, up: "substr(full_name, length(split_part(full_name, ' ', 1)) + 2)" }
      down: "concat_ws(' ', first_name, nullif(last_name, ''))"
)yaml";

constexpr const char* k_shown_person = "select full_name, first_name, last_name from users order by id";

}  // namespace

TEST_CASE("update of a split column: every row of the table", "[sync][update]") {
  check_writes(
      k_people, k_split_people, k_shown_person,
      {
          // neither changed
          write("update users set note = 'x'", "Ann Lee|Ann|Lee"),
          write("update users set full_name = full_name", "Ann Lee|Ann|Lee"),
          write("update users set id = 7; update users set id = 1", "Ann Lee|Ann|Lee"),
          // the old one changed
          write("update users set full_name = 'Bea Lu'", "Bea Lu|Bea|Lu"),
          write("update users set full_name = 'Bea  Lu'", "Bea  Lu|Bea| Lu"),
          write("update users set full_name = 'Cher', note = 'x', id = 2; update users set id = 1", "Cher|Cher|"),
          // the new ones changed; what the statement did not set is completed
          write("update users set full_name = 'Ann Lee'; update users set first_name = 'Bea'", "Bea Lee|Bea|Lee"),
          {"update users set full_name = 'Ann Lee', first_name = 'Bea'", "Bea Lee|Bea|Lee", "Bea Lee|Bea|Lee"},
          write("update users set full_name = 'Ann Lee'; update users set last_name = 'Lu'", "Ann Lu|Ann|Lu"),
          write("update users set first_name = 'Anna Maria', last_name = 'Lee'", "Anna Maria Lee|Anna Maria|Lee"),
          // both: consistent by up, by down, and not at all
          write("update users set full_name = 'Bea Lu', first_name = 'Bea', last_name = 'Lu'", "Bea Lu|Bea|Lu"),
          write("update users set full_name = 'Anna Maria Lu', first_name = 'Anna Maria', last_name = 'Lu'",
                "Anna Maria Lu|Anna Maria|Lu"),
          write("update users set full_name = 'Bea  Lu', first_name = 'Bea', last_name = ' Lu'", "Bea  Lu|Bea| Lu"),
          write("update users set full_name = 'Cher ', first_name = 'Cher', last_name = ''",
                "Cher |Cher|"),  // by up alone
          write("update users set full_name = 'X Y', first_name = 'Bea', last_name = 'Lu'", "Bea Lu|Bea|Lu"),
      });
}

TEST_CASE("the first write to a pending row may set a part of the new columns", "[sync][update]") {
  for (const auto& [sql, expected] :
       std::vector<std::pair<std::string, std::string>>{{"first_name = 'Bea'", "Bea Lee|Bea|Lee"},
                                                        {"last_name = 'Lu'", "Ann Lu|Ann|Lu"},
                                                        {"first_name = 'Anna Maria'", "Anna Maria Lee|Anna Maria|Lee"},
                                                        {"first_name = ''", " Lee||Lee"}}) {
    Database database;
    database.exec(k_people);
    migrate(database, k_split_people, "expand");
    database.exec("update users set " + sql);
    CHECK(database.rows(k_shown_person) == expected);
    migrate(database, k_split_people, "backfill verify");
    CHECK(database.rows(k_shown_person) == expected);
  }
}

TEST_CASE("a statement that writes every column changes only what it changes", "[sync][update]") {
  // As an ORM does: it read the row (with the new columns still empty, after expand) and writes all of it back.
  for (const std::string phases : {"expand", "expand backfill"}) {
    Database database;
    database.exec(k_people);
    migrate(database, k_split_people, phases);
    const auto save = [&](const std::string& change) {
      database.exec("begin; create temp table read on commit drop as select * from users");
      database.exec("update read set " + change);
      database.exec(
          "update users u set full_name = r.full_name, note = r.note, first_name = r.first_name, last_name = "
          "r.last_name from read r where u.id = r.id");
      const std::string row = database.rows(k_shown_person);
      database.exec("rollback");
      return row;
    };
    CHECK(save("note = 'x'") == "Ann Lee|Ann|Lee");
    CHECK(save("full_name = 'Bea Lu'") == "Bea Lu|Bea|Lu");
    CHECK(save("first_name = 'Bea'") == "Bea Lee|Bea|Lee");
    CHECK(save("last_name = 'Lu', note = 'y'") == "Ann Lu|Ann|Lu");
  }
}

TEST_CASE("a lossy row stays as the new application wrote it, whatever else is written", "[sync][update]") {
  for (const std::string phases : {"expand", "expand backfill"}) {
    Database database;
    database.exec(k_people);
    migrate(database, k_split_people, phases);
    const std::string lossy = "Anna Maria Lee|Anna Maria|Lee";
    database.exec("update users set first_name = 'Anna Maria'");
    for (const std::string change :
         {"note = 'x'", "full_name = full_name",
          "first_name = first_name, last_name = last_name, full_name = full_name", "id = 5"}) {
      database.exec("update users set " + change);
      CHECK(database.rows(k_shown_person) == lossy);
    }
    migrate(database, k_split_people, "backfill verify");
    CHECK(database.rows(k_shown_person) == lossy);
    database.exec("update users set full_name = 'Anna Maria Lu'");
    CHECK(database.rows(k_shown_person) == "Anna Maria Lu|Anna|Maria Lu");
    migrate(database, k_split_people, "verify contract");
  }
}

TEST_CASE("the function is not called for a statement on other columns of a filled row", "[sync][update][superuser]") {
  Database database;
  database.exec(k_people);
  migrate(database, k_split_people, "expand backfill");
  const auto calls = [&](const std::string& sql) {
    // Counts of earlier transactions may still be on their way, so only a difference says what this one did.
    const std::string count = "select coalesce(sum(calls), 0) from pg_stat_xact_user_functions";
    database.exec("begin; set local track_functions = 'all'");
    const std::string before = database.value(count);
    database.exec(sql);
    const std::string made = database.value("select (" + count + ") - " + before);
    database.exec("rollback");
    return made;
  };
  CHECK(calls("update users set note = 'x'") == "0");
  CHECK(calls("update users set full_name = full_name, first_name = first_name, last_name = last_name") == "0");
  CHECK(calls("update users set full_name = 'Bea Lu'") == "1");
  CHECK(calls("update users set last_name = 'Lu'") == "1");
}

TEST_CASE("update returning gives the synced row; rollback, savepoints and deletes leave nothing behind",
          "[sync][update]") {
  for (const std::string phases : {"expand", "expand backfill"}) {
    Database database;
    database.exec(k_people);
    migrate(database, k_split_people, phases);
    CHECK(database.rows("update users set full_name = 'Bea Lu' returning first_name, last_name") == "Bea|Lu");
    CHECK(database.rows("update users set first_name = 'Cleo' returning full_name, last_name") == "Cleo Lu|Lu");
    CHECK(database.rows("insert into users (id, full_name) values (2, 'Dan Ox') returning first_name, last_name") ==
          "Dan|Ox");
    CHECK(database.rows("insert into users (id, first_name, last_name) values (3, 'Eve', 'Po') returning full_name") ==
          "Eve Po");
    database.exec("begin; update users set full_name = 'No One'; rollback");
    CHECK(database.rows("select full_name, first_name from users where id = 1") == "Cleo Lu|Cleo");
    database.exec(
        "begin; update users set full_name = 'A B' where id = 1; savepoint s; update users set first_name = 'C', "
        "last_name = 'D' where id = 1; "
        "rollback to savepoint s; update users set last_name = 'E' where id = 1; commit");
    CHECK(database.rows("select full_name, first_name, last_name from users where id = 1") == "A E|A|E");
    CHECK(database.rows("delete from users where id = 3 returning full_name, first_name") == "Eve Po|Eve");
    database.exec("update users set id = id + 100");
    CHECK(database.rows("select id, full_name, first_name, last_name from users order by id") ==
          "101|A E|A|E\n102|Dan Ox|Dan|Ox");
    migrate(database, k_split_people, "backfill verify contract");
    CHECK(database.rows("select id, first_name, last_name from users order by id") == "101|A|E\n102|Dan|Ox");
  }
}

TEST_CASE("update of merged columns: every row of the table", "[sync][update]") {
  check_writes(
      R"(create table users (id bigint primary key, street text not null, city text not null, note text);
                  insert into users values (1, 'High St', 'York', 'n'))",
      R"yaml(
name: merge
operations:
  - merge_columns:
      table: users
      columns: [street, city]
      into: { name: address, type: text, nullable: false, up: "street || ', ' || city" }
      down: { street: "split_part(address, ', ', 1)", city: "split_part(address, ', ', 2)" }
)yaml",
      "select street, city, address from users where id = 1",
      {
          write("update users set note = 'x'", "High St|York|High St, York"),
          write("update users set city = 'Leeds'", "High St|Leeds|High St, Leeds"),
          write("update users set address = 'Low Rd, Bath'", "Low Rd|Bath|Low Rd, Bath"),
          write("update users set address = 'Low Rd, Bath, UK'", "Low Rd|Bath|Low Rd, Bath, UK"),  // down loses
          write("update users set street = 'a', city = 'b', address = 'a, b'", "a|b|a, b"),
          write("update users set street = 'a', city = 'b', address = 'a, b, c'", "a|b|a, b, c"),
          write("update users set street = 'a', address = 'b, c'", "b|c|b, c"),
          write("update users set street = 'a, b', city = 'c', address = 'a, b, c'", "a, b|c|a, b, c"),  // by up alone
          write("update users set street = 'x, y', city = 'z'", "x, y|z|x, y, z"),  // and so does up
          {"insert into users (id, address) values (2, 'p, q'); delete from users where id = 2", "High St|York|null",
           "High St|York|High St, York"},
      });
}

TEST_CASE("update of a renamed column: every row of the table", "[sync][update]") {
  check_writes(
      R"(create table users (id bigint primary key, mail text unique, note text); insert into users values (1, 'a@x', 'n'))",
      R"yaml(
name: rename
operations:
  - rename_column: { table: users, from: mail, to: email }
)yaml",
      "select mail, email from users",
      {
          write("update users set note = 'x'", "a@x|a@x"),
          write("update users set mail = 'b@x'", "b@x|b@x"),
          write("update users set email = 'b@x'", "b@x|b@x"),
          write("update users set mail = 'c@x', email = 'c@x'", "c@x|c@x"),
          write("update users set mail = 'd@x', email = 'e@x'", "e@x|e@x"),
          write("update users set mail = null", "null|null"),
          {"update users set mail = 'a@x'; update users set email = null", "null|null", "null|null"},
          write("update users set mail = 'a@x'", "a@x|a@x"),
      });
}

TEST_CASE("update of a column that changes its type: the hidden copy follows and leads", "[sync][update]") {
  const std::string plan = R"yaml(
name: retype
operations:
  - alter_column: { table: users, column: age, type: integer, up: "nullif(age, '')::integer", down: "age::text" }
)yaml";
  for (const std::string phases : {"expand", "expand backfill"}) {
    Database database;
    database.exec(
        "create table users (id bigint primary key, age text, note text); insert into users values (1, '042', 'n'), "
        "(2, '', 'n'), (3, null, 'n')");
    migrate(database, plan, phases);
    const std::string copy = database.value(
        "select quote_ident(attname) from pg_attribute where attrelid = 'users'::regclass and attname like "
        "'\\_ecmigrate\\_new%'");
    const auto after = [&](const std::string& sql) {
      database.exec("begin");
      database.exec(sql);
      const std::string row = database.rows("select age, " + copy + " from users where id = 1");
      database.exec("rollback");
      return row;
    };
    CHECK(after("update users set note = 'x'") == "042|42");
    CHECK(after("update users set age = '007'") == "007|7");
    CHECK(after("update users set age = null") == "null|null");
    CHECK(after("update users set age = ''") == "|null");
    CHECK(after("update users set " + copy + " = 5") == "5|5");
    CHECK(after("update users set age = '05', " + copy + " = 5") == "05|5");
    CHECK(after("update users set age = '4', " + copy + " = 5") == "5|5");
    CHECK(after("delete from users where id = 1; insert into users (id, age) values (1, '09')") == "09|9");
    CHECK(after("delete from users where id = 1; insert into users (id, " + copy + ") values (1, 9)") == "9|9");
    migrate(database, plan, "backfill verify contract");
    CHECK(database.rows("select age, pg_typeof(age) from users order by id") ==
          "42|integer\nnull|integer\nnull|integer");
  }
}

TEST_CASE("a column with up alone follows its sources until somebody writes it", "[sync][update]") {
  check_writes(
      R"(create table users (id bigint primary key, email text not null, note text); insert into users values (1, 'Ann@x', 'n'))",
      R"yaml(
name: follow
operations:
  - add_column: { table: users, up: "lower(email)", column: { name: handle, type: text, nullable: false } }
)yaml",
      "select email, handle from users where id = 1",
      {
          write("update users set note = 'x'", "Ann@x|ann@x"),
          write("update users set email = 'Bea@x'", "Bea@x|bea@x"),
          write("update users set handle = 'me'", "Ann@x|me"),
          write("update users set handle = 'me'; update users set email = 'Cleo@x'", "Cleo@x|me"),
          write("update users set email = 'Dan@x', handle = 'dan'", "Dan@x|dan"),
          write("update users set handle = 'me'; update users set handle = lower(email); update users set email = "
                "'Eve@x'",
                "Eve@x|eve@x"),
      });
}

}  // namespace ecmigrate::test
