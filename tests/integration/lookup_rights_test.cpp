// The sync trigger runs with the rights of whoever writes the row: what `up` and `down` look up, these must be allowed
// to look up.

#include "support/plain_ddl.hpp"

namespace ecmigrate::test {

namespace {

const std::string k_setup =
    "do $$ begin create role test_writer; exception when duplicate_object then null; end $$; do $$ begin create role "
    "test_reader; exception when duplicate_object then null; end $$; create schema ref; create table ref.countries (id "
    "int primary key, name text unique, secret text); insert into ref.countries values (1, 'DE'), (2, 'FR'); create "
    "table "
    "addr (id int primary key, country text not null); insert into addr select i, 'DE' from generate_series(1, 10) i; "
    "create function ref.code(text) returns int language sql stable as $$ select 1 $$; ";
const std::string k_lookup =
    "add_column: { table: addr, up: \"(select c.id from ref.countries c where c.name = country)\", column: { name: "
    "country_id, type: int } }";

}  // namespace

TEST_CASE("an up that looks into a table which a writing role may not read stops expand", "[version][superuser]") {
  const std::string writes = k_setup + "grant insert, update on addr to test_writer; ";
  check_expand_refused(writes, k_lookup, "test_writer");
  check_expand_refused(writes + "grant select on ref.countries to test_writer", k_lookup, "schema ref");
  check_expand_refused(writes +
                           "grant usage on schema ref to test_writer; grant select (id, secret) on ref.countries to "
                           "test_writer",
                       k_lookup, "ref.countries");
  check_expand_refused(k_setup + "grant update (country) on addr to test_writer", k_lookup, "test_writer");
  check_expand_refused(k_setup + "grant insert on addr to public; grant insert on addr to test_writer", k_lookup,
                       "test_writer");
  check_expand_refused(
      writes + "grant usage on schema ref to test_writer; revoke execute on function ref.code from public",
      "add_column: { table: addr, up: ref.code(country), column: { name: c, type: int } }", "ref.code(text)");
}

TEST_CASE("roles that may read what is looked up, or write nothing, are in nobody's way", "[version]") {
  for (const std::string rights : {"grant insert, update on addr to test_writer; grant usage on schema ref to "
                                   "test_writer; grant select (id, name) on "
                                   "ref.countries to test_writer",
                                   "grant select, delete on addr to test_writer", "select 1"}) {
    INFO(rights);
    Database database;
    database.exec(k_setup + rights);
    migrate(database, plan_of(k_lookup), "expand");
  }
}

}  // namespace ecmigrate::test
