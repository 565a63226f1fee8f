// What a batch, or the search for a bad row after it, meets of the server's moods.
#include <fmt/format.h>

#include <vector>

#include "ecmigrate/base/error.hpp"
#include "ecmigrate/pg/connection.hpp"
#include "support/catch.hpp"
#include "support/fixtures.hpp"
#include "support/server.hpp"

namespace ecmigrate::test {

namespace {

constexpr const char* k_parse = R"yaml(
name: parse
operations:
  - add_column: { table: users, up: full_name::integer, column: { name: number, type: integer, nullable: true } }
)yaml";

std::string failure_of(const std::function<void()>& act) {
  try {
    act();
  } catch (const Error& error) {
    return error.what();
  }
  return "none";
}

}  // namespace

TEST_CASE("the search for a bad row goes on after what any batch may meet") {
  for (const std::string sqlstate : {"55P03", "40P01", "40001", "57014"}) {
    INFO(sqlstate);
    Database database;
    database.exec(
        "create table users (id bigint primary key, full_name text not null); insert into users select i, i::text from "
        "generate_series(1, 2000) i");
    RunOptions options;
    options.check_rows = 1;
    migrate(database, k_parse, "expand", nullptr, options);
    database.exec("set session_replication_role = replica; update users set full_name = 'x7' where id = 7; reset all");
    int searches = 0;
    const std::string failure = failure_of([&] {
      migrate(database, k_parse, "backfill", nullptr, options, [&](pg::CallMoment moment, int, std::string_view sql) {
        if (fills(sql) && sql.ends_with("rollback") && moment == pg::CallMoment::before && ++searches == 1) {
          throw pg::SqlError(sqlstate, "in the way", "", 0);
        }
      });
    });
    CHECK(searches > 1);
    CHECK(failure.find("users row id=7: ") != std::string::npos);
  }
}

TEST_CASE("a batch that failed for a column's sake is done again with as many pages") {
  for (const std::string sqlstate : {"42703", "42501"}) {
    INFO(sqlstate);
    Database database;
    database.exec(
        "create table users (id bigint primary key, full_name text not null, email text default ''); insert into users "
        "select i, 'Ann Lee' || i from generate_series(1, 20000) i");
    // The sequence counts on when the batch is rolled back.
    database.exec(
        "create sequence tries; create function give_up() returns trigger language plpgsql as $$ begin if "
        "new.id > 5000 and nextval('tries') <= 2 then "
        "raise exception 'given up' using errcode = '" +
        sqlstate + "'; end if; return new; end $$");
    RunOptions options;
    options.pace.workers = 1;
    migrate(database, k_split, "expand", nullptr, options);
    database.exec(
        "create trigger a_gives_up before update on users for each row execute function give_up(); alter table users "
        "enable always trigger a_gives_up");
    std::vector<std::string> failed;  // from its first page to its end
    std::string last;
    bool done = true;
    migrate(database, k_split, "backfill", nullptr, options, [&](pg::CallMoment moment, int, std::string_view sql) {
      if (!fills(sql)) {
        return;
      }
      const auto at = sql.find("this.ctid >=");
      const std::string range(sql.substr(at, sql.find("::tid", sql.find("this.ctid <", at)) - at));
      if (moment == pg::CallMoment::before && !done) {
        failed.push_back(last + " / " + range);
      }
      done = moment == pg::CallMoment::after;
      last = range;
    });
    REQUIRE(failed.size() == 2);
    for (const std::string& pair : failed) {
      CHECK(pair.substr(0, pair.find(" / ")) == pair.substr(pair.find(" / ") + 3));
    }
    CHECK(database.value("select count(*) from users where first_name is null") == "0");
  }
}

}  // namespace ecmigrate::test
