// Triggers, rules and functions of the application that a migration would silence, mislead or break: named at expand,
// refused where every request would fail.

#include "support/plain_ddl.hpp"

namespace ecmigrate::test {

namespace {

const std::string k_table =
    "create table t (id int primary key, a text not null, slug text, n int); create table h (id int, a text, slug "
    "text, "
    "n int); insert into t select i, 'x' || i, 's', i from generate_series(1, 10) i; ";
const std::string k_rename = "rename_column: { table: t, from: a, to: b }";

std::string function(const std::string& body) {
  return "create function f() returns trigger language plpgsql as $$ begin " + body + " return new; end $$; ";
}

std::string warnings_of(const std::string& setup, const std::string& operation) {
  Database database;
  database.exec(k_table + setup);
  Recorder recorder;
  migrate(database, plan_of(operation), "expand", &recorder);
  return recorder.warnings();
}

}  // namespace

TEST_CASE("a trigger that fires for updates of the old column alone is named", "[version]") {
  const std::string setup = function("insert into h (id) values (new.id);") +
                            "create trigger audit after update of a, n on t for each row execute function f();"
                            "create trigger other after update of n on t for each row execute function f()";
  const std::string words = warnings_of(setup, k_rename);
  CHECK_THAT(words, Catch::Matchers::Contains("trigger audit on t fires for UPDATE OF a"));
  CHECK_THAT(words, Catch::Matchers::Contains(" b "));
  CHECK(words.find("trigger other") == std::string::npos);
  for (const std::string operation : {"split_column: { table: t, column: a, into: [{ name: c, type: text, up: a }, { "
                                      "name: d, type: text, nullable: true, "
                                      "up: a }], down: c }",
                                      "alter_column: { table: t, column: a, name: c, type: varchar(20) }"}) {
    CHECK_THAT(warnings_of(setup, operation), Catch::Matchers::Contains("trigger audit on t fires for UPDATE OF a"));
  }
  // The name stays: those who write it are the same before and after.
  CHECK(warnings_of(setup, "alter_column: { table: t, column: n, type: bigint }").find("UPDATE OF") ==
        std::string::npos);
}

TEST_CASE("a trigger that runs before ours and reads the old column is named", "[version]") {
  const auto setup = [](const std::string& body) {
    return function(body) + "create trigger slugs before insert or update on t for each row execute function f()";
  };
  for (const std::string body :
       {"new.slug := lower(new.a);", "if tg_op = 'INSERT' or NEW . \"a\" <> old.a then new.slug := 'x'; end if;",
        "new.slug := md5(to_jsonb(new)->>'a');", "new.slug := hstore_of(new);"}) {
    INFO(body);
    CHECK_THAT(warnings_of(setup(body), k_rename), Catch::Matchers::Contains("trigger slugs on t"));
  }
  CHECK(warnings_of(setup("new.slug := new.n::text || 'new.a' /* new.a */; -- new.a\n"), k_rename).find("slugs") ==
        std::string::npos);
  CHECK(warnings_of(setup("new.slug := new.abc;") + "; alter table t add abc text", k_rename).find("slugs") ==
        std::string::npos);
  CHECK_THAT(warnings_of("alter table t add v tsvector; create trigger words before insert or update on t for each row "
                         "execute function tsvector_update_trigger(v, 'pg_catalog.english', a)",
                         k_rename),
             Catch::Matchers::Contains("trigger words on t"));
  CHECK_THAT(
      warnings_of(function("new.slug := 'x';") +
                      "create trigger changed before update on t for each row when (old.a is distinct from new.a) "
                      "execute function f()",
                  k_rename),
      Catch::Matchers::Contains("trigger changed on t"));
}

TEST_CASE("a trigger that copies whole rows into another table stops expand", "[version]") {
  const auto setup = [](const std::string& body, const std::string& when = "after update") {
    return k_table + function(body) + "create trigger hist " + when + " on t for each row execute function f()";
  };
  for (const std::string body : {"insert into h select old.*;", "insert into h values (new.*);",
                                 "INSERT INTO h (id, a, slug, n) SELECT (OLD).*;", "insert into h select NEW . * ;",
                                 "if true then insert into h select new.id, old.*; end if;"}) {
    INFO(body);
    check_expand_refused(setup(body), k_rename, "trigger hist on t");
    check_expand_refused(setup(body), "add_column: { table: t, column: { name: c, type: int, nullable: true } }",
                         "trigger hist on t");
  }
  check_expand_refused(setup("insert into h select old.*;", "after delete"), k_rename, "trigger hist on t");
  for (const std::string fine :
       {"insert into h (a) values (md5(new.*::text));", "insert into h (a) select to_jsonb(old.*)->>'a';",
        "insert into h (id, a) values (old.id, old.a); -- insert into h select old.*\n",
        "if old.* is distinct from new.* then insert into h (id) values (1); end if;",
        "insert into h (a) values ('insert into h select old.*');"}) {
    INFO(fine);
    Database database;
    database.exec(setup(fine));
    migrate(database, plan_of(k_rename), "expand");
  }
  CHECK_THAT(warnings_of(function("execute 'insert into h select ($1).*' using old;") +
                             "create trigger hist after update on t for each row execute function f()",
                         k_rename),
             Catch::Matchers::Contains("trigger hist on t"));
}

TEST_CASE("what fires for the backfill's updates, too, is named") {
  const std::string trigger =
      function("") + "create trigger seen after update on t for each row execute function f(); ";
  const std::string says = "trigger seen on t is ENABLE ALWAYS or REPLICA: it fires for the backfill's updates";
  for (const std::string mode : {"always", "replica"}) {
    CHECK_THAT(warnings_of(trigger + "alter table t enable " + mode + " trigger seen", k_rename),
               Catch::Matchers::Contains(says));
  }
  CHECK(warnings_of(trigger, k_rename).find(says) == std::string::npos);
  CHECK_THAT(warnings_of("create rule log as on update to t do also insert into h (id) values (new.id)", k_rename),
             Catch::Matchers::Contains("rule log on t fires for the backfill's updates"));
}

TEST_CASE("a rule that does something else instead of an UPDATE stops expand") {
  check_expand_refused(k_table + "create rule never as on update to t where old.n = 3 do instead nothing", k_rename,
                       "rule never on t does something else instead of an UPDATE");
}

TEST_CASE("rules and functions that see whole rows or the old column are named") {
  CHECK_THAT(warnings_of("create rule log as on update to t where new.a <> old.a do also insert into h (id, a) values "
                         "(new.id, new.a)",
                         k_rename),
             Catch::Matchers::Contains("rule log on t"));
  for (const std::string function :
       {"create function f(i int) returns table (id int, a text, slug text, n int) language sql as $$ select * from t "
        "where "
        "id = i $$",
        "create function f(i int) returns record language plpgsql as $$ declare r record; begin update t set n = 1 "
        "where id "
        "= i returning * into r; return r; end $$",
        "create function f() returns void language sql as $$ insert into h select * from t $$"}) {
    INFO(function);
    CHECK_THAT(warnings_of(function, k_rename), Catch::Matchers::Contains("function f("));
  }
  for (const std::string function :
       {"create function f(i int) returns setof t language sql as $$ select * from t where id = i $$",
        "create function f() returns bigint language sql as $$ select count(*) from t $$",
        "create function f() returns void language sql as $$ insert into h select * from h $$"}) {
    INFO(function);
    CHECK(warnings_of(function, k_rename).find("function f(") == std::string::npos);
  }
}

}  // namespace ecmigrate::test
