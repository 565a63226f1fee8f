// No step holds a lock that stops others for as long as the table is large: each is tried on an empty copy first, and
// the server's own files say what it did. What a step would fail of is said by the same trial.

#include <fmt/format.h>

#include "ecmigrate/base/error.hpp"
#include "support/catch.hpp"
#include "support/fixtures.hpp"
#include "support/plain_ddl.hpp"
#include "support/server.hpp"

namespace ecmigrate::test {

namespace {

/// Where the rows of a table and of its indexes lie, and those of its partitions.
std::string files(const std::string& table) {
  return fmt::format(
      "select string_agg(pg_relation_filenode(o)::text, ' ' order by o) from (select relid::oid from "
      "pg_partition_tree('{0}') union select '{0}'::regclass::oid) t(r) cross join lateral (select r union select "
      "indexrelid from pg_index where indrelid = r) x(o)",
      table);
}

std::string rename_plan(const std::string& table, const std::string& from, const std::string& to) {
  return fmt::format("name: renaming\noperations:\n  - rename_column: {{ table: {}, from: {}, to: {} }}\n", table, from,
                     to);
}

std::string type_plan(const std::string& table, const std::string& column, const std::string& type) {
  return fmt::format("name: typing\noperations:\n  - alter_column: {{ table: {}, column: {}, type: {} }}\n", table,
                     column, type);
}

}  // namespace

TEST_CASE("a column of a domain with constraints is renamed without a rewrite, and the domain judges every write",
          "[version]") {
  Database database;
  database.exec(
      "create domain lower_text as text collate \"C\" check (value = lower(value)); "
      "create domain email_address as lower_text check (value ~ '@'); "
      "create table accounts (id int primary key, email email_address not null); "
      "insert into accounts select i, 'u' || i || '@example.com' from generate_series(1, 500) i; "
      "create unique index accounts_email on accounts (email)");
  const std::string before = database.value("select pg_relation_filenode('accounts')");
  migrate(database, rename_plan("accounts", "email", "email_addr"), "expand");
  CHECK(database.value("select pg_relation_filenode('accounts')") == before);
  migrate(database, rename_plan("accounts", "email", "email_addr"), "backfill verify");
  database.exec("insert into accounts (id, email_addr) values (1001, 'new@example.com')");
  CHECK_THROWS_AS(database.exec("insert into accounts (id, email_addr) values (1002, 'no address')"), pg::SqlError);
  CHECK_THROWS_AS(database.exec("update accounts set email_addr = 'NEW@example.com' where id = 1001"), pg::SqlError);
  migrate(database, rename_plan("accounts", "email", "email_addr"), "contract");
  CHECK(database.value("select pg_relation_filenode('accounts')") == before);
  CHECK(
      database.value("select format_type(atttypid, atttypmod) from pg_attribute where attrelid = 'accounts'::regclass "
                     "and attname = 'email_addr'") == "email_address");
  CHECK(database.value("select count(*) from accounts where email_addr is not null") == "501");
}

TEST_CASE("a domain that adds a length to its type is renamed without a rewrite") {
  Database database;
  database.exec(
      "create domain code as varchar(8) not null; create table items (id int primary key, code code); "
      "insert into items select i, 'c' || i from generate_series(1, 100) i");
  const std::string before = database.value("select pg_relation_filenode('items')");
  migrate(database, rename_plan("items", "code", "item_code"), "expand backfill verify contract");
  CHECK(database.value("select pg_relation_filenode('items')") == before);
  CHECK(database.value("select max(item_code) from items") == "c99");
}

TEST_CASE("a type that could change in place goes through a copy where an index would be rebuilt", "[version]") {
  const std::string index = GENERATE("(lower(name))", "(name) where not deleted",
                                     "using gin (to_tsvector('simple', name))", "(name, (id + 1))");
  INFO(index);
  Database database;
  database.exec(
      "create table customers (id int primary key, name varchar(100) not null, deleted boolean not null default "
      "false); insert into customers select i, 'name ' || i, i % 10 = 0 from generate_series(1, 500) i; "
      "create index customers_name on customers " +
      index);
  Recorder recorder;
  migrate(database, type_plan("customers", "name", "text"), "expand backfill verify", &recorder);
  const std::string before = database.value(files("customers"));
  migrate(database, type_plan("customers", "name", "text"), "contract", &recorder);
  // The old index goes with the old column, and the copy's keeps its file.
  CHECK(before.find(database.value("select pg_relation_filenode('customers_name')")) != std::string::npos);
  CHECK(before.find(database.value("select pg_relation_filenode('customers')")) != std::string::npos);
  CHECK(database.value("select format_type(atttypid, atttypmod) from pg_attribute where attrelid = "
                       "'customers'::regclass and attname = 'name'") == "text");
}

TEST_CASE("a type that the server changes without touching an index still changes in place") {
  Database database;
  database.exec(
      "create table customers (id int primary key, name varchar(100) not null unique); create index on customers "
      "(name, id) include (id); insert into customers select i, 'name ' || i from generate_series(1, 100) i");
  const std::string before = database.value(files("customers"));
  migrate(database, type_plan("customers", "name", "text"), "expand backfill verify contract");
  CHECK(database.value(files("customers")) == before);
}

TEST_CASE(
    "the indexes of a partitioned table, and those that one partition alone has would be rebuilt: refused before "
    "expand") {
  Database database;
  const bool on_the_table = GENERATE(true, false);
  database.exec(
      "create table events (id int, name varchar(100) not null) partition by range (id); "
      "create table events_1 partition of events for values from (0) to (100); "
      "create table events_2 partition of events for values from (100) to (200); "
      "insert into events select i, 'name ' || i from generate_series(0, 199) i");
  database.exec(on_the_table ? "create index events_name on events (name)"
                             : "create index events_name on events_2 (lower(name))");
  const std::string before = database.value(files("events"));
  const Error error = error_of([&] { migrate(database, type_plan("events", "name", "text"), "expand"); });
  CHECK(error.outcome() == Outcome::refused);
  CHECK(std::string(error.what()).find("rebuilds index") != std::string::npos);
  CHECK(database.value(files("events")) == before);
}

TEST_CASE("an index that came after expand and would be rebuilt by contract stops it before its first lock") {
  Database database;
  database.exec(
      "create table customers (id int primary key, name varchar(100) not null); "
      "insert into customers select i, 'name ' || i from generate_series(1, 100) i");
  const std::string plan = type_plan("customers", "name", "text");
  migrate(database, plan, "expand backfill verify");
  database.exec("create index customers_lower on customers (lower(name))");
  const std::string before = database.value(files("customers"));
  const Error error = error_of([&] { migrate(database, plan, "contract"); });
  CHECK(error.outcome() == Outcome::refused);
  CHECK(std::string(error.what()).find("rebuilds index customers_lower") != std::string::npos);
  CHECK(database.value(files("customers")) == before);
  CHECK(database.value("select state from ecmigrate.migrations") == "verified");
  database.exec("drop index customers_lower");
  migrate(database, plan, "contract");
}

TEST_CASE("what the server would refuse at a step is said before the first lock, by the step's name") {
  Database database;
  database.exec(
      "create table parents (id int primary key); create table children (id int primary key, parent text); "
      "insert into parents values (1); insert into children values (1, '1')");
  const std::string plan = R"(
name: key
operations:
  - add_column:
      table: children
      column: { name: parent_id, type: text, nullable: true, references: { name: parent_fk, table: parents, column: id } }
      up: parent
)";
  const std::string before = database.schema();
  const Error error = error_of([&] { migrate(database, plan, "expand"); });
  CHECK(error.outcome() == Outcome::plan_invalid);
  CHECK(std::string(error.what()).find("parent_fk") != std::string::npos);
  CHECK(std::string(error.what()).find("incompatible types: text and integer") != std::string::npos);
  CHECK(database.value("select to_regnamespace('ecmigrate')") == "null");
  CHECK(database.schema() == before);
}

TEST_CASE("the trial copies what tables have: quoted names, foreign keys to themselves and to other schemas, serials",
          "[version]") {
  Database database;
  database.exec(R"(
create schema "Other Place"; create table "Other Place"."Odd Table" ("The Id" int unique deferrable, part int, unique (part, "The Id"));
create unique index on "Other Place"."Odd Table" ("The Id");
create table "Odd Table" (id serial primary key, "Full Name" varchar(50) not null, parent int references "Odd Table",
  part int, other int, total int generated always as (coalesce(part, 0) + 1) stored, period int4range, number int generated by default as identity,
  foreign key (part, other) references "Other Place"."Odd Table" (part, "The Id"), check ("Full Name" <> ''), exclude using gist (period with &&));
alter table "Odd Table" add check (part > 0) not valid; create statistics odd on part, other from "Odd Table";
create index "Odd Index" on "Odd Table" using btree ("Full Name" desc nulls last) include (part);
insert into "Odd Table" ("Full Name") values ('Ann Lee'))");
  const std::string plan = R"(
name: odd
operations:
  - rename_column: { table: Odd Table, from: Full Name, to: Whole Name }
  - alter_column: { table: Odd Table, column: other, type: bigint }
)";
  Recorder recorder;
  migrate(database, plan, "expand", &recorder);
  CHECK(recorder.warnings().find("cannot be tried") == std::string::npos);
}

}  // namespace ecmigrate::test
