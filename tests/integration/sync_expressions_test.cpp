// `up` and `down` as people write them: comments, subqueries, functions of other schemas, other new columns of the
// plan.
#include <fmt/format.h>

#include "sync_cases.hpp"

namespace ecmigrate::test {

namespace {

constexpr const char* k_people = R"(
create table users (id bigint primary key, full_name text not null, country text, note text);
insert into users select i, 'Ann' || i || ' Lee' || i, case when i % 2 = 0 then 'de' else 'uk' end from generate_series(1, 20) i)";

std::string quoted(const std::string& text) {
  std::string yaml = "\"";
  for (const char c : text) {
    yaml += c == '\n' ? "\\n" : c == '"' || c == '\\' ? std::string("\\") + c : std::string(1, c);
  }
  return yaml + '"';
}

std::string split_with(const std::string& first_up,
                       const std::string& down = "concat_ws(' ', first_name, nullif(last_name, ''))",
                       const std::string& top = "") {
  return fmt::format(R"yaml(
name: split
{}
operations:
  - split_column:
      table: users
      column: full_name
      into:
        - {{ name: first_name, type: text, up: {} }}
        - {{ name: last_name, type: text, up: "substr(full_name, length(split_part(full_name, ' ', 1)) + 2)" }}
      down: {}
)yaml",
                     top, quoted(first_up), quoted(down));
}

/// The whole migration with writes between its phases; the last row comes from the new shape.
void check_whole(Database& database, const std::string& plan, const std::string& prefix) {
  migrate(database, plan, "expand");
  database.exec(
      "update users set full_name = 'Bea Lu' where id = 1; insert into users (id, full_name) values (101, 'Cleo Po')");
  migrate(database, plan, "backfill");
  database.exec(
      "update users set full_name = 'Dan Ox' where id = 2; insert into users (id, full_name) values (102, 'Eve Ry'); "
      "insert into users (id, first_name, last_name) values (103, '" +
      prefix + "Flo', 'Sy')");
  CHECK(database.rows("select first_name from users where id in (1, 2, 3, 101, 102) order by id") ==
        fmt::format("{0}Bea\n{0}Dan\n{0}Ann3\n{0}Cleo\n{0}Eve", prefix));
  CHECK(database.value("select full_name from users where id = 103") == "Flo Sy");
  migrate(database, plan, "verify contract");
}

}  // namespace

TEST_CASE("comments, blanks, quotes and the table's own name in up and down", "[sync][expressions]") {
  for (const std::string up :
       {"split_part(full_name, ' ', 1)   ", "split_part(full_name, ' ', 1) -- the first",
        "/* it's */ split_part(full_name, ' ', 1)\n\n", "split_part(users.full_name, ' ', 1)",
        "split_part(users.full_name, E'\\x20', 1)", "split_part(\"users\".\"full_name\", $q$ $q$, 1)",
        "format('%s', split_part(full_name, ' ', 1))", "format('%1$s{}', split_part(full_name, ' ', 1)) || ''",
        "SELECT split_part(full_name, ' ', 1)",
        "case when full_name = '' then null else split_part(full_name, ' ', 1) end"}) {
    INFO(up);
    Database database;
    database.exec(k_people);
    if (up.find("{}") != std::string::npos) {  // braces must pass through our own formatting
      migrate(database, split_with(up, "concat_ws(' ', replace(first_name, '{}', ''), nullif(last_name, '')) -- back"),
              "expand backfill verify");
      CHECK(database.value("select first_name from users where id = 3") == "Ann3{}");
    } else {
      check_whole(database, split_with(up, "concat_ws(' ', first_name, nullif(users.last_name, '')) -- back"), "");
    }
  }
}

TEST_CASE("a subquery in up, also of the table itself and of tables named like PL/pgSQL's variables",
          "[sync][expressions]") {
  for (const auto& [setup, subquery] : std::vector<std::pair<std::string, std::string>>{
           {"create table titles (country text, title text); insert into titles values ('de', ''), ('uk', '')",
            "(select title from titles t where t.country = users.country)"},
           {"create table titles (country text, title text, full_name text); insert into titles values ('de', ''), "
            "('uk', '')",
            "(select title from titles where titles.country = users.country)"},
           {"", "(select repeat('x', 0) from users u where u.id = users.id)"},
           {"create table this (follows text); insert into this values ('')", "(select follows from this)"},
           {"create table \"new\" (full_name text); insert into \"new\" values ('')",
            "(select \"new\".full_name from \"new\")"},
           {"create table \"old\" (full_name text, tg_op text); insert into \"old\" values ('', '')",
            "(select \"old\".full_name || tg_op from \"old\")"},
       }) {
    INFO(subquery);
    Database database;
    database.exec(k_people);
    database.exec(setup);
    check_whole(database, split_with("coalesce(" + subquery + ", '') || split_part(full_name, ' ', 1)"), "");
  }
}

TEST_CASE("functions of another schema are found whatever the client's search_path is", "[sync][expressions]") {
  const std::string functions = R"(
create schema tools;
create function tools.first_word(value text) returns text immutable language sql as $$ select 'T-' || pg_catalog.split_part(value, ' ', 1) $$;
create schema hostile;
create function hostile.first_word(value text) returns text immutable language sql as $$ select 'hostile'::text $$;
create table hostile.users (id bigint, full_name text);
create table hostile.titles (title text); insert into hostile.titles values ('hostile');
create table titles (title text); insert into titles values (''))";
  for (const std::string path : {"''", "hostile", "hostile, public, tools", "nowhere"}) {
    INFO(path);
    Database database;
    database.exec(k_people);
    database.exec(functions);
    const std::string plan = split_with("(select title from titles) || tools.first_word(full_name)",
                                        "concat_ws(' ', substr(first_name, 3), nullif(last_name, ''))");
    migrate(database, plan, "expand");
    database.exec("set search_path = " + path);
    database.exec(
        "update public.users set full_name = 'Bea Lu' where id = 1; update public.users set first_name = 'T-Cleo' "
        "where id = 2; "
        "insert into public.users (id, full_name) values (101, 'Dan Ox'); insert into public.users (id, first_name, "
        "last_name) values (102, 'T-Eve', '')");
    CHECK(database.rows("select full_name, first_name from public.users where id in (1, 2, 101, 102) order by id") ==
          "Bea Lu|T-Bea\nCleo Lee2|T-Cleo\nDan Ox|T-Dan\nEve|T-Eve");
    database.exec("reset search_path");
    migrate(database, plan, "backfill verify contract");
  }
}

TEST_CASE("a later up reads an earlier new column: trigger, backfill, verify and repair agree", "[sync][expressions]") {
  for (const std::string nullable : {"false", "true"}) {
    const std::string plan = fmt::format(R"yaml(
name: chain
operations:
  - split_column:
      table: users
      column: full_name
      into:
        - {{ name: first_name, type: text, nullable: {0}, up: "split_part(full_name, ' ', 1)" }}
        - {{ name: last_name, type: text, nullable: {0}, up: "substr(full_name, length(first_name) + 2)" }}
      down: "concat_ws(' ', first_name, nullif(last_name, ''))"
  - add_column: {{ table: users, up: "'Dear ' || first_name", column: {{ name: greeting, type: varchar(30), nullable: {0} }} }}
  - add_column: {{ table: users, up: "json_build_object('g', greeting)", column: {{ name: data, type: jsonb, nullable: {0} }} }}
  - alter_column: {{ table: users, column: country, type: text, up: "upper(country) || length(first_name)", down: "lower(left(country, 2))" }}
)yaml",
                                         nullable);
    INFO("nullable " << nullable);
    Database database;
    database.exec(k_people);
    migrate(database, plan, "expand");
    const std::string copy = database.value(
        "select quote_ident(attname) from pg_attribute where attrelid = 'users'::regclass and attname like "
        "'\\_ecmigrate\\_new%'");
    const auto row = [&](int id) {
      return database.rows(fmt::format(
          "select full_name, first_name, last_name, greeting, data->>'g', country, {} from users where id = {}", copy,
          id));
    };
    database.exec("insert into users (id, full_name, country) values (101, 'Flo Sy', 'fr')");
    CHECK(row(101) == "Flo Sy|Flo|Sy|Dear Flo|Dear Flo|fr|FR3");
    database.exec("update users set note = 'x' where id = 1");
    CHECK(row(1) == "Ann1 Lee1|Ann1|Lee1|Dear Ann1|Dear Ann1|uk|UK4");
    database.exec("update users set first_name = 'Bea' where id = 2");
    CHECK(row(2) == "Bea Lee2|Bea|Lee2|Dear Bea|Dear Bea|de|DE3");
    database.exec(
        "update users set full_name = 'Cleo Po' where id = 101");  // greeting follows what the trigger itself filled
    CHECK(row(101) == "Cleo Po|Cleo|Po|Dear Cleo|Dear Cleo|fr|FR4");
    migrate(database, plan, "backfill verify");
    CHECK(row(3) == "Ann3 Lee3|Ann3|Lee3|Dear Ann3|Dear Ann3|uk|UK4");
    CHECK(row(20) == "Ann20 Lee20|Ann20|Lee20|Dear Ann20|Dear Ann20|de|DE5");
    if (nullable == "false") {  // the checks stop whoever passes the trigger by
      migrate(database, plan, "contract");
      continue;
    }
    // A writer that passes the trigger by leaves a row in which everything is pending.
    database.exec(
        "set session_replication_role = replica; insert into users (id, full_name, country) values (201, 'Gus Ty', "
        "'it'); reset session_replication_role");
    RunOptions repair;
    repair.repair_pending = true;
    migrate(database, plan, "verify", nullptr, repair);
    CHECK(row(201) == "Gus Ty|Gus|Ty|Dear Gus|Dear Gus|it|IT3");
    migrate(database, plan, "contract");
  }
}

TEST_CASE("a time-dependent up and a down that changes are refused unless the plan says so", "[sync][expressions]") {
  for (const std::string expression :
       {"full_name || random()", "full_name || now()", "full_name || current_date", "full_name || clock_timestamp()",
        "full_name || nextval('numbers')", "full_name || current_user", "full_name || (select max(g) from roll() g)"}) {
    INFO(expression);
    Database database;
    database.exec(k_people);
    database.exec(
        "create sequence numbers; create function roll() returns integer language sql volatile as $$ select 6 $$");
    const std::string before = database.schema();
    // Who writes is no fault of the plan's form: it is refused for what it would do.
    const Outcome refusal =
        expression.find("current_user") != std::string::npos ? Outcome::refused : Outcome::plan_invalid;
    // A volatile `up` is only warned of: what is filled can be told.
    if (expression.find("now") != std::string::npos || expression.find("current") != std::string::npos) {
      CHECK(outcome_of([&] { migrate(database, split_with(expression), "expand"); }) == refusal);
    }
    std::string down = expression;
    down.replace(0, 9, "first_name");
    CHECK(outcome_of([&] { migrate(database, split_with("full_name", down), "expand"); }) == refusal);
    CHECK(database.schema() == before);
    CHECK(database.value("select to_regnamespace('ecmigrate') is null") == "t");
    migrate(database, split_with(expression, "first_name", "deterministic: false"), "expand");
    database.exec(
        "insert into users (id, full_name) values (101, 'Bea Lu'); update users set full_name = 'Cleo Po' where id = "
        "1");
    migrate(database, split_with(expression, "first_name", "deterministic: false"), "backfill verify contract");
    CHECK(database.value("select count(*) from users where first_name like 'Cleo Po%' or first_name like 'Bea Lu%'") ==
          "2");
  }
}

TEST_CASE("with deterministic: false verify still finds pending rows", "[sync][expressions]") {
  const std::string plan = R"yaml(
name: random
deterministic: false
operations:
  - split_column:
      table: users
      column: full_name
      into: [ { name: token, type: text, nullable: true, up: "full_name || random()" } ]
      down: "token"
)yaml";
  Database database;
  database.exec(k_people);
  migrate(database, plan, "expand backfill");
  database.exec(
      "set session_replication_role = replica; insert into users (id, full_name) values (101, 'Bea Lu'); reset "
      "session_replication_role");
  Recorder recorder;
  CHECK(outcome_of([&] { migrate(database, plan, "verify", &recorder); }) == Outcome::differences_found);
  REQUIRE(recorder.all<event::Difference>().size() == 1);
  CHECK(recorder.all<event::Difference>().front().key == "id=101");
  CHECK(recorder.all<event::Difference>().front().kind == "pending");
}

}  // namespace ecmigrate::test
