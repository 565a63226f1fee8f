// Settings of a database, a role or a client change neither what a migration does nor what it thinks is equal.

#include <fmt/format.h>

#include "ecmigrate/base/error.hpp"
#include "ecmigrate/phases/migration.hpp"
#include "ecmigrate/planfile/planfile.hpp"
#include "support/catch.hpp"
#include "support/fixtures.hpp"
#include "support/plain_ddl.hpp"
#include "support/server.hpp"

namespace ecmigrate::test {

namespace {

constexpr const char* k_all = "expand backfill verify contract";

/// A role of its own with settings of the database in its sessions too: `exec` reconnects never, so these are set.
void set_for_all(Database& database, const std::string& setting) {
  database.exec(fmt::format("alter database {} set {}; set {}", database.name(), setting, setting));
}

std::string rename(const std::string& from, const std::string& to) {
  return plan_of(fmt::format("rename_column: {{ table: t, from: {}, to: {} }}\n", from, to));
}

}  // namespace

TEST_CASE("a write that the session's digits would round away is not lost", "[version]") {
  for (const std::string type : {"real", "double precision", "real[]", "pair", "jsonb", "floatrange"}) {
    INFO(type);
    Database database;
    set_for_all(database, "extra_float_digits = 0");
    database.exec("create type pair as (a int, b real); create type floatrange as range (subtype = float8)");
    const auto value = [&](const std::string& number) {
      return type == "real[]"       ? "array[" + number + "::real]"
             : type == "pair"       ? "row(1, " + number + ")::pair"
             : type == "jsonb"      ? "to_jsonb(" + number + "::numeric)"
             : type == "floatrange" ? "floatrange(" + number + ", null)"
                                    : number + "::" + type;
    };
    const bool wide = type == "double precision" || type == "floatrange" || type == "jsonb";
    const std::string before = wide ? "0.30000000000000004" : "1234501";
    const std::string after = wide ? "0.3" : "1234504";
    database.exec(
        fmt::format("create table t (id int primary key, a {}); insert into t select i, {} from "
                    "generate_series(1, 3) i",
                    type, value(before)));
    migrate(database, rename("a", "b"), "expand backfill");
    database.exec(
        fmt::format("update t set b = {} where id = 1; update t set a = {} where id = 2", value(after), value(after)));
    CHECK(database.value(fmt::format("select record_image_eq(row(b), row({})) from t where id = 2", value(after))) ==
          "t");
    migrate(database, rename("a", "b"), "verify contract");
    CHECK(database.value(fmt::format("select record_image_eq(row(b), row({})) from t where id = 1", value(after))) ==
          "t");
    CHECK(database.value(fmt::format("select record_image_eq(row(b), row({})) from t where id = 3", value(before))) ==
          "t");
  }
}

TEST_CASE("values that are equal and not the same are told apart, whatever the session's styles", "[version]") {
  struct Case {
    const char* type;
    const char* before;
    const char* after;
  };
  for (const Case& one : {Case{"double precision", "'0'", "'-0'"}, Case{"numeric", "1.0", "1.00"},
                          Case{"interval", "'24:00'", "'1 day'"}, Case{"bpchar", "'a'", "'a '"},
                          Case{"interval[]", "'{24:00}'", "'{1 day}'"}, Case{"numeric[]", "'{1.0}'", "'{1.00}'"}}) {
    INFO(one.type);
    Database database;
    set_for_all(database, "intervalstyle = sql_standard");
    database.exec(
        fmt::format("create table t (id int primary key, a {0}); insert into t select i, {1} from "
                    "generate_series(1, 2) i",
                    one.type, one.before));
    migrate(database, rename("a", "b"), "expand backfill");
    database.exec(fmt::format("update t set b = {0} where id = 1; update t set a = {0} where id = 2", one.after));
    migrate(database, rename("a", "b"), "verify contract");
    CHECK(database.value(fmt::format("select count(*) from t where record_image_eq(row(b), row({}::{}))", one.after,
                                     one.type)) == "2");
  }
}

TEST_CASE("values that were moved out of their rows are compared like the others") {
  // A long value is stored compressed or outside of its row, the new one is still in memory: the same all the same.
  Database database;
  database.exec(
      "create table t (id int primary key, a jsonb, c int); alter table t alter column a set storage external; insert "
      "into t select i, pg_catalog.jsonb_build_object('v', repeat('x', 5000 * i)), 0 from generate_series(1, 3) i");
  migrate(database, rename("a", "b"), "expand backfill verify");
  database.exec(
      "update t set c = 1; update t set b = jsonb_build_object('v', repeat('y', 9000)) where id = 1; update t "
      "set a = jsonb_build_object('v', repeat('z', 9)) where id = 2");
  migrate(database, rename("a", "b"), "verify contract");
  CHECK(database.rows("select left(b->>'v', 1), length(b->>'v') from t order by id") == "y|9000\nz|9\nx|15000");
}

TEST_CASE("a plan is UTF-8 in a database of another encoding", "[version]") {
  Database database;
  const std::string latin = database.name() + "_latin1";
  shell(fmt::format("psql -qX '{}' -c \"create database {} encoding latin1 locale 'C' template template0\"",
                    database.conninfo(), latin));
  const std::string conninfo = server() + " dbname=" + latin;
  {
    pg::Connection client({conninfo + " client_encoding=UTF8", "test", nullptr});
    client.script(
        "create table t (id int primary key, city text); insert into t select i, case when i % 2 = 0 then 'Köln' end "
        "from generate_series(1, 100) i");
    const Plan plan = parse_plan(R"yaml(
name: stadt-größe
description: Zürich
operations:
  - alter_column: { table: t, column: city, nullable: false, up: "coalesce(city, 'Zürich')" }
  - add_column: { table: t, column: { name: größe, type: int, nullable: true } }
  - rename_column: { table: t, from: id, to: schlüssel }
)yaml",
                                 "stadt.yaml");
    Recorder recorder;
    for (const auto phase : {&Migration::expand, &Migration::backfill, &Migration::verify, &Migration::contract}) {
      Session session({conninfo, "ecmigrate", nullptr}, {}, recorder, system_clock(), std::stop_token());
      (Migration(session, plan).*phase)();
    }
    CHECK(client.query("select string_agg(distinct city, ' ' order by city) from t").text(0, 0) == "Köln Zürich");
    CHECK(client.query("select count(größe) + count(schlüssel) from t").integer(0, 0) == 100);
    CHECK(client.query("select description from ecmigrate.migrations").text(0, 0).starts_with("Zürich"));
  }
  shell(fmt::format("psql -qX '{}' -c 'drop database {} with (force)'", database.conninfo(), latin));
}

TEST_CASE("settings of the database that change how SQL is read or printed are not ours", "[version]") {
  for (const std::string setting :
       {"quote_all_identifiers = on", "standard_conforming_strings = off", "transform_null_equals = on",
        "datestyle = 'SQL, DMY'", "intervalstyle = sql_standard", "bytea_output = escape", "array_nulls = off",
        "default_transaction_isolation = 'serializable'", "search_path = ''", "search_path = pg_temp, public"}) {
    INFO(setting);
    Database database;
    database.exec("create table public.t (id int primary key, full_name text not null, at date default '2024-02-01')");
    database.exec("create index i on public.t (lower(full_name)) where id > 0");
    database.exec("insert into public.t select i, 'a b' || i from generate_series(1, 100) i");
    database.exec(fmt::format("alter database {} set {}", database.name(), setting));
    const std::string plan = plan_of(
        "alter_column: { table: t, column: full_name, type: varchar(100), up: \"full_name || E'\\\\\\\\' || '\\\\s'\" "
        "}\n");
    migrate(database, plan, k_all);
    CHECK(database.value("select full_name from public.t where id = 7") == "a b7\\\\s");
  }
}

TEST_CASE("what somebody put into public does not run as the migrator", "[version]") {
  Database database;
  // A better match than any of the server's: numeric * integer and text || character varying.
  database.exec(
      "create table stolen (by text); create function steal(a numeric, b integer) returns numeric language plpgsql as "
      "$$ begin insert into stolen values (current_query()); return 0; end $$; create operator public.* (leftarg = "
      "numeric, rightarg = integer, function = steal);");
  database.exec(
      "create table t (id int primary key, price numeric not null, n int not null default 2); insert into t select i, "
      "i from generate_series(1, 100) i");
  const std::string plan =
      "name: total\noperations:\n  - add_column: { table: t, up: \"pg_catalog.numeric_mul(price, n)\", column: { name: "
      "total, type: numeric } }\n";
  migrate(database, plan, "expand backfill verify contract");
  CHECK(database.rows("select count(*) from stolen") == "0");
  CHECK(database.value("select sum(total) from t") == "10100");

  // The statements of the walk, the journal and the catalog reader, which say `*`, `=` and `||` without a schema.
  Database other;
  other.exec(k_users);
  other.exec("create table stolen (by text)");
  const std::pair<const char*, const char*> operators[] = {
      {"numeric, int", "*"}, {"bigint, int", "*"}, {"name, unknown", "="}, {"text, varchar", "||"}};
  int i = 0;
  for (const auto& [types, name] : operators) {
    const std::string pair = types;
    if (pair.find("unknown") != std::string::npos) {
      continue;
    }
    const std::string left = pair.substr(0, pair.find(','));
    const std::string right = pair.substr(pair.find(',') + 2);
    other.exec(
        fmt::format("create function public.steal_{0}(a {1}, b {2}) returns {3} language plpgsql as $$ begin "
                    "insert into public.stolen values (current_query()); return null; end $$; create operator "
                    "public.{4} (leftarg = {1}, rightarg = {2}, function = public.steal_{0})",
                    ++i, left, right, std::string(name) == "||" ? "text" : "numeric", name));
  }
  other.exec(fmt::format("alter database {} set search_path = public, pg_catalog", other.name()));
  migrate(other, k_split, k_all);
  CHECK(other.rows("select by from stolen limit 3") == "");
}

TEST_CASE("the user's own SQL finds what it would find in psql") {
  Database database;
  database.exec(
      "create schema app; create table app.t (id int primary key, a text); create table app.log (d date, i text)");
  database.exec(fmt::format("alter database {} set search_path = app; alter database {} set datestyle = 'SQL, DMY'",
                            database.name(), database.name()));
  const std::string plan =
      "name: own\nschema: app\noperations:\n  - sql: { expand: \"insert into log values ('01/02/2024', "
      "current_schema)\", contract: \"insert into log values ('03/04/2024', current_schema)\" }\n"
      "  - rename_column: { table: t, from: a, to: b }\n";
  RunOptions options;
  options.pace.pause_query = "select count(*) > 100 from log";
  migrate(database, plan, k_all, nullptr, options);
  CHECK(database.rows("select d, i from app.log order by d") == "2024-02-01|app\n2024-04-03|app");
}

TEST_CASE("a trigger of the application that a plain owner's backfill fires finds its tables") {
  Database database;
  const std::string role = database.name() + "_owner";
  database.exec(
      fmt::format("create role {0} login; create schema app authorization {0}; grant create on database {1} "
                  "to {0}; alter role {0} set search_path = app",
                  role, database.name()));
  const std::string as = database.conninfo("user=" + role);
  {
    pg::Connection owner({as, "owner", nullptr});
    owner.script(
        "create table t (id int primary key, a text); insert into t select i, 'x' from generate_series(1, 10) i; "
        "create table audit (id int); create function note() returns trigger language plpgsql as $$ begin insert into "
        "audit values (new.id); return new; end $$; create trigger note after update on t for each row execute "
        "function note()");
    const Plan plan =
        parse_plan("name: tr\nschema: app\noperations:\n  - rename_column: { table: t, from: a, to: b }\n", "tr.yaml");
    Recorder recorder;
    for (const auto phase : {&Migration::expand, &Migration::backfill, &Migration::verify, &Migration::contract}) {
      Session session({as, "ecmigrate", nullptr}, {}, recorder, system_clock(), std::stop_token());
      (Migration(session, plan).*phase)();
    }
    CHECK(owner.query("select count(*) from audit").integer(0, 0) == 10);
  }
  database.exec(fmt::format("drop owned by {0} cascade; drop role {0}", role));
}

TEST_CASE("a function that looks for names in the session's path is found at expand, with what to do") {
  Database database;
  database.exec(
      "create table lookup (a text); create table t (id int primary key, a text); insert into t values (1, 'x'); "
      "create function f(x text) returns text stable language plpgsql as $$ begin return coalesce((select l.a from "
      "lookup l limit 1), x); end $$");
  const Error error = error_of([&] {
    migrate(database,
            plan_of("alter_column: { table: t, column: a, nullable: false, up: \"public.f(a)\", down: \"a\" }\n"),
            "expand");
  });
  CHECK_THAT(error.what(), Catch::Matchers::Contains("lookup"));
  CHECK_THAT(error.hint(), Catch::Matchers::Contains("ALTER FUNCTION"));
}

TEST_CASE("a runner that is silent is asked after by the server") {
  Database database;
  Recorder recorder;
  Session session({database.conninfo(), "ecmigrate", nullptr}, {}, recorder, system_clock(), std::stop_token());
  // On a socket file the server has no such settings to show; that they are set is seen where they have their source.
  const pg::Rows rows = session.connection().query(
      "select name from pg_settings where source = 'session' and (name like 'tcp%' or name = "
      "'client_connection_check_interval') order by name");
  std::string names;
  for (int row = 0; row < rows.size(); ++row) {
    names += rows.text(row, 0) + " ";
  }
  CHECK(names ==
        "client_connection_check_interval tcp_keepalives_count tcp_keepalives_idle tcp_keepalives_interval "
        "tcp_user_timeout ");
}

}  // namespace ecmigrate::test
