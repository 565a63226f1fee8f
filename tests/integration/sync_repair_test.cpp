// Writers that pass the trigger by, and what verify finds and mends.
#include <fmt/format.h>

#include "sync_cases.hpp"

namespace ecmigrate::test {

namespace {

constexpr const char* k_people =
    "create table users (id bigint primary key, full_name text not null, note text); "
    "insert into users select i, 'Ann' || i || ' Lee' from generate_series(1, 100) i";

constexpr const char* k_split_people = R"yaml(
name: split
operations:
  - split_column:
      table: users
      column: full_name
      into:
        - { name: first_name, type: text, nullable: true, up: "split_part(full_name, ' ', 1)" }
        - { name: last_name, type: text, nullable: true, up: "substr(full_name, length(split_part(full_name, ' ', 1)) + 2)" }
      down: "coalesce(concat_ws(' ', first_name, nullif(last_name, '')), '')"
)yaml";

std::string bypassing(const std::string& sql) {
  return "begin; set local session_replication_role = replica; " + sql + "; commit";
}

std::string row(Database& database, int id) {
  return database.rows(fmt::format("select full_name, first_name, last_name from users where id = {}", id));
}

RunOptions repair(bool pending, RunOptions::Side side = RunOptions::Side::none) {
  RunOptions options;
  options.repair_pending = pending;
  options.repair = side;
  return options;
}

/// A filled table with one row of every sort: 1 changed in the old shape behind the trigger's back, 2 in the new one,
/// 3 lossy but right, 101 inserted behind its back.
void spoil(Database& database) {
  database.exec(k_people);
  migrate(database, k_split_people, "expand backfill");
  database.exec("update users set first_name = 'Anna Maria' where id = 3");
  database.exec(bypassing(
      "update users set full_name = 'Bea Lu' where id = 1; update users set first_name = 'Cleo' where id = 2; "
      "insert into users (id, full_name) values (101, 'Dan Ox')"));
}

}  // namespace

TEST_CASE("verify finds what passed the trigger by, names it, and contract is refused", "[sync][repair]") {
  Database database;
  spoil(database);
  Recorder recorder;
  CHECK(outcome_of([&] { migrate(database, k_split_people, "verify", &recorder); }) == Outcome::differences_found);
  std::string found;
  for (const auto& difference : recorder.all<event::Difference>()) {
    found +=
        fmt::format("{} {}: {} / {}\n", difference.key, difference.kind, difference.old_values, difference.new_values);
  }
  CHECK(found ==
        "id=101 pending: full_name='Dan Ox' / first_name=null, last_name=null\n"
        "id=1 inconsistent: full_name='Bea Lu' / first_name='Ann1', last_name='Lee'\n"
        "id=2 inconsistent: full_name='Ann2 Lee' / first_name='Cleo', last_name='Lee'\n");
  const auto finished = recorder.all<event::VerifyFinished>().back();
  CHECK(finished.rows == 101);
  CHECK(finished.pending == 1);
  CHECK(finished.inconsistent == 2);
  CHECK(finished.repaired == 0);
  CHECK(outcome_of([&] { migrate(database, k_split_people, "contract"); }) == Outcome::refused);
  // Nothing was changed by looking.
  CHECK(row(database, 1) == "Bea Lu|Ann1|Lee");
  CHECK(row(database, 101) == "Dan Ox|null|null");
}

TEST_CASE("repair fills pending rows and does not guess about the others", "[sync][repair]") {
  Database database;
  spoil(database);
  Recorder recorder;
  CHECK(outcome_of([&] { migrate(database, k_split_people, "verify", &recorder, repair(true)); }) ==
        Outcome::differences_found);
  CHECK(recorder.all<event::VerifyFinished>().back().repaired == 1);
  CHECK(row(database, 101) == "Dan Ox|Dan|Ox");
  CHECK(row(database, 1) == "Bea Lu|Ann1|Lee");
  CHECK(row(database, 2) == "Ann2 Lee|Cleo|Lee");
  CHECK(row(database, 3) == "Anna Maria Lee|Anna Maria|Lee");
}

TEST_CASE("repair takes the side it is told, and leaves lossy rows that are right", "[sync][repair]") {
  for (const RunOptions::Side side : {RunOptions::Side::old_columns, RunOptions::Side::new_columns}) {
    const bool old = side == RunOptions::Side::old_columns;
    Database database;
    spoil(database);
    const std::string untouched = database.value("select ctid || ' ' || xmin from users where id = 3");
    migrate(database, k_split_people, "verify", nullptr, repair(true, side));
    CHECK(row(database, 1) == (old ? "Bea Lu|Bea|Lu" : "Ann1 Lee|Ann1|Lee"));
    CHECK(row(database, 2) == (old ? "Ann2 Lee|Ann2|Lee" : "Cleo Lee|Cleo|Lee"));
    CHECK(row(database, 3) == "Anna Maria Lee|Anna Maria|Lee");
    CHECK(database.value("select ctid || ' ' || xmin from users where id = 3") == untouched);
    migrate(database, k_split_people, "verify contract");
  }
}

TEST_CASE("repairing one side does not fill pending rows, which are told again", "[sync][repair]") {
  Database database;
  spoil(database);
  CHECK(outcome_of([&] {
          migrate(database, k_split_people, "verify", nullptr, repair(false, RunOptions::Side::old_columns));
        }) == Outcome::differences_found);
  CHECK(row(database, 101) == "Dan Ox|null|null");
  CHECK(row(database, 1) == "Bea Lu|Bea|Lu");
}

TEST_CASE("repair does not fire the application's own triggers", "[sync][repair][superuser]") {
  Database database;
  spoil(database);
  database.exec(
      "create function note() returns trigger language plpgsql as $$ begin new.note := 'fired'; return new; end $$; "
      "create trigger note before update on users for each row execute function note()");
  migrate(database, k_split_people, "verify", nullptr, repair(true, RunOptions::Side::new_columns));
  CHECK(database.value("select count(*) from users where note is not null") == "0");
}

TEST_CASE("lossy rows are right, and stay as they are through backfill, verify and every repair", "[sync][repair]") {
  for (const std::string phases : {"expand", "expand backfill"}) {
    Database database;
    database.exec(k_people);
    migrate(database, k_split_people, phases);
    database.exec("update users set first_name = 'Anna Maria', last_name = 'van Lee' where id <= 50");
    const std::string written =
        "select count(*) from users where full_name = 'Anna Maria van Lee' and first_name = 'Anna Maria' and last_name "
        "= 'van Lee'";
    migrate(database, k_split_people, "backfill");
    for (const RunOptions& options : {repair(false), repair(true), repair(true, RunOptions::Side::old_columns),
                                      repair(true, RunOptions::Side::new_columns)}) {
      Recorder recorder;
      migrate(database, k_split_people, "verify", &recorder, options);
      CHECK(recorder.all<event::VerifyFinished>().back().repaired == 0);
      CHECK(database.value(written) == "50");
    }
    migrate(database, k_split_people, "contract");
    CHECK(database.value("select count(*) from users where first_name = 'Anna Maria' and last_name = 'van Lee'") ==
          "50");
  }
}

TEST_CASE("a disabled or missing trigger is told before anything is compared", "[sync][repair]") {
  Database database;
  database.exec(k_people);
  migrate(database, k_split_people, "expand backfill verify");
  std::string message;
  const std::string name = database.value("select min(tgname) from pg_trigger where tgrelid = 'users'::regclass");
  database.exec("alter table users disable trigger all");
  CHECK(outcome_of([&] { migrate(database, k_split_people, "contract"); }, &message) == Outcome::refused);
  CHECK(message.find(name) != std::string::npos);
  CHECK(outcome_of([&] { migrate(database, k_split_people, "verify"); }, &message) == Outcome::refused);
  database.exec("update users set full_name = 'Bea Lu' where id = 1; alter table users enable trigger all");
  CHECK(outcome_of([&] { migrate(database, k_split_people, "contract"); }) ==
        Outcome::refused);  // verify has to look again
  CHECK(outcome_of([&] { migrate(database, k_split_people, "verify"); }) == Outcome::differences_found);
  migrate(database, k_split_people, "verify", nullptr, repair(true, RunOptions::Side::old_columns));
  database.exec(fmt::format("drop trigger \"{}\" on users", name));
  CHECK(outcome_of([&] { migrate(database, k_split_people, "contract"); }, &message) == Outcome::refused);
  CHECK(message.find(name) != std::string::npos);
}

}  // namespace ecmigrate::test
