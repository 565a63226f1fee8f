// A value is what the application or the plan says, whatever else there is: several operations in one plan, other
// columns, other triggers, nulls, defaults, casts.

#include <fmt/format.h>

#include "ecmigrate/base/error.hpp"
#include "support/catch.hpp"
#include "support/server.hpp"
#include "sync_cases.hpp"

namespace ecmigrate::test {

namespace {

constexpr const char* k_whole = "expand backfill verify contract";

/// The plan's operations, done to the end on a database that `setup` made; `between` is run after expand, and again
/// after the backfill.
std::string result_of(const std::string& setup, const std::string& operations, const std::string& shown,
                      const std::string& after_expand = "", const std::string& after_backfill = "") {
  Database database;
  database.exec(setup);
  const std::string plan = "name: values\noperations:\n" + operations;
  migrate(database, plan, "expand");
  if (!after_expand.empty()) {
    database.exec(after_expand);
  }
  migrate(database, plan, "backfill");
  if (!after_backfill.empty()) {
    database.exec(after_backfill);
  }
  migrate(database, plan, "verify contract");
  return database.rows(shown);
}

std::string expand_error(const std::string& setup, const std::string& operations) {
  Database database;
  database.exec(setup);
  std::string message;
  outcome_of([&] { migrate(database, "name: values\noperations:\n" + operations, "expand"); }, &message);
  return message;
}

}  // namespace

TEST_CASE("a column filled from any new column of a split has that column's value", "[version]") {
  for (const std::string source : {"first_name", "last_name", "middle"}) {
    INFO(source);
    CHECK(result_of("create table people (id int primary key, name text); "
                    "insert into people select i, format('a%s b%s c%s', i, i, i) from generate_series(1, 100) i",
                    fmt::format(R"yaml(
  - split_column:
      table: people
      column: name
      into:
        - {{ name: first_name, type: text, nullable: true, up: "split_part(name, ' ', 1)" }}
        - {{ name: middle, type: text, nullable: true, up: "split_part(name, ' ', 2)" }}
        - {{ name: last_name, type: text, nullable: true, up: "split_part(name, ' ', 3)" }}
      down: "concat_ws(' ', first_name, middle, last_name)"
  - add_column: {{ table: people, up: "upper({0})", column: {{ name: handle, type: text, nullable: false }} }}
)yaml",
                                source),
                    fmt::format("select count(*) from people where handle is distinct from upper({})", source)) == "0");
  }
}

TEST_CASE("an up that reads a value which is another one each time is refused") {
  // One statement fills both, and would ask gen_random_uuid() twice.
  const std::string message = expand_error("create table t (id int primary key)", R"yaml(
  - add_column: { table: t, column: { name: token, type: uuid, nullable: false, default: gen_random_uuid() } }
  - add_column: { table: t, up: "token::text", column: { name: shown, type: text, nullable: false } }
)yaml");
  CHECK(message.find("whose value is another one each time") != std::string::npos);
}

TEST_CASE("an up that reads what a later operation adds is an error with its place") {
  const std::string message = expand_error("create table t (id int primary key, a text)", R"yaml(
  - add_column: { table: t, up: "b || '!'", column: { name: c, type: text, nullable: true } }
  - add_column: { table: t, up: "upper(a)", column: { name: b, type: text, nullable: true } }
)yaml");
  CHECK(message.find(":4:") != std::string::npos);
  CHECK(message.find("\"b\", which operation 2 adds") != std::string::npos);
}

TEST_CASE("a new column follows every column that its up reads", "[version]") {
  const std::string setup =
      "create table calls (id int primary key, country text not null, phone text not null); "
      "insert into calls select i, 'FR', (100 + i)::text from generate_series(1, 20) i";
  const std::string plan = R"yaml(
  - alter_column: { table: calls, column: phone, name: phone_e164, type: text, up: "case country when 'FR' then '+33' else '+49' end || phone", down: "substr(phone_e164, 4)" }
)yaml";
  CHECK(result_of(setup, plan, "select country, phone_e164 from calls where id < 4 order by id",
                  "update calls set country = 'DE' where id = 1",
                  "update calls set country = 'DE' where id = 2; update calls set phone_e164 = '+4477', country = 'GB' "
                  "where id = 3") == "DE|+49101\nDE|+49102\nGB|+4477");
}

TEST_CASE("what a value was made from is asked in both directions when another column changes", "[version]") {
  // The new application wrote what `up` would not give; then `down` is what is kept true.
  Database database;
  database.exec(
      "create table t (id int primary key, prefix text not null, code text not null); "
      "insert into t values (1, 'x', 'x-1')");
  const std::string plan = R"yaml(name: values
operations:
  - alter_column: { table: t, column: code, name: bare, type: text, up: "split_part(code, '-', 2)", down: "prefix || '-' || bare" }
)yaml";
  migrate(database, plan, "expand backfill");
  database.exec("update t set bare = '1-2'; update t set prefix = 'y'");
  CHECK(database.rows("select prefix, code, bare from t") == "y|y-1-2|1-2");
  CHECK_NOTHROW(migrate(database, plan, "verify contract"));
}

TEST_CASE("a default cast never cuts: what plain DDL refuses fails before expand", "[version]") {
  for (const auto& [from, to, value] : {std::array<std::string, 3>{"text", "varchar(5)", "'abcdefgh'"},
                                        {"varchar(20)", "char(3)", "'abcdefgh'"},
                                        {"varbit(8)", "bit(4)", "B'10101010'"},
                                        {"text[]", "varchar(3)[]", "array['abcdefgh']"}}) {
    INFO(from << " to " << to);
    Database database;
    database.exec(fmt::format("create table t (id int primary key, a {}, b text); insert into t values (1, {}, 'b')",
                              from, value));
    // With a second mapping in the plan the values are written in another way.
    for (const std::string more :
         {"", "  - add_column: { table: t, up: \"b || '!'\", column: { name: c, type: text, nullable: true } }\n"}) {
      const std::string plan =
          fmt::format("name: cut{}\noperations:\n  - alter_column: {{ table: t, column: a, type: \"{}\" }}\n{}",
                      more.empty() ? "" : "2", to, more);
      CHECK_THROWS_AS(migrate(database, plan, k_whole), Error);
      migrate(database, plan, "rollback");
      CHECK(database.value("select a::text like '%abcdefgh%' or a::text = '10101010' from t") == "t");
    }
  }
}

TEST_CASE("a value that is too long is refused from whoever writes it after expand") {
  Database database;
  database.exec("create table t (id int primary key, a text); insert into t values (1, 'ok')");
  migrate(database, "name: short\noperations:\n  - alter_column: { table: t, column: a, type: varchar(5) }\n",
          "expand");
  CHECK(sqlstate_of(database, "update t set a = 'much too long'") == "22001");
  CHECK(sqlstate_of(database, "insert into t values (2, 'much too long')") == "22001");
}

TEST_CASE("a literal is read as DDL reads it", "[version]") {
  const std::string setup =
      "create type size as enum ('small', 'large'); create table t (id int primary key); insert into t values (1)";
  for (const auto& [type, literal, shown] :
       {std::array<std::string, 3>{"size", "'small'", "small"},
        {"jsonb", "'{\"a\": 1}'", "{\"a\": 1}"},
        {"date", "'2024-02-03'", "2024-02-03"},
        {"uuid", "'3f2b1c00-0000-4000-8000-000000000001'", "3f2b1c00-0000-4000-8000-000000000001"},
        {"integer", "'7'", "7"},
        {"interval", "'1 day'", "1 day"},
        {"integer[]", "'{1,2}'", "{1,2}"},
        {"varchar(9)", "E'a\\tb'", "a\tb"}}) {
    INFO(type);
    for (const bool up : {true, false}) {
      std::string quoted = literal;
      for (std::size_t at = quoted.find_first_of("\"\\"); at != std::string::npos;
           at = quoted.find_first_of("\"\\", at + 2)) {
        quoted.insert(at, "\\");
      }
      const std::string operation =
          up ? fmt::format(
                   "  - add_column: {{ table: t, up: \"{}\", column: {{ name: c, type: \"{}\", nullable: false }} }}\n",
                   quoted, type)
             : fmt::format(
                   "  - add_column: {{ table: t, column: {{ name: c, type: \"{}\", nullable: false, default: \"{}\" }} "
                   "}}\n",
                   type, quoted);
      CHECK(result_of(setup, operation, "select c from t order by id", "insert into t (id) values (2)") ==
            shown + "\n" + shown);
    }
  }
}

TEST_CASE("a null that the new application sets in a row that still waits is kept", "[version]") {
  const std::string setup =
      "create table c (id int primary key, phone text, note text); "
      "insert into c select i, '+' || i, 'n' from generate_series(1, 9) i";
  CHECK(result_of(setup, "  - rename_column: { table: c, from: phone, to: mobile }\n",
                  "select coalesce(mobile, 'null') from c where id < 4 order by id",
                  "update c set mobile = null where id = 1; update c set note = 'x' where id = 2") == "null\n+2\n+3");
  const std::string split = R"yaml(
  - split_column:
      table: c
      column: phone
      into:
        - { name: sign, type: text, nullable: true, up: "left(phone, 1)" }
        - { name: digits, type: text, nullable: true, up: "substr(phone, 2)" }
      down: "concat(sign, digits)"
)yaml";
  CHECK(result_of(
            setup, split, "select coalesce(sign, 'null'), coalesce(digits, 'null') from c where id < 6 order by id",
            "update c set sign = null where id = 1; update c set digits = null where id = 2; "
            "update c set digits = null, sign = null where id = 3; update c set sign = null, note = 'x' where id = 4; "
            "update c set note = 'y' where id = 5") == "null|1\n+|null\nnull|null\nnull|4\n+|5");
  CHECK(result_of(setup,
                  "  - add_column: { table: c, up: \"upper(note)\", column: { name: loud, type: text, nullable: "
                  "true } }\n",
                  "select coalesce(loud, 'null') from c where id < 3 order by id",
                  "update c set loud = null where id = 1") == "null\nN");
}

TEST_CASE("a null that is inserted is told from a column that is not named", "[version]") {
  for (const auto& [declared, shown] : {std::array<std::string, 2>{"text default 'none'", "none"},
                                        {"timestamptz default now()", ""},
                                        {"uuid default gen_random_uuid()", ""},
                                        {"bigint default (1 + 2)", "3"}}) {
    INFO(declared);
    Database database;
    database.exec(fmt::format("create table t (id int primary key, a {}); insert into t (id) values (1)", declared));
    const std::string plan = "name: values\noperations:\n  - rename_column: { table: t, from: a, to: b }\n";
    for (const std::string phase : {"expand", "backfill"}) {
      migrate(database, plan, phase);
      database.exec(fmt::format(
          "delete from t where id > 1; insert into t (id, b) values (2, null); insert into t (id) values (3); "
          "insert into t (id, a) values (4, null); insert into t values (5)"));
      CHECK(database.rows("select id, b is null, a is not distinct from b from t where id > 1 order by id") ==
            "2|t|t\n3|f|t\n4|t|t\n5|f|t");
      CHECK((shown.empty() || database.value("select b from t where id = 3") == shown));
    }
    CHECK_NOTHROW(migrate(database, plan, "verify contract"));
    CHECK(database.value("insert into t (id) values (6) returning b is null") == "f");
  }
}

TEST_CASE("the old default goes through up, or the plan has to give one", "[version]") {
  const std::string setup =
      "create table t (id int primary key, fee numeric(10,2) not null default 1.50, rate int default 2); "
      "insert into t values (1)";
  Database database;
  database.exec(setup);
  const std::string plan =
      "name: fee\noperations:\n  - alter_column: { table: t, column: fee, name: cents, type: bigint, up: "
      "\"(fee * 100)::bigint\", down: \"cents / 100.0\" }\n";
  migrate(database, plan, "expand backfill");
  CHECK(database.value("insert into t (id) values (2) returning cents") == "150");
  migrate(database, plan, "verify contract");
  CHECK(database.value("insert into t (id) values (3) returning cents") == "150");
  const std::string message = expand_error(setup,
                                           "  - alter_column: { table: t, column: fee, name: cents, type: "
                                           "bigint, up: \"(fee * rate)::bigint\", down: \"cents / rate\" }\n");
  CHECK(message.find("`default:`") != std::string::npos);
  CHECK(result_of(setup,
                  "  - alter_column: { table: t, column: fee, name: cents, type: bigint, default: \"7\", up: "
                  "\"(fee * rate)::bigint\", down: \"(cents / rate)::numeric\" }\n",
                  "insert into t (id) values (9) returning cents") == "7");
}

namespace {

/// The table's owner without any right beyond that: the user's triggers fire for the backfill.
int run_as_owner(Database& database, const std::string& table, const std::string& plan,
                 std::vector<std::string> command) {
  database.exec(
      fmt::format("do $$ begin create role test_owner login; exception when duplicate_object then null; end $$; alter "
                  "table {} owner "
                  "to test_owner; grant all on schema public to test_owner; grant create on database {} to test_owner",
                  table, database.name()));
  for (const char* word : {"PLAN", "-d"}) {
    command.emplace_back(word);
  }
  command.push_back(database.conninfo("user=test_owner"));
  const ProgramResult ran = run_program(database, command, plan);
  INFO(ran.err);
  CHECK(ran.status == 0);
  return ran.status;
}

}  // namespace

TEST_CASE("what the user's triggers change in a row while it is filled reaches the new column",
          "[version][superuser]") {
  Database database;
  database.exec(R"sql(
create table posts (id int primary key, body text, updated_at timestamp not null default '2024-01-01');
insert into posts select i, 'b' from generate_series(1, 300) i;
create function touch() returns trigger language plpgsql as $$ begin new.updated_at := '2025-05-05'; return new; end $$;
create trigger touch before update on posts for each row execute function touch())sql");
  run_as_owner(database, "posts", R"yaml(name: touched
operations:
  - alter_column: { table: posts, column: updated_at, type: timestamptz, up: "updated_at at time zone 'UTC'", down: "updated_at at time zone 'UTC'" }
)yaml",
               {"run", "--through", "verify"});
  CHECK(database.value("select count(*) from posts where updated_at <> '2025-05-05'") == "0");
}

TEST_CASE("what the user's triggers write to other rows while rows are filled is synced", "[version][superuser]") {
  for (const std::string written : {"a", "b"}) {
    Database database;
    database.exec(
        "create table t (id int primary key, a text); insert into t select i, 'x' from generate_series(1, 300) "
        "i;"
        "create function other() returns trigger language plpgsql as $$ begin if new.id = 100 then update t "
        "set " +
        written + " = 'by trigger' where id = 1; end if; return null; end $$");
    const std::string plan = "name: others\noperations:\n  - rename_column: { table: t, from: a, to: b }\n";
    run_as_owner(database, "t", plan, {"expand"});
    database.exec("create trigger other after update on t for each row execute function other()");
    run_as_owner(database, "t", plan, {"run", "--through", "verify"});
    CHECK(database.rows("select a, b from t where id = 1") == "by trigger|by trigger");
  }
}

TEST_CASE("verify compares a column that has up alone", "[version]") {
  Database database;
  database.exec(
      "create table t (id int primary key, a text); insert into t select i, 'x' || i from generate_series(1, "
      "9) i");
  const std::string plan =
      "name: alone\noperations:\n  - add_column: { table: t, up: \"upper(a)\", column: { name: b, type: text, "
      "nullable: false } }\n";
  migrate(database, plan, "expand backfill");
  database.exec("update t set b = 'mine' where id = 1");  // the new application's: right as it is
  CHECK_NOTHROW(migrate(database, plan, "verify"));
  database.exec(
      "set session_replication_role = replica; update t set b = 'wrong' where id = 2; reset "
      "session_replication_role");
  CHECK(outcome_of([&] { migrate(database, plan, "verify"); }) == Outcome::differences_found);
  RunOptions repair;
  repair.repair_pending = true;
  repair.repair = RunOptions::Side::old_columns;
  migrate(database, plan, "verify", nullptr, repair);
  CHECK(database.rows("select b from t where id < 4 order by id") == "mine\nX2\nX3");
}

}  // namespace ecmigrate::test
