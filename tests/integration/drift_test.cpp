#include "support/plain_ddl.hpp"

namespace ecmigrate::test {

namespace {

constexpr const char* k_table =
    "create table t (id int primary key, a int default 1 check (a > 0), b text); create index t_a on t (a); "
    "comment on column t.a is 'before'; insert into t (id) select generate_series(1, 20)";
constexpr const char* k_type_change = "alter_column: { table: t, column: a, type: bigint }";
constexpr const char* k_rename = "rename_column: { table: t, from: a, to: c }";

/// What somebody does between verify and contract must be there afterwards, as after plain DDL in the same order.
void check_kept(const std::string& operation, const std::string& change, const std::string& plain) {
  INFO(operation << "\n" << change);
  const std::string plan = plan_of(operation);
  Database expected;
  expected.exec(k_table);
  expected.exec(plain);
  Database migrated;
  migrated.exec(k_table);
  migrate(migrated, plan, "expand backfill verify");
  migrated.exec(change);
  migrate(migrated, plan, "contract");
  CHECK(difference(migrated.schema(), expected.schema()) == "");
}

/// Roles are of the whole server.
struct Reader {
  Reader() { Database().exec("do $$ begin create role drift_reader; exception when duplicate_object then end $$"); }
};

}  // namespace

TEST_CASE("a comment, a grant and statistics that somebody changed before contract stay", "[version]") {
  const Reader reader;
  const std::string plain_type = "alter table t alter a type bigint; ";
  check_kept(k_type_change, "comment on column t.a is 'after'", plain_type + "comment on column t.a is 'after'");
  check_kept(k_type_change, "comment on column t.a is null", plain_type + "comment on column t.a is null");
  check_kept(k_type_change, "grant select (a) on t to drift_reader",
             plain_type + "grant select (a) on t to drift_reader");
  check_kept(k_type_change, "alter table t alter a set statistics 7",
             plain_type + "alter table t alter a set statistics 7");
  check_kept(k_type_change, "alter table t alter a set (n_distinct = 5)",
             plain_type + "alter table t alter a set (n_distinct = 5)");
  const std::string plain_rename = "alter table t rename a to c; ";
  check_kept(k_rename, "comment on column t.a is 'after'", plain_rename + "comment on column t.c is 'after'");
  check_kept(k_rename, "comment on column t.c is 'after'", plain_rename + "comment on column t.c is 'after'");
  check_kept(k_rename, "alter table t alter a set default 5", plain_rename + "alter table t alter c set default 5");
  check_kept(k_rename, "alter table t alter c set default 5", plain_rename + "alter table t alter c set default 5");
  check_kept(k_rename, "grant select (c) on t to drift_reader", plain_rename + "grant select (c) on t to drift_reader");
}

TEST_CASE("a privilege that was taken away before contract is not given again", "[version]") {
  const Reader reader;
  for (const auto& [operation, revoked, left] :
       {std::tuple(k_type_change, "a", "a"), {k_rename, "a", "c"}, {k_rename, "c", "c"}}) {
    INFO(operation << " " << revoked);
    Database database;
    database.exec(k_table);
    database.exec("grant select (a), update (a) on t to drift_reader");
    migrate(database, plan_of(operation), "expand backfill verify");
    database.exec(std::string("revoke select (") + revoked + ") on t from drift_reader");
    migrate(database, plan_of(operation), "contract");
    CHECK(database.value(std::string("select has_column_privilege('drift_reader', 't', '") + left +
                         "', 'select') || ' ' || has_column_privilege('drift_reader', 't', '" + left +
                         "', 'update')") == "false true");
  }
}

TEST_CASE("what contract would take back, and cannot keep, is refused with what to do", "[version]") {
  struct Case {
    const char* operation;
    const char* change;
    const char* named;
    const char* put_back;
  };
  const Case cases[] = {
      {k_type_change, "alter table t alter a set default 5", "the default of t.a is 5, it was 1 at expand",
       "alter table t alter a set default 1"},
      {k_type_change, "alter table t alter a drop default", "the default of t.a is none",
       "alter table t alter a set default 1"},
      {k_type_change, "drop index t_a", "index t_a of t is gone", "create index t_a on t (a)"},
      {k_type_change, "drop index t_a; create index t_a on t (a, id)", "index t_a of t was changed",
       "drop index t_a; create index t_a on t (a)"},
      {k_type_change, "create index t_more on t (a desc)", "index t_more of t came after expand", "drop index t_more"},
      {k_type_change, "alter table t drop constraint t_a_check", "constraint t_a_check of t is gone",
       "alter table t add constraint t_a_check check (a > 0)"},
      {k_type_change, "alter table t add constraint less check (a < 9)", "constraint less of t came after expand",
       "alter table t drop constraint less"},
      {k_rename, "create index t_more on t (c)", "index t_more of t came after expand", "drop index t_more"},
      {k_rename, "alter table t add constraint less check (c < 9)", "constraint less of t came after expand",
       "alter table t drop constraint less"},
  };
  for (const Case& one : cases) {
    INFO(one.operation << "\n" << one.change);
    Database database;
    database.exec(k_table);
    const std::string plan = plan_of(one.operation);
    migrate(database, plan, "expand backfill verify");
    database.exec(one.change);
    const std::string before = database.schema();
    const Error error = error_of([&] { migrate(database, plan, "contract"); });
    CHECK(error.outcome() == Outcome::refused);
    CHECK_THAT(error.what(), Catch::Matchers::Contains(one.named));
    CHECK_THAT(error.hint(), Catch::Matchers::Contains("Put it back"));
    CHECK(database.schema() == before);
    database.exec(one.put_back);
    migrate(database, plan, "contract");
    CHECK(database.value("select state from ecmigrate.migrations") == "contracted");
  }
}

TEST_CASE("an index that came since expand may go where that is said") {
  Database database;
  database.exec(k_table);
  migrate(database, plan_of(k_type_change), "expand backfill verify");
  database.exec("create index t_more on t (a desc)");
  RunOptions options;
  options.accept_drop = {"t_more"};
  migrate(database, plan_of(k_type_change), "contract", nullptr, options);
  CHECK(database.value("select to_regclass('t_more')") == "null");
}

TEST_CASE("the copy of an index that somebody dropped is built again by contract", "[version]") {
  Database database;
  database.exec(k_table);
  const std::string plan = plan_of(k_type_change);
  migrate(database, plan, "expand backfill verify");
  database.exec(
      "do $$ declare i record; begin for i in select indexname from pg_indexes where tablename = 't' and indexname "
      "like "
      "'\\_ecmigrate%' loop execute format('drop index %I', i.indexname); end loop; end $$");
  Recorder recorder;
  migrate(database, plan, "contract", &recorder);
  CHECK_THAT(recorder.warnings(), Catch::Matchers::Contains("was dropped by somebody, and is built again"));
  CHECK(database.value("select indexdef from pg_indexes where indexname = 't_a'") ==
        "CREATE INDEX t_a ON public.t USING btree (a)");
}

}  // namespace ecmigrate::test
