// What can be known of a plan is said before the first lock: nothing is changed, no journal is made.

#include "support/plain_ddl.hpp"

namespace ecmigrate::test {

namespace {

constexpr const char* k_events = R"sql(
create table events (id bigint not null, region text not null default 'eu', created date not null default '2024-01-01', payload text)
  partition by list (region);
create table events_eu partition of events for values in ('eu') partition by range (created);
create table events_eu_1 partition of events_eu for values from ('2024-01-01') to ('2025-01-01');
create table events_us partition of events for values in ('us');
insert into events select i, 'us', '2024-06-01', 'x' from generate_series(1, 100) i;
)sql";

constexpr const char* k_orders = R"sql(
create table customers (id int primary key, name text not null);
insert into customers select i, 'c' || i from generate_series(1, 10) i;
create table orders (id int primary key, customer_id int, name text, n int);
insert into orders select i, i % 10 + 1, 'c' || i % 5, i % 7 from generate_series(1, 100) i;
)sql";

/// Expand ends with an error of that outcome, and nothing was changed.
void check_said(const std::string& setup, const std::string& operation, Outcome outcome, const std::string& because) {
  INFO(operation);
  Database database;
  database.exec(setup);
  const std::string before = database.schema();
  const Error error = error_of([&] { migrate(database, plan_of(operation), "expand"); });
  CHECK(error.outcome() == outcome);
  CHECK_THAT(error.what(), Catch::Matchers::Contains(because));
  CHECK(database.schema() == before);
  CHECK(database.value("select to_regnamespace('ecmigrate')") == "null");
}

}  // namespace

TEST_CASE("a column that says where rows lie is not renamed, retyped, split or dropped", "[version]") {
  for (
      const char* operation : {
          "rename_column: { table: events, from: region, to: area }",
          "drop_column: { table: events, column: region, down: \"'eu'\" }",
          "alter_column: { table: events, column: region, type: varchar(10) }",
          "alter_column: { table: events, column: region, up: upper(region), down: lower(region) }",
          "alter_column: { table: events, column: region, name: area }",
          "merge_columns: { table: events, columns: [region, payload], into: { name: both, type: text, nullable: true, "
          "up: \"region || ' ' || payload\" }, down: { region: \"split_part(both, ' ', 1)\", payload: "
          "\"split_part(both, ' ', 2)\" } }",
          "split_column: { table: events, column: region, into: [{ name: a, type: text, up: region }, { name: b, type: "
          "text, nullable: true, up: region }], down: a }",
      }) {
    check_expand_refused(k_events, operation, "partition key");
  }
  check_expand_refused(k_events, "rename_column: { table: events, from: created, to: day }", "partition key");
  check_expand_refused(
      "create table events (id int, name text) partition by hash (lower(name)); create table events_0 partition of "
      "events for values with (modulus 1, remainder 0)",
      "rename_column: { table: events, from: name, to: title }", "partition key");
}

TEST_CASE("what leaves a partition key as it is may be done to it") {
  Database database;
  database.exec(k_events);
  migrate(database, plan_of("alter_column: { table: events, column: region, comment: where, default: \"'us'\" }"),
          "expand backfill verify contract");
  CHECK(database.value("select column_default from information_schema.columns where table_name = 'events' and "
                       "column_name = 'region'") == "'us'::text");
}

TEST_CASE("a unique index on a partitioned table is said to be impossible before anything is done") {
  check_expand_refused(k_events,
                       "add_column: { table: events, up: id, column: { name: ref, type: bigint, unique: true } }",
                       "partitioned");
  check_expand_refused(k_events, "alter_column: { table: events, column: payload, unique: { name: u } }",
                       "partitioned");
  check_expand_refused(
      "create table p (id int, n int, primary key (id, n)) partition by range (id); create table p_1 partition of p "
      "for values from (0) to (1000)",
      "alter_column: { table: p, column: n, type: bigint }", "\"p_pkey\"");
}

TEST_CASE("a table whose updates its publication refuses is not begun", "[version]") {
  const std::string rename = "rename_column: { table: events, from: kind, to: type }";
  const std::string table = "create table events (at timestamptz not null, kind text not null); ";
  for (const std::string publication :
       {"create publication test_pub for all tables", "create publication test_pub for table events",
        "alter table events replica identity nothing; create publication test_pub for table events"}) {
    check_expand_refused(table + publication, rename, "replica identity");
  }
  check_expand_refused(
      "create table events (id int, kind text not null) partition by range (id); create table events_1 partition of "
      "events for values from (0) to (9); create publication test_pub for table events",
      rename, "replica identity");
  for (const std::string fine :
       {"create publication test_pub for table events with (publish = 'insert')",
        "alter table events replica identity full; create publication test_pub for table events",
        "alter table events add primary key (kind); create publication test_pub for table events (at, kind)"}) {
    Database database;
    if (fine.find("(at, kind)") != std::string::npos &&
        database.value("select current_setting('server_version_num')::int < 150000") == "t") {
      continue;
    }
    database.exec(table + "insert into events values (now(), 'a');" + fine);
    migrate(database, plan_of("add_column: { table: events, up: kind, column: { name: more, type: text } }"),
            "expand backfill verify");
  }
}

TEST_CASE("a foreign key that the server would not take is a complaint about the plan") {
  check_said(k_orders,
             "alter_column: { table: orders, column: name, references: { name: fk, table: customers, column: id } }",
             Outcome::plan_invalid, "incompatible types");
  check_said(
      std::string(k_orders) + "alter table customers add constraint u unique (id) deferrable",
      "add_column: { table: orders, up: \"now()\", column: { name: at, type: timestamptz, references: { name: fk, "
      "table: customers, column: id } } }",
      Outcome::plan_invalid, "incompatible types");
}

TEST_CASE("a foreign key is tried on every row before it is added", "[version]") {
  const std::string orphan = std::string(k_orders) + "update orders set customer_id = 77 where id = 60;";
  check_expand_refused(
      orphan,
      "alter_column: { table: orders, column: customer_id, references: { name: fk, table: customers, column: id } }",
      "orders row id=60 violates \"fk\"");
  check_expand_refused(
      orphan,
      "add_column: { table: orders, up: customer_id + 1, column: { name: c, type: int, nullable: true, "
      "references: { name: fk, table: customers, column: id } } }",
      "violates \"fk\"");
  // The copy of a key that is not valid would be asked of rows that nobody asks today.
  check_expand_refused(
      orphan + "alter table orders add constraint fk foreign key (customer_id) references customers not valid",
      "alter_column: { table: orders, column: customer_id, type: bigint }", "orders row id=60 violates \"fk\"");
  // Nulls are no orphans, and a key that is not valid but has none is carried on.
  Database database;
  database.exec(std::string(k_orders) +
                "update orders set customer_id = null where id = 60; alter table orders add constraint fk foreign key "
                "(customer_id) references customers not valid");
  migrate(database, plan_of("alter_column: { table: orders, column: customer_id, type: bigint }"),
          "expand backfill verify contract");
  CHECK(database.value("select convalidated from pg_constraint where conname = 'fk'") == "f");
}

TEST_CASE("a unique constraint is tried on every row before it is built", "[version]") {
  check_expand_refused(k_orders, "alter_column: { table: orders, column: name, unique: { name: u } }",
                       "20 rows with name = c");
  check_expand_refused(k_orders,
                       "add_column: { table: orders, up: n * 2, column: { name: m, type: int, unique: true } }",
                       "rows with m = ");
  check_expand_refused(
      k_orders,
      "create_index: { table: orders, name: i, columns: [{ column: n }, { column: name }], unique: true, "
      "predicate: id > 50 }",
      "rows with n, name = ");
  Database database;
  database.exec(std::string(k_orders) + "update orders set name = null where id <> 7");
  migrate(database, plan_of("alter_column: { table: orders, column: name, unique: { name: u } }"), "expand");
}

TEST_CASE("values that a new type would merge under a unique index are found before expand", "[version]") {
  const std::string times =
      "create table t (id int primary key, at timestamp, constraint t_at unique (at)); insert into t values (1, "
      "'2024-01-01 10:00'), (2, '2024-01-01 11:00'), (3, null), (4, null)";
  check_expand_refused(times, "alter_column: { table: t, column: at, type: date, down: at }",
                       "2 rows with at = 2024-01-01");
}

TEST_CASE("an index cannot be built where the role may not create anything, and that is said first") {
  Database database;
  database.exec(
      "do $$ begin create role test_tenant login; exception when duplicate_object then null; end $$; create schema "
      "app; "
      "create table app.t (id int primary key, a text unique); alter table app.t owner to test_tenant; grant usage on "
      "schema app to test_tenant; insert into app.t values (1, 'x')");
  database.exec("grant create on database " + database.name() + " to test_tenant");
  const std::string plan = plan_of("rename_column: { table: t, from: a, to: b }");
  const std::string in_app = "schema: app\n" + plan;
  const std::string file = temporary_file(in_app, ".yaml");
  const auto expand = [&] {
    try {
      return shell("ECMIGRATE_DATABASE_URL=\"" + database.conninfo("user=test_tenant") + "\" " + ECMIGRATE_PROGRAM +
                   " expand " + file + " 2>&1; echo status $?");
    } catch (const std::exception& error) {
      return std::string(error.what());
    }
  };
  const std::string out = expand();
  CHECK_THAT(out, Catch::Matchers::Contains("CREATE on schema \"app\""));
  CHECK_THAT(out, Catch::Matchers::Contains("status 7"));
  CHECK(database.value("select to_regnamespace('ecmigrate')") == "null");
  database.exec("grant create on schema app to test_tenant");
  CHECK_THAT(expand(), Catch::Matchers::Contains("status 0"));
}

TEST_CASE("an index that something else needs is not dropped, and that is said at expand", "[version]") {
  const auto drop = [](const std::string& name) { return "drop_index: { name: " + name + " }"; };
  const std::string keyed =
      "create table t (id int, a int not null); create unique index t_a on t (a); create table r (a int references t "
      "(a));";
  check_expand_refused(keyed, drop("t_a"), "constraint r_a_fkey on table");
  check_expand_refused(std::string(k_events) + "create index e on events (id)", drop("events_us_id_idx"),
                       "needed by index");
  check_expand_refused(std::string(k_events) + "create index e on events (id)", drop("e"), "partitioned");
  check_expand_refused(
      "create table t (id int not null); create unique index u on t (id); alter table t replica identity using index u",
      drop("u"), "replica identity");
}

}  // namespace ecmigrate::test
