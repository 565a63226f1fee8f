#include <fmt/format.h>

#include "ecmigrate/base/error.hpp"
#include "ecmigrate/report/answers.hpp"
#include "ecmigrate/store/journal.hpp"
#include "ecmigrate/store/read_model.hpp"
#include "support/catch.hpp"
#include "support/fixtures.hpp"
#include "support/server.hpp"

namespace ecmigrate::test {

namespace {

/// The sequence in which the last write is noted.
std::string sequence(Database& database) {
  return database.value(
      "select quote_ident(schemaname) || '.' || quote_ident(sequencename) from pg_sequences where "
      "schemaname = 'ecmigrate' and sequencename like 'sync\\_users\\_%\\_last'");
}

/// Whether a statement was noted. In a session of its own: one second's writes of a session are noted once.
bool notes(Database& database, const std::string& sql) {
  database.exec("select setval('" + sequence(database) + "', 1, false)");
  database.connect()->query(sql);
  return database.value("select is_called from " + sequence(database)) == "t";
}

/// As if the last write, or the begin of the noting, was so long ago.
void set_back(Database& database, const std::string& interval) {
  database.exec(fmt::format(
      "select setval('{}', (extract(epoch from clock_timestamp() - interval '{}') * 1000)::bigint, is_called) from {}; "
      "update ecmigrate.migrations set started_at = started_at - interval '1 day'",
      sequence(database), interval, sequence(database)));
}

/// Calls contract and gives its refusal.
std::string contract_refused(Database& database, const std::string& quiet_for = "10m") {
  const ProgramResult ran =
      run_program(database, {"contract", "PLAN", "--confirm", "split", "--quiet-for", quiet_for}, k_split);
  CHECK(ran.status == 7);
  return ran.out + ran.err;
}

}  // namespace

TEST_CASE("the sync trigger notes the writes of the old version alone", "[sync][version]") {
  Database database;
  database.exec(k_users);
  migrate(database, k_split, "expand backfill verify");
  CHECK(database.value("select is_called from " + sequence(database)) == "f");
  CHECK(notes(database, "insert into users (full_name, email) values ('Old One', 'old@example.com')"));
  CHECK_FALSE(
      notes(database, "insert into users (first_name, last_name, email) values ('New', 'One', 'new@example.com')"));
  CHECK(notes(database, "update users set full_name = 'Old Two' where email = 'old@example.com'"));
  CHECK_FALSE(notes(database, "update users set full_name = full_name where email = 'old@example.com'"));
  CHECK_FALSE(notes(database, "update users set first_name = 'Newer' where email = 'old@example.com'"));
  CHECK_FALSE(
      notes(database,
            "update users set first_name = 'A', last_name = 'B', full_name = 'A B' where email = 'old@example.com'"));
  CHECK_FALSE(notes(database, "update users set email = 'older@example.com' where email = 'old@example.com'"));
  CHECK_FALSE(notes(database, "delete from users where email = 'older@example.com'"));
  CHECK(notes(database, "update users set full_name = full_name || 'x' where id <= 50"));
  migrate(database, k_split, "contract");
  CHECK(database.value("select count(*) from pg_sequences where schemaname = 'ecmigrate' and sequencename like "
                       "'sync%'") == "0");
}

TEST_CASE("noting leaves lastval() of the application as it is", "[sync]") {
  Database database;
  database.exec(k_users);
  migrate(database, k_split, "expand");
  const auto session = database.connect();
  const std::string id =
      session->query("insert into users (full_name, email) values ('Old', 'old@example.com') returning id").text(0, 0);
  session->query("update users set full_name = 'Older' where id = 1");
  CHECK(session->query("select lastval()").text(0, 0) == id);
  CHECK(database.value("select is_called from " + sequence(database)) == "t");
}

TEST_CASE("a column that goes without another in its place leaves the other mappings alone", "[sync]") {
  Database database;
  database.exec(
      "create table users (id int primary key, full_name text not null, street text not null); insert into "
      "users values (1, 'Ada Lovelace', 's')");
  migrate(database, R"yaml(
name: split
operations:
  - split_column:
      table: users
      column: full_name
      into:
        - { name: first_name, type: text, nullable: false, up: "split_part(full_name, ' ', 1)" }
        - { name: last_name, type: text, nullable: false, up: "substr(full_name, length(split_part(full_name, ' ', 1)) + 2)" }
      down: "concat_ws(' ', first_name, nullif(last_name, ''))"
  - drop_column: { table: users, column: street, down: "'unknown'" }
)yaml",
          "expand backfill verify");
  database.exec("update users set first_name = 'Mary Ann', last_name = 'Smith'");
  CHECK(notes(database, "update users set street = 'elsewhere'"));
  CHECK(database.rows("select full_name, street, first_name, last_name from users") ==
        "Mary Ann Smith|elsewhere|Mary Ann|Smith");
}

TEST_CASE("a rolled back migration leaves no counting sequence, of a dropped table neither", "[sync]") {
  for (const bool dropped : {false, true}) {
    Database database;
    database.exec(k_users);
    migrate(database, k_split, "expand");
    if (dropped) {
      database.exec("drop table users");
    }
    migrate(database, k_split, "rollback");
    CHECK(database.value("select count(*) from pg_sequences where schemaname = 'ecmigrate' and sequencename like "
                         "'sync%'") == "0");
  }
}

TEST_CASE("a column that goes is noted at inserts and at updates", "[sync]") {
  Database database;
  database.exec("create table users (id int primary key, street text not null); insert into users values (1, 'Elm')");
  migrate(database, R"yaml(
name: split
operations:
  - drop_column: { table: users, column: street, down: "'unknown'" }
)yaml",
          "expand");
  CHECK_FALSE(notes(database, "insert into users (id) values (2)"));
  CHECK(notes(database, "insert into users values (3, 'Oak')"));
  CHECK(notes(database, "update users set street = 'Ash' where id = 3"));
  CHECK(database.value("select street from users where id = 2") == "unknown");
}

TEST_CASE("columns whose names stay are not noted", "[sync]") {
  Database database;
  database.exec("create table users (id int primary key, age text); insert into users values (1, '7')");
  migrate(database, R"yaml(
name: split
operations:
  - alter_column: { table: users, column: age, type: integer, up: "age::integer" }
)yaml",
          "expand");
  CHECK(sequence(database).empty());
}

TEST_CASE("whoever may write the table is noted, and writes where that cannot be", "[sync][superuser]") {
  Database database;
  const std::string role = "writer_" + database.name();
  database.exec(k_users);
  database.exec(fmt::format("create role {0}; grant select, insert, update on users to {0}", role));
  migrate(database, k_split, "expand");
  const auto write = [&] {
    const auto session = database.connect();
    session->query("set role " + role);
    session->query("update users set full_name = full_name || 'x' where id = 1");
  };
  const auto was_noted = [&] { return database.value("select is_called from " + sequence(database)); };
  SECTION("as expand lets everybody in") {
    write();
    CHECK(was_noted() == "t");
  }
  SECTION("and is let in again by the next command, which takes it that there were writes") {
    for (const std::string revoke : {"usage on schema ecmigrate", "all on all sequences in schema ecmigrate"}) {
      database.exec("revoke " + revoke + " from public");
      write();
      CHECK(was_noted() == "f");
      migrate(database, k_split, "backfill");
      CHECK(was_noted() == "t");
      database.exec("select setval('" + sequence(database) + "', 1, false)");
      write();
      CHECK(was_noted() == "t");
      database.exec("select setval('" + sequence(database) +
                    "', (extract(epoch from clock_timestamp()) * 1000)::bigint, "
                    "false)");
    }
  }
  SECTION("and expand makes a sequence anew that somebody dropped") {
    database.exec("drop sequence " + sequence(database));
    write();
    migrate(database, k_split, "expand");
    write();
    CHECK(was_noted() == "t");
  }
  SECTION("and what somebody set is not believed") {
    for (const std::string value : {"1", "9223372036854775807"}) {
      database.exec("select setval('" + sequence(database) + "', " + value + ")");
      migrate(database, k_split, "backfill");
      CHECK(database.value("select abs(extract(epoch from clock_timestamp()) * 1000 - last_value) < 60000 from " +
                           sequence(database)) == "t");
    }
  }
  database.exec(fmt::format("drop owned by {0}; drop role {0}", role));
}

TEST_CASE("contract is refused while the old columns were in use of late") {
  Database database;
  database.exec(k_users);
  REQUIRE(run_program(database, {"run", "PLAN"}, k_split).status == 0);
  CHECK_THAT(contract_refused(database),
             Catch::Matchers::Contains("users.full_name: its writes have been noted only since"));
  set_back(database, "2 hours");
  const auto old_version = database.connect("application_name=shop-v1");
  old_version->query("update users set full_name = 'Old One' where id = 1");
  const std::string refusal = contract_refused(database);
  CHECK_THAT(refusal, Catch::Matchers::Contains("the old columns have not been out of use for 10m"));
  CHECK_THAT(refusal, Catch::Matchers::Contains(" ago by shop-v1"));
  CHECK(database.value("select state from ecmigrate.migrations") == "verified");
  set_back(database, "2 hours");
  CHECK(run_program(database, {"contract", "PLAN", "--confirm", "split", "--quiet-for", "1h"}, k_split).status == 0);
}

TEST_CASE("a write of the old version whose transaction still runs is seen, whatever its last statement") {
  Database database;
  database.exec(k_users);
  migrate(database, k_split, "expand");
  const auto old_version = database.connect("application_name=shop-v1");
  old_version->query("begin");
  old_version->query("update users set full_name = 'Old One' where id = 1");
  old_version->query("select 1");
  const ProgramResult status = run_program(database, {"status"});
  CHECK_THAT(status.out, Catch::Matchers::Contains("users.full_name: last written "));
  CHECK_THAT(status.out, Catch::Matchers::Contains("by shop-v1"));
  const ProgramResult json = run_program(database, {"status", "--json"});
  CHECK_THAT(json.out, Catch::Matchers::Contains("\"noted\":true"));
  CHECK_THAT(json.out, Catch::Matchers::Contains("\"by\":[\"shop-v1\"]"));
}

TEST_CASE("the page is told when the old columns were last written") {
  Database database;
  database.exec(k_users);
  migrate(database, k_split, "expand backfill verify");
  const auto words = [&] {
    const auto connection = database.connect();
    const JournalView view = ReadModel(*connection, k_journal_format).look({"split"});
    return old_writes_words(view.migrations.at(0), view.now);
  };
  CHECK(words().empty());
  database.exec("update users set full_name = 'Old One' where id = 1");
  CHECK(words() == "users.full_name was last written in the last minute.");
  set_back(database, "3 minutes");
  CHECK(words() == "users.full_name was last written 3 minutes ago.");
  database.exec("revoke all on all sequences in schema ecmigrate from public; drop sequence " + sequence(database));
  CHECK(words() == "");
}

TEST_CASE("nothing is said of the time of a write that nobody notes") {
  Database database;
  database.exec(k_users);
  const std::string plan = R"yaml(
name: split
operations:
  - drop_column: { table: users, column: full_name }
)yaml";
  database.exec("alter table users alter full_name drop not null");
  REQUIRE(run_program(database, {"run", "PLAN"}, plan).status == 0);
  const ProgramResult ran =
      run_program(database, {"contract", "PLAN", "--confirm", "split", "--quiet-for", "1s"}, plan);
  CHECK(ran.status == 7);
  CHECK_THAT(ran.err, Catch::Matchers::Contains("nothing notes its writes, so it cannot be known"));
}

TEST_CASE("the old shape of a migration that an older program began is not taken for quiet") {
  Database database;
  database.exec(k_users);
  REQUIRE(run_program(database, {"run", "PLAN"}, k_split).status == 0);
  database.exec("update ecmigrate.migrations set recipe = recipe - 'old_shapes'");
  CHECK_THAT(contract_refused(database, "1s"),
             Catch::Matchers::Contains("users.full_name: nothing notes its writes, so it cannot be known"));
}

TEST_CASE("a replica that takes over writes and knows the last write", "[standby]") {
  const OwnServer primary("fsync=off");
  Database database(primary.conninfo());
  database.exec(k_users);
  const OwnServer replica(&primary, "hot_standby=on");
  REQUIRE(run_program(database, {"run", "PLAN"}, k_split).status == 0);
  database.exec("update users set full_name = 'Old One' where id = 1");
  const std::string noted = database.value("select last_value from " + sequence(database));
  database.wait_for("exists (select from pg_stat_replication where replay_lsn >= pg_current_wal_lsn())");
  pg::Connection promoted({replica.conninfo() + " dbname=" + database.name(), "test", nullptr});
  promoted.query("select pg_promote()");
  CHECK(promoted.query("select last_value from " + sequence(database)).text(0, 0) == noted);
  promoted.query("update users set full_name = 'Old Two' where id = 1");
  CHECK(promoted.query("select last_value > " + noted + " from " + sequence(database)).boolean(0, 0));
}

TEST_CASE("a statement of another database that cannot be shown stops nothing", "[superuser][unicode]") {
  const OwnServer server("shared_preload_libraries=pg_stat_statements");
  const Database other(server.conninfo(), "SQL_ASCII");
  Database database(server.conninfo());
  database.exec("create extension pg_stat_statements");
  database.exec(k_users);
  shell(fmt::format("printf 'select 1 as \"caf\\351\"' | PGCLIENTENCODING=SQL_ASCII psql -X '{}'", other.conninfo()));
  CHECK(run_program(database, {"run", "PLAN", "--through", "contract", "--confirm", "split"}, k_split).status == 0);
  CHECK(run_program(database, {"status"}).status == 0);
}

TEST_CASE("statements that name an old column are told by pg_stat_statements", "[superuser]") {
  const OwnServer server("shared_preload_libraries=pg_stat_statements");
  Database database(server.conninfo());
  database.exec("create extension pg_stat_statements");
  database.exec(k_users);
  database.exec("select full_name from users where id = 1");
  REQUIRE(run_program(database, {"run", "PLAN"}, k_split).status == 0);
  set_back(database, "2 hours");
  const auto last_look_was = [&](const std::string& interval) {
    database.exec(
        fmt::format("update ecmigrate.migrations set started_at = started_at - interval '1 day'; update "
                    "ecmigrate.events set at = clock_timestamp() - interval '{}' where type = 'old_use' and "
                    "at > clock_timestamp() - interval '{}'",
                    interval, interval));
  };
  last_look_was("20 minutes");
  // Neither what was called before expand, nor our own, nor what a trigger runs.
  const ProgramResult quiet = run_program(database, {"status"});
  CHECK_THAT(quiet.out, Catch::Matchers::Contains("no statement that names it was called since expand"));
  database.exec("select full_name from users where id = 1");
  database.exec("select first_name from users where id = 1");
  database.exec("select full_name from (values (1)) v(full_name)");
  const ProgramResult used = run_program(database, {"status"});
  CHECK_THAT(used.out, Catch::Matchers::Contains("1 statement names it, 1 call since expand"));
  CHECK_THAT(contract_refused(database), Catch::Matchers::Contains("called since the look 20m"));
  last_look_was("11 minutes");
  CHECK(run_program(database, {"contract", "PLAN", "--confirm", "split", "--quiet-for", "10m"}, k_split).status == 0);
}

}  // namespace ecmigrate::test
