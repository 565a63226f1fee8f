#include <stdexcept>

#include "support/plain_ddl.hpp"

namespace ecmigrate::test {

namespace {

constexpr const char* k_town = R"sql(
create table town (id int primary key, name text, country varchar(2), people int, tags text[]);
insert into town select i, 'Town ' || i, 'C' || i % 5, i % 40, array['a' || i % 3] from generate_series(1, 300) i)sql";

constexpr const char* k_unique_people =
    "create_index: { table: town, name: by_people, columns: [people], unique: true }";

constexpr const char* k_index_count = "select count(*) from pg_class where relname = 'by_people'";

}  // namespace

TEST_CASE("an index is the one that plain CREATE INDEX makes") {
  struct Case {
    const char* fields;
    const char* plain;
  };
  const Case cases[] = {
      {"columns: [name]", "create index made on town (name)"},
      {"columns: [country, name]", "create index made on town (country, name)"},
      {"columns: [name, id], unique: true", "create unique index made on town (name, id)"},
      {"columns: [name], predicate: people > 10 and country <> 'C1'",
       "create index made on town (name) where people > 10 and country <> 'C1'"},
      {"columns: [{ column: name, opclass: { name: text_pattern_ops } }]",
       "create index made on town (name text_pattern_ops)"},
      {"columns: [{ column: name, opclass: { name: pg_catalog.text_pattern_ops } }]",
       "create index made on town (name text_pattern_ops)"},
      {"columns: [{ column: name, collate: POSIX }]", "create index made on town (name collate \"POSIX\")"},
      {"columns: [{ column: name, collate: pg_catalog.C, opclass: { name: text_ops }, sort: DESC, nulls: LAST }, { "
       "column: id, nulls: FIRST }]",
       "create index made on town (name collate \"C\" desc nulls last, id nulls first)"},
      {"columns: [name], method: hash", "create index made on town using hash (name)"},
      {"columns: [tags], method: gin, storage_parameters: fastupdate = off",
       "create index made on town using gin (tags) with (fastupdate = off)"},
      {"columns: [name], storage_parameters: \"fillfactor = 70, deduplicate_items = off\"",
       "create index made on town (name) with (fillfactor = 70, deduplicate_items = off)"},
      {"columns: [{ column: people, opclass: { name: int4_minmax_multi_ops, params: { values_per_range: 16 } } }], "
       "method: brin, storage_parameters: pages_per_range = 8, predicate: people is not null",
       "create index made on town using brin (people int4_minmax_multi_ops (values_per_range = 16)) with "
       "(pages_per_range = 8) where people is not null"},
  };
  for (const Case& one : cases) {
    check_as_plain(k_town, std::string("create_index: { table: town, name: made, ") + one.fields + " }", one.plain);
  }
}

TEST_CASE("an index on a column that the same plan adds is built after the backfill") {
  Database database;
  database.exec(k_town);
  const std::string before = database.schema();
  const std::string plan = R"yaml(
name: shout
operations:
  - add_column: { table: town, column: { name: shout, type: text }, up: upper(name) }
  - create_index: { table: town, name: by_shout, columns: [shout, id], unique: true }
)yaml";
  const std::string built = "select count(*) from pg_class where relname = 'by_shout'";
  migrate(database, plan, "expand");
  CHECK(database.value(built) == "0");
  migrate(database, plan, "backfill");
  CHECK(database.value(built) == "1");
  migrate(database, plan, "rollback");
  CHECK(database.schema() == before);
  migrate(database, plan, "expand backfill verify contract");
  CHECK(database.value("select indisvalid and indisunique from pg_index where indexrelid = 'by_shout'::regclass") ==
        "t");
}

TEST_CASE("an invalid index that a killed build left is dropped and built again") {
  Database database;
  database.exec(k_town);
  database.exec("update town set people = id");
  const pg::CallHook killed = [&](pg::CallMoment moment, int, std::string_view sql) {
    if (moment == pg::CallMoment::before && sql.starts_with("create unique index concurrently")) {
      // Its own build, made to fail by a row that is there only now; then the runner is gone.
      database.exec("update town set people = 1 where id = 2");
      CHECK_THROWS(database.value(std::string(sql)));
      database.exec("update town set people = 2 where id = 2");
      throw std::runtime_error("killed");
    }
  };
  CHECK_THROWS_WITH(migrate(database, plan_of(k_unique_people), "expand", nullptr, {}, killed), "killed");
  REQUIRE(database.value("select indisvalid from pg_index where indexrelid = 'by_people'::regclass") == "f");
  migrate(database, plan_of(k_unique_people), "expand");
  CHECK(database.value("select indisvalid from pg_index where indexrelid = 'by_people'::regclass") == "t");
  CHECK(database.value("select count(*) from pg_index where not indisvalid") == "0");
}

TEST_CASE("a unique index over duplicates fails with their values and leaves no index; a second try works") {
  Database database;
  database.exec(k_town);
  const std::string before = database.schema();
  database.exec("update town set people = id");
  // They come when the rows of before have been looked at.
  const pg::CallHook rival = [&](pg::CallMoment moment, int, std::string_view sql) {
    if (moment == pg::CallMoment::before && sql.starts_with("create unique index concurrently")) {
      database.exec("update town set people = 1 where id < 4");
    }
  };
  const Error error = error_of([&] { migrate(database, plan_of(k_unique_people), "expand", nullptr, {}, rival); });
  CHECK(error.outcome() == Outcome::failed);
  CHECK_THAT(error.what(),
             Catch::Matchers::Contains("build index by_people") && Catch::Matchers::Contains("(people)=("));
  CHECK(database.value(k_index_count) == "0");
  CHECK(database.schema() == before);
  database.exec("update town set people = id");
  migrate(database, plan_of(k_unique_people), "expand");
  CHECK(database.value(k_index_count) == "1");
  migrate(database, plan_of(k_unique_people), "rollback");
  CHECK(database.schema() == before);
}

TEST_CASE("duplicates in a new unique column fail the backfill's index and leave none") {
  Database database;
  database.exec(k_town);
  const std::string before = database.schema();
  const std::string plan = plan_of(
      "add_column: { table: town, up: people + 1, column: { name: more, type: int, nullable: true, unique: true } }");
  database.exec("update town set people = id");
  migrate(database, plan, "expand");
  database.exec("update town set people = 1 where id < 4");
  const Error error = error_of([&] { migrate(database, plan, "backfill"); });
  CHECK(error.outcome() == Outcome::failed);
  CHECK_THAT(error.what(), Catch::Matchers::Contains("(more)=("));
  CHECK(database.value("select count(*) from pg_index where not indisvalid") == "0");
  database.exec("update town set people = id");
  migrate(database, plan, "backfill verify contract");
  CHECK(database.value("select contype from pg_constraint where conname = 'town_more_key'") == "u");
  CHECK(database.schema() != before);
}

TEST_CASE("--index-wait that runs out is exit 5 and names who was in the way; the next run builds the index") {
  Database database;
  database.exec(k_town);
  const std::string plan = plan_of(k_unique_people);
  database.exec("update town set people = id");
  const auto reader = database.connect("application_name=metabase");
  reader->script("begin; update town set name = 'x' where id = 1");
  RunOptions options;
  options.index_wait = std::chrono::milliseconds(1'500);
  const Error error = error_of([&] { migrate(database, plan, "expand", nullptr, options); });
  INFO(error.what());
  CHECK(error.outcome() == Outcome::lock_not_obtained);
  CHECK_THAT(error.what(), Catch::Matchers::Contains("metabase"));
  reader->script("commit");
  migrate(database, plan, "expand");
  CHECK(database.value(k_index_count) == "1");
  CHECK(database.value("select count(*) from pg_index where not indisvalid") == "0");
}

TEST_CASE("an index that cannot be is a complaint about the plan, before anything is done") {
  struct Case {
    const char* fields;
    const char* because;
  };
  for (const Case& one : {Case{"name: town_pkey, columns: [name]", "exists already"},
                          Case{"name: made, columns: [nme]", "Did you mean \"name\"?"},
                          Case{"name: made, columns: [name], predicate: peopl > 3", "peopl"},
                          Case{"name: made, columns: [name], method: tree", "tree"},
                          Case{"name: made, columns: [{ column: name, opclass: { name: int4_ops } }]", "int4_ops"},
                          Case{"name: made, columns: [name], storage_parameters: fill = 3", "fill"}}) {
    INFO(one.fields);
    Database database;
    database.exec(k_town);
    const Error error = error_of([&] {
      migrate(database, plan_of(std::string("create_index: { table: town, ") + one.fields + " }"), "expand");
    });
    CHECK(error.outcome() == Outcome::plan_invalid);
    CHECK_THAT(error.what(), Catch::Matchers::StartsWith("test.yaml:3:") && Catch::Matchers::Contains(one.because));
    CHECK(database.value("select count(*) from pg_namespace where nspname = 'ecmigrate'") == "0");
  }
}

}  // namespace ecmigrate::test
