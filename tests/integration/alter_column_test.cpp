#include <string>

#include "support/plain_ddl.hpp"

namespace ecmigrate::test {

namespace {

constexpr const char* k_item = R"sql(
create table other (id int primary key, code varchar(20) unique);
insert into other select i, 'c' || i from generate_series(1, 300) i;
create table item (id int generated always as identity primary key, n int, m int, code varchar(20), note text, price numeric(8,2));
insert into item (n, m, code, note, price) select i, i + 1, 'c' || i, case when i % 10 <> 0 then 'note ' || i end, i from generate_series(1, 300) i;
do $$ begin create role test_reader; exception when duplicate_object then null; end $$;
)sql";

constexpr const char* k_item_rows = "select id, n, m, code, note, price from item order by id";

void check_item(const std::string& more, const std::string& fields, const std::string& plain) {
  check_as_plain(k_item + more, "alter_column: { table: item, " + fields + " }", plain, k_item_rows);
}

const std::string k_n_to_bigint = "column: n, type: bigint";
const std::string k_plain_n_to_bigint = "alter table item alter n type bigint";

}  // namespace

TEST_CASE("a type changed through a copy ends as plain DDL would leave it: the column itself") {
  for (const char* more : {
           "",
           "alter table item alter n set not null, alter n set default 7",
           "comment on column item.n is 'how \"many\" it''s \\ of'",
           "alter table item alter n set statistics 321",
           "alter table item alter n set (n_distinct = -0.5)",
           "grant select (n), update (n) on item to test_reader; grant insert (n) on item to public",
           "grant select (n) on item to test_reader with grant option",
       }) {
    check_item(more, k_n_to_bigint, k_plain_n_to_bigint);
  }
}

TEST_CASE("a type changed through a copy ends as plain DDL would leave it: indexes") {
  for (const char* more : {
           "create index i on item (n)",
           "create index i on item (n desc nulls last, note)",
           "create index i on item (note collate \"POSIX\" text_pattern_ops, n)",
           "create index i on item (m) where n > 100",
           "create index i on item ((n + m), (n % 7) desc)",
           "create unique index i on item (m) include (n)",
           "create unique index i on item (n)",
           "create index i on item using hash (n)",
           "create index i on item using brin (n) with (pages_per_range = 16)",
           "create index i on item (n) with (fillfactor = 70); comment on index i is 'a comment'",
           "create index i on item (n); create index j on item (m, n); create index \"K k\" on item (n, m)",
           "create index i on item (n); alter table item cluster on i",
           "alter table item alter n set not null; create unique index i on item (n); alter table item replica "
           "identity using index i",
       }) {
    check_item(more, k_n_to_bigint, k_plain_n_to_bigint);
  }
}

TEST_CASE("a type changed through a copy ends as plain DDL would leave it: constraints") {
  for (const char* more : {
           "alter table item add constraint k unique (n)",
           "alter table item add constraint k unique (m, n)",
           "alter table item add constraint k unique (n) deferrable",
           "alter table item add constraint k unique (n) deferrable initially deferred",
           "alter table item add constraint k unique (n) include (m)",
           "alter table item add constraint k unique (n) with (fillfactor = 80)",
           "alter table item add constraint k unique (n); comment on constraint k on item is 'a comment'",
           "alter table item add constraint k unique (n); alter table item alter n set not null; alter table item "
           "replica identity using index k",
           "alter table item add constraint k check (n > 0)",
           "alter table item add constraint k check (n < m and (n > 0 or note is null))",
           "alter table item add constraint k check (n > 0) no inherit",
           "alter table item add constraint k check (n > 0); comment on constraint k on item is 'a comment'",
           "alter table item add constraint k check (n > 0) not valid",
           "alter table item add constraint k foreign key (n) references other",
           "alter table item add constraint k foreign key (n) references other on delete cascade on update set null "
           "deferrable initially deferred",
           "alter table item add constraint k foreign key (n) references other not valid",
           "alter table item add constraint k foreign key (n) references other; comment on constraint k on item is 'a "
           "comment'",
       }) {
    check_item(more, k_n_to_bigint, k_plain_n_to_bigint);
  }
}

TEST_CASE("a unique constraint that takes nulls for equal is copied as such") {
  Database database;
  if (database.value("select current_setting('server_version_num')::int >= 150000") == "t") {
    check_item("alter table item add constraint k unique nulls not distinct (n)", k_n_to_bigint, k_plain_n_to_bigint);
  }
}

TEST_CASE("a key changes its type with its sequence") {
  for (const std::string table :
       {"create table item (id serial primary key, n int, m int, code text, note text, price int)",
        "create table item (id serial, n int, m int, code text, note text, price int, primary key (id, n))",
        "create table item (id int primary key, n int, m int, code text, note text, price int)"}) {
    check_as_plain(table + "; insert into item (id, n) select i, i from generate_series(1, 300) i",
                   "alter_column: { table: item, column: id, type: bigint }", "alter table item alter id type bigint",
                   k_item_rows);
  }
  check_as_plain("create table item (id serial primary key, n int, m int, code text, note text, price int)",
                 "alter_column: { table: item, column: id, type: bigint, default: \"nextval('item_id_seq')\" }",
                 "alter table item alter id type bigint", k_item_rows);
}

TEST_CASE("a text changed through a copy keeps what plain DDL keeps") {
  check_as_plain(
      std::string(k_item) + "create index i on item (note text_pattern_ops, note desc)",
      "alter_column: { table: item, column: note, type: varchar(40), up: \"upper(note)\", down: \"lower(note)\" }",
      "alter table item alter note type varchar(40) using upper(note)", k_item_rows);
  // The same type: plain DDL would not even touch it, so nothing of it may be lost.
  check_as_plain(std::string(k_item) +
                     "drop table item; create table item (id int primary key, n int, m int, code text, note text "
                     "collate \"POSIX\", price int); "
                     "insert into item (id, note) values (1, 'a')",
                 "alter_column: { table: item, column: note, up: \"upper(note)\", down: \"lower(note)\" }",
                 "update item set note = upper(note)", k_item_rows);
}

TEST_CASE("fields of alter_column end as the plain statement for each, in place and through a copy") {
  struct Case {
    const char* more;
    const char* fields;
    const char* plain;
  };
  const Case cases[] = {
      {"", "nullable: false", "alter table item alter n set not null"},
      {"alter table item alter n set not null;", "nullable: true", "alter table item alter n drop not null"},
      {"alter table item alter n set not null;", "nullable: false", "select 1"},
      {"", "default: 5", "alter table item alter n set default 5"},
      {"alter table item alter n set default 4;", "default: 5", "alter table item alter n set default 5"},
      {"alter table item alter n set default 4;", "default: null", "alter table item alter n drop default"},
      {"", "comment: it's", "comment on column item.n is 'it''s'"},
      {"comment on column item.n is 'old';", "comment: null", "comment on column item.n is null"},
      {"", "unique: { name: n_unique }", "alter table item add constraint n_unique unique (n)"},
      {"", "check: { name: n_check, constraint: n > 0 and m > n }",
       "alter table item add constraint n_check check (n > 0 and m > n)"},
      {"", "references: { name: n_fk, table: other, column: id, on_delete: SET NULL }",
       "alter table item add constraint n_fk foreign key (n) references other on delete set null"},
      {"create index i on item (n, m);", "name: number", "alter table item rename n to number"},
  };
  for (const Case& one : cases) {
    const std::string rows =
        std::string(one.fields).starts_with("name:") ? "select id, number, m from item order by id" : k_item_rows;
    const std::string operation = "alter_column: { table: item, column: n, ";
    check_as_plain(std::string(k_item) + one.more, operation + one.fields + " }", one.plain, rows);
    check_as_plain(std::string(k_item) + one.more, operation + "type: bigint, " + one.fields + " }",
                   "alter table item alter n type bigint; " + std::string(one.plain), rows);
  }
}

TEST_CASE("a type that keeps what is stored changes in place: no copy, no rewrite") {
  struct Case {
    const char* more;
    const char* column;
    const char* type;
  };
  const Case cases[] = {
      {"", "code", "varchar(50)"},
      {"", "code", "varchar"},
      {"", "code", "text"},
      {"", "note", "varchar"},
      {"", "price", "numeric(12,2)"},
      {"", "price", "numeric"},
      {"alter table item add constraint k unique (code) deferrable;", "code", "varchar(50)"},
      {"alter table item add constraint k foreign key (code) references other (code);", "code", "varchar(50)"},
      {"alter table item add unique (code); create table line (code varchar(20) references item (code));", "code",
       "text"}};
  for (const Case& one : cases) {
    INFO(one.more << " " << one.column << " " << one.type);
    const std::string operation =
        std::string("alter_column: { table: item, column: ") + one.column + ", type: \"" + one.type + "\" }";
    check_as_plain(std::string(k_item) + one.more, operation,
                   std::string("alter table item alter ") + one.column + " type " + one.type, k_item_rows);

    Database database;
    database.exec(std::string(k_item) + one.more);
    const std::string node = database.value("select relfilenode from pg_class where oid = 'item'::regclass");
    const std::string columns = "select count(*) from pg_attribute where attrelid = 'item'::regclass and attnum > 0";
    migrate(database, plan_of(operation), "expand backfill verify contract");
    CHECK(database.value("select relfilenode from pg_class where oid = 'item'::regclass") == node);
    CHECK(database.value(columns) == "6");
  }
}

TEST_CASE("a foreign key is added without a scan, validated by verify, and gone after a rollback") {
  Database database;
  database.exec(k_item);
  const std::string before = database.schema();
  const std::string plan =
      plan_of("alter_column: { table: item, column: n, references: { name: n_fk, table: other, column: id } }");
  const std::string validated = "select convalidated from pg_constraint where conname = 'n_fk'";
  migrate(database, plan, "expand");
  CHECK(database.value(validated) == "f");
  migrate(database, plan, "backfill verify");
  CHECK(database.value(validated) == "t");
  migrate(database, plan, "rollback");
  CHECK(database.schema() == before);
}

TEST_CASE("a row that a foreign key does not allow fails verify, and contract stays refused") {
  Database database;
  database.exec(k_item);
  const std::string before = database.schema();
  const std::string plan =
      plan_of("alter_column: { table: item, column: n, references: { name: k, table: other, column: id } }");
  migrate(database, plan, "expand backfill");
  // Past the constraint, as a restore would write.
  database.exec(
      "set session_replication_role = replica; insert into item (n) values (301); reset session_replication_role");
  CHECK(error_of([&] { migrate(database, plan, "verify"); }).outcome() == Outcome::failed);
  CHECK(error_of([&] { migrate(database, plan, "contract"); }).outcome() == Outcome::refused);
  migrate(database, plan, "rollback");
  CHECK(database.schema() == before);
}

TEST_CASE("a row that a check does not allow is refused at expand, before its clients fail on it") {
  for (const std::string field : {"check: { name: k, constraint: n < 300 }", "nullable: false"}) {
    INFO(field);
    Database database;
    database.exec(k_item);
    database.exec("insert into item (n) values (" + std::string(field == "nullable: false" ? "null" : "301") + ")");
    const std::string before = database.schema();
    const std::string plan = plan_of("alter_column: { table: item, column: n, " + field + " }");
    CHECK(error_of([&] { migrate(database, plan, "expand"); }).outcome() == Outcome::refused);
    CHECK(database.schema() == before);
  }
}

TEST_CASE("types that cannot be changed beside the traffic are refused before anything is done") {
  const std::string identity = "create table item (id int generated always as identity primary key, n int)";
  check_expand_refused(identity, "alter_column: { table: item, column: id, type: bigint }", "identity");
  check_expand_refused(
      "create table item (id int primary key); create table line (item_id int constraint line_fk references item)",
      "alter_column: { table: item, column: id, type: bigint }", "line_fk");
  check_expand_refused("create table item (id int primary key, parent int constraint parent_fk references item)",
                       "alter_column: { table: item, column: id, type: bigint }", "parent_fk");
  check_expand_refused("create table item (id int, r int4range, constraint no_overlap exclude using gist (r with &&))",
                       "alter_column: { table: item, column: r, type: int8range, up: \"int8range(lower(r), "
                       "upper(r))\", down: \"int4range(lower(r)::int, upper(r)::int)\" }",
                       "no_overlap");
}

TEST_CASE("a down of its own is taken where up only repeats the column") {
  Database database;
  database.exec("create table t (id int primary key, status text not null default 'new'); insert into t values (1)");
  const std::string plan = plan_of(
      "alter_column: { table: t, column: status, name: state, nullable: true, up: status, down: \"coalesce(state, "
      "'none')\" }");
  migrate(database, plan, "expand");
  database.exec("insert into t (id, state) values (2, null); insert into t (id) values (3)");
  CHECK(database.rows("select status, state from t order by id") == "new|null\nnone|null\nnew|new");
  migrate(database, plan, "backfill verify contract");
  CHECK(database.rows("select state from t order by id") == "new\nnull\nnew");
}

}  // namespace ecmigrate::test
