// The sync trigger among the application's own triggers, on partitions, without a key, and behind a subscription.
#include <fmt/format.h>

#include <chrono>
#include <thread>

#include "sync_cases.hpp"

namespace ecmigrate::test {

namespace {

constexpr const char* k_split_people = R"yaml(
name: split
operations:
  - split_column:
      table: users
      column: full_name
      into:
        - { name: first_name, type: text, up: "split_part(full_name, ' ', 1)" }
        - { name: last_name, type: text, up: "substr(full_name, length(split_part(full_name, ' ', 1)) + 2)" }
      down: "concat_ws(' ', first_name, nullif(last_name, ''))"
)yaml";

constexpr const char* k_people =
    "create table users (id bigint primary key, full_name text not null, note text); "
    "insert into users select i, 'Ann' || i || ' Lee' from generate_series(1, 50) i;";

/// A trigger of the application that tidies names up, as in many a shop.
std::string tidy_trigger(const std::string& name, const std::string& table = "users") {
  return fmt::format(R"(
create or replace function tidy() returns trigger language plpgsql as
$$ begin new.full_name := regexp_replace(new.full_name, '  +', ' ', 'g'); new.note := concat(new.note, '+'); return new; end $$;
create trigger "{}" before insert or update on {} for each row execute function tidy())",
                     name, table);
}

/// Whether a sync trigger for each event sorts before, and one behind, every other BEFORE row trigger of its table.
constexpr const char* k_first_and_last = R"(
with ours as (select t.* from pg_trigger t join pg_proc p on p.oid = t.tgfoid where p.pronamespace = 'ecmigrate'::regnamespace)
select bool_and(exists (select from ours s where s.tgrelid = u.tgrelid and s.tgtype & event <> 0 and s.tgname::text collate "C" < u.tgname::text collate "C")
  and exists (select from ours s where s.tgrelid = u.tgrelid and s.tgtype & event <> 0 and s.tgname::text collate "C" > u.tgname::text collate "C"))
from pg_trigger u, unnest(array[4, 16]) event where not u.tgisinternal and u.tgrelid in (select tgrelid from ours) and u.oid not in (select oid from ours))";

/// A trigger that makes one column from another, and knows the old name alone.
constexpr const char* k_posts = R"(
create table posts (id int primary key, title text not null, slug text not null);
create function slug_of_title() returns trigger language plpgsql as
$$ begin new.title := trim(new.title); new.slug := lower(replace(new.title, ' ', '-')); return new; end $$;
create trigger posts_slug before insert or update on posts for each row execute function slug_of_title();
insert into posts (id, title) select i, 'Post ' || i from generate_series(1, 20) i;)";

constexpr const char* k_headline =
    "name: headline\noperations:\n  - rename_column: { table: posts, from: title, to: headline }\n";

}  // namespace

TEST_CASE("the sync trigger runs after the application's own, whatever their names",
          "[sync][triggers][superuser][unicode]") {
  for (const std::string& name :
       {std::string("tidy"), std::string("zzz"), std::string("zzzz"), std::string("zzz_ecmigrate_zzzz"),
        std::string("~~~"), std::string("ÿ"), std::string("🙂"), std::string(63, 'z'), std::string(63, '~')}) {
    INFO(name);
    for (const std::string phases : {"expand", "expand backfill"}) {
      Database database;
      database.exec(k_people);
      database.exec(tidy_trigger(name));
      const std::string before = database.schema();
      migrate(database, k_split_people, phases);
      CHECK(database.value(k_first_and_last) == "t");
      CHECK(database.value("select count(*) from users where note is not null") ==
            "0");  // the backfill fired none of them
      database.exec(
          "update users set full_name = 'Bea   Lu' where id = 1; insert into users values (101, 'Cleo   Po')");
      database.exec("update users set first_name = 'Dan' where id = 2");
      CHECK(database.rows("select full_name, first_name, last_name from users where id in (1, 2, 101) order by id") ==
            "Bea Lu|Bea|Lu\nDan Lee|Dan|Lee\nCleo Po|Cleo|Po");
      migrate(database, k_split_people, "backfill verify rollback");
      CHECK(database.schema() == before);
    }
  }
}

TEST_CASE("the application's triggers see what the new version writes under the names that they know",
          "[sync][triggers]") {
  Database database;
  database.exec(k_posts);
  migrate(database, k_headline, "expand backfill");
  const auto written = [&](const std::string& sql, const std::string& id) {
    database.exec(sql);
    return database.rows("select title, headline, slug from posts where id = " + id);
  };
  CHECK(written("insert into posts (id, headline) values (101, 'Brand New')", "101") ==
        "Brand New|Brand New|brand-new");
  CHECK(written("update posts set headline = 'Other Words' where id = 1", "1") ==
        "Other Words|Other Words|other-words");
  // What the trigger makes of an old name is still what counts for those who write that.
  CHECK(written("insert into posts (id, title) values (102, ' Old Way ')", "102") == "Old Way|Old Way|old-way");
  CHECK(written("update posts set title = ' Old Words ' where id = 2", "2") == "Old Words|Old Words|old-words");
  CHECK(written("update posts set headline = 'New', title = 'Old' where id = 3", "3") == "New|New|old");
  migrate(database, k_headline, "verify");
}

TEST_CASE("what the application's triggers make of other columns is in the old one, as without them",
          "[sync][triggers]") {
  Database database;
  database.exec(
      "create table t (id int primary key, full_name text not null, suffix text); insert into t values (1, 'Ann Lee "
      "Jr', 'Jr'); create function f() returns trigger language plpgsql as $$ begin new.suffix := 'Sr'; return new; "
      "end $$; create trigger tr before insert or update on t for each row execute function f()");
  migrate(database,
          "name: suffix\noperations:\n  - split_column:\n      table: t\n      column: full_name\n      into:\n"
          "        - { name: first_name, type: text, nullable: false, up: \"split_part(full_name, ' ', 1)\" }\n"
          "        - { name: last_name, type: text, nullable: false, up: \"split_part(full_name, ' ', 2)\" }\n"
          "      down: \"first_name || ' ' || last_name || coalesce(' ' || suffix, '')\"\n",
          "expand backfill");
  database.exec(
      "insert into t (id, first_name, last_name) values (10, 'Bea', 'Lu'); update t set last_name = 'Zo' where id = 1");
  CHECK(database.rows("select full_name from t order by id") == "Ann Zo Sr\nBea Lu Sr");
}

TEST_CASE("a null that the new version gives is kept where the application has triggers", "[sync][triggers]") {
  Database database;
  database.exec(
      "create table t (id int primary key, street text default 'x', city text default 'y'); create function f() "
      "returns trigger language plpgsql as $$ begin return new; end $$; create trigger tr before insert on t for each "
      "row execute function f()");
  migrate(database,
          "name: address\noperations:\n  - merge_columns:\n      table: t\n      columns: [street, city]\n"
          "      into: { name: address, type: text, nullable: true, up: \"street || ', ' || city\" }\n"
          "      down: { street: \"coalesce(split_part(address, ', ', 1), '')\", city: "
          "\"coalesce(split_part(address, ', ', 2), '')\" }\n",
          "expand");
  database.exec("insert into t (id, address) values (10, null); insert into t (id, street) values (11, 'z')");
  CHECK(database.rows("select street, city, address from t order by id") == "||null\nz|y|z, y");
}

TEST_CASE("a repair is not taken for the new version's write where the application's triggers fire",
          "[sync][triggers][superuser]") {
  for (const bool old_is_right : {true, false}) {
    Database database;
    database.exec(
        "create table users (id bigint primary key, full_name text not null, note text); "
        "insert into users select i, 'Ann  Marie Lee' from generate_series(1, 20) i; "
        "create function count_it() returns trigger language plpgsql as $$ begin new.note := concat(new.note, "
        "'+'); return new; end $$; create trigger count_it before insert or update on users for each row "
        "execute function count_it(); "
        "do $$ begin create role test_owner login; exception when duplicate_object then null; end $$; "
        "alter table users owner to test_owner; grant all on schema public to test_owner");
    database.exec(fmt::format("grant create, temporary on database {} to test_owner", database.name()));
    const auto as_owner = [&](std::vector<std::string> arguments) {
      arguments.insert(arguments.end(), {"PLAN", "-d", database.conninfo("user=test_owner")});
      const ProgramResult ran = run_program(database, arguments, k_split_people);
      INFO(ran.err);
      CHECK(ran.status == 0);
    };
    as_owner({"run", "--through", "backfill"});
    database.exec(
        "begin; set local session_replication_role = replica; update users set full_name = 'Cher ', "
        "first_name = 'Bea', last_name = 'Lu' where id = 1; commit");
    as_owner({"verify", old_is_right ? "--repair=old" : "--repair=new"});
    CHECK(database.rows("select full_name, first_name, last_name from users where id = 1") ==
          (old_is_right ? "Cher |Cher|" : "Bea Lu|Bea|Lu"));
  }
}

TEST_CASE("a trigger made later that would run behind is named by verify and by contract", "[sync][triggers]") {
  Database database;
  database.exec(k_people);
  migrate(database, k_split_people, "expand backfill");
  database.exec(tidy_trigger("zzzz later"));
  std::string message;
  CHECK(outcome_of([&] { migrate(database, k_split_people, "verify"); }, &message) == Outcome::refused);
  CHECK(message.find("zzzz later") != std::string::npos);
  database.exec("alter trigger \"zzzz later\" on users rename to tidy");
  migrate(database, k_split_people, "verify");
  database.exec("alter trigger tidy on users rename to \"zzzz later\"");
  CHECK(outcome_of([&] { migrate(database, k_split_people, "contract"); }, &message) == Outcome::refused);
  CHECK(message.find("zzzz later") != std::string::npos);
  // One that is disabled, or that runs after the row is written, changes nothing.
  database.exec(
      "alter table users disable trigger \"zzzz later\"; create function see() returns trigger language plpgsql as $$ "
      "begin return null; end $$; "
      "create trigger \"zzzz after\" after update on users for each row execute function see()");
  migrate(database, k_split_people, "verify contract");
}

TEST_CASE("what the application's triggers insert during the backfill is synced", "[sync][triggers][superuser]") {
  Database database;
  database.exec(k_people);
  // The backfill of a role that may not set session_replication_role fires them.
  database.exec(
      "do $$ begin create role test_owner login; exception when duplicate_object then null; end $$; alter table users "
      "owner to test_owner; "
      "grant all on schema public to test_owner; create function copy_one() returns trigger language plpgsql as "
      "$$ begin insert into users (id, full_name) values (101, 'Copy One'); return null; end $$; "
      "create trigger copy after update on users for each row when (new.id = 1) execute function copy_one()");
  database.exec(fmt::format("grant create on database {} to test_owner", database.name()));
  std::string plan = k_split_people;
  for (std::size_t at = 0; (at = plan.find("type: text", at)) != std::string::npos; at += 10) {
    plan.replace(at, 10,
                 "type: text, nullable: false");  // or the row would only be pending, and filled by a later batch
  }
  const ProgramResult ran =
      run_program(database, {"run", "--through", "backfill", "PLAN", "-d", database.conninfo("user=test_owner")}, plan);
  INFO(ran.err);
  CHECK(ran.status == 0);
  CHECK(database.rows("select full_name, first_name, last_name from users where id in (1, 101) order by id") ==
        "Ann1 Lee|Ann1|Lee\nCopy One|Copy|One");
}

TEST_CASE("partitions: inserts, moves, and leaves with triggers and column orders of their own", "[sync][triggers]") {
  const std::string setup = R"(
create table users (region text not null, id bigint not null, gone text, full_name text not null, note text, primary key (region, id)) partition by list (region);
create table users_eu partition of users for values in ('de', 'uk') partition by list (region);
create table users_de partition of users_eu for values in ('de');
create table users_uk partition of users_eu for values in ('uk');
create table users_us (note text, full_name text not null, spare text, id bigint not null, gone text, region text not null);
alter table users_us drop column spare;
alter table users attach partition users_us for values in ('us');
alter table users drop column gone;
insert into users (region, id, full_name) select (array['de', 'uk', 'us'])[i % 3 + 1], i, 'Ann' || i || ' Lee' from generate_series(1, 30) i;)";
  for (const std::string phases : {"expand", "expand backfill"}) {
    Database database;
    database.exec(setup + tidy_trigger("zzzzz of a leaf", "users_uk"));
    const std::string before = database.schema();
    migrate(database, k_split_people, "expand rollback");
    CHECK(database.schema() == before);
    migrate(database, k_split_people, phases);
    CHECK(database.value(k_first_and_last) == "t");
    const auto row = [&](int id) {
      return database.rows(fmt::format("select region, full_name, first_name, last_name from users where id = {}", id));
    };
    database.exec("update users set first_name = 'Bea' where id in (1, 2, 3)");
    CHECK(row(1) == "uk|Bea Lee|Bea|Lee");
    CHECK(row(2) == "us|Bea Lee|Bea|Lee");  // its columns stand in another order
    CHECK(row(3) == "de|Bea Lee|Bea|Lee");
    database.exec(
        "update users set region = 'us' where id = 4; update users set region = 'uk', full_name = 'Cleo Po' where id = "
        "5; "
        "update users set region = 'de', first_name = 'Dan Dan' where id = 7");
    CHECK(row(4) == "us|Ann4 Lee|Ann4|Lee");
    CHECK(row(5) == "uk|Cleo Po|Cleo|Po");
    CHECK(row(7) == "de|Dan Dan Lee|Dan Dan|Lee");
    database.exec("update users set full_name = 'Hal   Vo' where id = 10");
    CHECK(row(10) == "uk|Hal Vo|Hal|Vo");
    database.exec("update users set region = 'us' where id = 7");  // a lossy row moves as it stands
    CHECK(row(7) == "us|Dan Dan Lee|Dan Dan|Lee");
    database.exec(
        "insert into users (region, id, full_name) values ('us', 101, 'Eve Ry'); insert into users_de (region, id, "
        "first_name, last_name) values ('de', 102, 'Flo', 'Sy'); "
        "update users_us set full_name = 'Gus Ty' where id = 101");
    CHECK(row(101) == "us|Gus Ty|Gus|Ty");
    CHECK(row(102) == "de|Flo Sy|Flo|Sy");
    migrate(database, k_split_people, "backfill verify contract");
    CHECK(database.value("select count(*) from users where first_name = 'Ann' || id and last_name = 'Lee'") == "24");
  }
}

TEST_CASE("a table without a key is migrated, and its rows are named by their place", "[sync][triggers]") {
  Database database;
  database.exec(
      "create table users (full_name text, note text); insert into users select 'Ann' || i || ' Lee' from "
      "generate_series(1, 2000) i");
  migrate(database, k_split_people, "expand");
  database.exec(
      "update users set first_name = 'Bea' where full_name = 'Ann7 Lee'; insert into users (full_name) values ('Cleo "
      "Po'), ('Cleo Po')");
  migrate(database, k_split_people, "backfill verify");
  database.exec(
      "set session_replication_role = replica; update users set full_name = 'X Y' where first_name = 'Bea'; reset "
      "session_replication_role");
  Recorder recorder;
  CHECK(outcome_of([&] { migrate(database, k_split_people, "verify", &recorder); }) == Outcome::differences_found);
  REQUIRE(recorder.all<event::Difference>().size() == 1);
  CHECK(recorder.all<event::Difference>().front().key.starts_with("ctid=("));
  RunOptions repair;
  repair.repair = RunOptions::Side::new_columns;
  migrate(database, k_split_people, "verify", nullptr, repair);
  migrate(database, k_split_people, "contract");
  CHECK(database.value("select count(*) from users where last_name = 'Lee'") == "2000");
}

TEST_CASE("on a subscribed table the trigger fires for what is replicated", "[sync][triggers][superuser]") {
  Database publisher;
  Database subscriber;
  publisher.exec(k_people);
  publisher.exec("create publication p for table users");
  publisher.exec(fmt::format("select pg_create_logical_replication_slot('{}', 'pgoutput')", subscriber.name()));
  subscriber.exec("create table users (id bigint primary key, full_name text not null, note text)");
  subscriber.exec(
      fmt::format("create subscription s connection '{}' publication p with (create_slot = false, slot_name = '{}')",
                  publisher.conninfo(), subscriber.name()));
  const auto await = [&](const std::string& condition) {
    // The apply worker has no other sign that it is done; bounded, so that a trigger that does not fire fails the test.
    for (int i = 0; i < 600 && subscriber.value("select " + condition) != "t"; ++i) {
      std::this_thread::sleep_for(std::chrono::milliseconds(50));
    }
    CHECK(subscriber.value("select " + condition) == "t");
  };
  await("not exists (select from pg_subscription_rel where srsubstate <> 'r')");
  migrate(subscriber, k_split_people, "expand");
  CHECK(subscriber.value(
            "select string_agg(distinct tgenabled::text, '') from pg_trigger where tgrelid = 'users'::regclass") ==
        "A");
  publisher.exec(
      "insert into users values (101, 'Bea Lu'); update users set full_name = 'Cleo Po' where id = 1; update users set "
      "note = 'x' where id = 2; "
      "insert into users values (102, 'last one')");
  await("exists (select from users where id = 102)");
  CHECK(subscriber.rows("select full_name, first_name, last_name from users where id in (1, 2, 101) order by id") ==
        "Cleo Po|Cleo|Po\nAnn2 Lee|Ann2|Lee\nBea Lu|Bea|Lu");
  migrate(subscriber, k_split_people, "backfill verify");
  subscriber.exec("alter subscription s disable");
  subscriber.exec("alter subscription s set (slot_name = none)");
  subscriber.exec("drop subscription s");
  for (int i = 0; i < 600 && publisher.value("select bool_or(active) from pg_replication_slots") == "t"; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
  publisher.exec(fmt::format("select pg_drop_replication_slot('{}')", subscriber.name()));
}

}  // namespace ecmigrate::test
