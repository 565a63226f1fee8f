#include "faults/faulty_run.hpp"
#include "support/catch.hpp"
#include "support/fixtures.hpp"

namespace ecmigrate::test {

namespace {

/// Lets the first UPDATEs of a walk through and then raises what a full disk raises, until there is room.
constexpr const char* k_full_disk = R"(
create table room (rows_left integer);
insert into room values (1000);
create function take_room() returns trigger language plpgsql as $$
begin
  update room set rows_left = rows_left - 1 where rows_left > 0;
  if not found then
    raise exception 'could not extend file: No space left on device' using errcode = '53100';
  end if;
  return new;
end $$;
create trigger full_disk before update on users for each row execute function take_room();
alter table users enable always trigger full_disk)";

}  // namespace

TEST_CASE("a full disk fails the backfill, which goes on from its checkpoint when there is room") {
  Database database;
  database.exec(k_users);
  database.exec("insert into users (full_name, email) select 'Bob Ray', 'more' || i from generate_series(1, 6000) i");
  migrate(database, k_split, "expand");
  database.exec(k_full_disk);
  const ProgramResult failed = run_program(database, {"backfill", "PLAN", "--target-batch", "1ms"}, k_split);
  CHECK(failed.status == 1);
  CHECK(failed.err.find("No space left on device") != std::string::npos);
  CHECK(database.value("select state from ecmigrate.migrations") == "backfilling");
  CHECK(database.value("select outcome from ecmigrate.runs order by id desc limit 1") == "failed");
  // What did not fit was undone with its checkpoint.
  CHECK(database.value(
            "select sum(rows) = (select count(*) from users where first_name is not null) from ecmigrate.windows") ==
        "t");
  database.exec("update room set rows_left = 1000000");
  CHECK(run_program(database, {"backfill", "PLAN"}, k_split).status == 0);
  CHECK(run_program(database, {"verify", "PLAN"}, k_split).status == 0);
}

}  // namespace ecmigrate::test
