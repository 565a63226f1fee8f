#include "ecmigrate/store/journal.hpp"

#include <fstream>
#include <sstream>

#include "ecmigrate/base/error.hpp"
#include "ecmigrate/store/read_model.hpp"
#include "support/catch.hpp"
#include "support/fixtures.hpp"
#include "support/server.hpp"

using namespace ecmigrate;
using namespace ecmigrate::test;

namespace {

/// A database as an older program left it, see the file's head.
void load_format_1(Database& database) {
  std::ifstream file(ECMIGRATE_SOURCE_DIR "/tests/fixtures/journal_format_1.sql");
  std::stringstream sql;
  sql << file.rdbuf();
  database.exec(sql.str());
}

/// Every column of the journal, whatever the order in which they came.
constexpr const char* k_journal_columns =
    "select string_agg(c, E'\\n' order by c) from (select format('%s.%s %s %s', attrelid::regclass, attname, "
    "format_type(atttypid, atttypmod), attnotnull) as c "
    "from pg_attribute join pg_class t on t.oid = attrelid where relnamespace = 'ecmigrate'::regnamespace and relkind "
    "in ('r', 'i') and attnum > 0 and not attisdropped) a";

Error error_of_open(Database& database) {
  try {
    auto connection = database.connect();
    std::ignore = Journal(*connection).installed();
  } catch (const Error& error) {
    return error;
  }
  FAIL("no error");
  return Error(Outcome::done, "");
}

}  // namespace

TEST_CASE("a journal of format 1 is read as it is, upgraded by the next run, and the migration in it goes on",
          "[version][unicode]") {
  Database database;
  load_format_1(database);
  const ProgramResult before = run_program(database, {"status", "--json"});
  CHECK(before.status == 0);
  CHECK(before.out.find(R"("migration":"split","state":"backfilling","situation":"failed")") != std::string::npos);
  CHECK(before.out.find(R"("outcome":"lock_not_obtained")") != std::string::npos);
  CHECK(database.value("select to_regclass('ecmigrate.journal')") == "null");

  CHECK(run_program(database, {"run", "PLAN", "--through", "contract", "--confirm", "split"}, k_split).status == 0);
  CHECK(database.value("select format from ecmigrate.journal") == "4");
  CHECK(database.value("select state from ecmigrate.migrations") == "contracted");
  CHECK(database.value(
            "select count(*) from users where first_name || ' ' || last_name = 'Ann' || id || ' Lee' || id") == "200");
  // What the older program had told is in the new columns too.
  CHECK(database.value("select count(*) > 0 and bool_and(relation = 'users' and phase = 'backfill' and percent is not "
                       "null) from ecmigrate.progress where run = 2") == "t");
  CHECK(database.value("select string_agg(type, ' ' order by id) from ecmigrate.events where run = 1") ==
        "state_changed step_finished state_changed");

  Database fresh;
  fresh.exec(k_users);
  migrate(fresh, k_split, "expand");
  CHECK(database.value(k_journal_columns) == fresh.value(k_journal_columns));
}

TEST_CASE("a journal whose tables are locked is not waited for at its upgrade, and nothing is half done",
          "[version][unicode]") {
  Database database;
  load_format_1(database);
  const auto dump = database.connect();
  dump->query("begin");
  dump->query("lock table ecmigrate.events in access share mode");
  const ProgramResult locked = run_program(database, {"backfill", "PLAN"}, k_split);
  CHECK(locked.status == 5);
  CHECK(locked.err.find("its tables are locked by somebody") != std::string::npos);
  CHECK(database.value("select to_regclass('ecmigrate.journal')") == "null");
  dump->query("rollback");
  CHECK(run_program(database, {"backfill", "PLAN"}, k_split).status == 0);
}

TEST_CASE("a journal of a newer format is refused, with what to do, and left alone") {
  Database database;
  database.exec(k_users);
  migrate(database, k_split, "expand");
  database.exec("update ecmigrate.journal set format = 5");
  const Error error = error_of_open(database);
  CHECK(error.outcome() == Outcome::refused);
  CHECK_THAT(error.what(), Catch::Matchers::Contains("has format 5; this ecmigrate knows formats up to 4"));
  for (const std::vector<std::string>& command :
       {std::vector<std::string>{"backfill", "PLAN"}, {"status"}, {"plan", "PLAN"}, {"pause", "PLAN"}}) {
    CHECK(run_program(database, command, k_split).status == 7);
  }
  CHECK(database.value("select format || ' ' || (select count(*) from ecmigrate.runs) from ecmigrate.journal") ==
        "5 1");
}

TEST_CASE("a record that cannot be read does not stand in the way of another migration") {
  Database database;
  database.exec(k_users);
  database.exec("create table orders (id int primary key, note text)");
  migrate(database, k_split, "expand");
  const std::string rename =
      "name: rename\noperations:\n  - rename_column: { table: orders, from: note, to: remark }\n";
  const auto after =
      GENERATE("set state = 'resting'", "set recipe_format = 9",
               "set recipe = '{\"tables\": [[\"public\", \"users\"]], \"expand\": 1}'", "set recipe = '[]'");
  INFO(after);
  database.exec(std::string("update ecmigrate.migrations ") + after);
  migrate(database, rename, "expand backfill verify");
  const ProgramResult status = run_program(database, {"status"});
  CHECK(status.status == 0);
  CHECK(status.out.find("rename                         verified") != std::string::npos);
  CHECK(status.out.find("split                          ") != std::string::npos);
  // Its own tables are still its own, as far as they can be read.
  if (std::string(after).find("'[]'") == std::string::npos) {
    CHECK_THROWS_AS(
        migrate(database, "name: other\noperations:\n  - drop_column: { table: users, column: email, down: \"''\" }\n",
                "expand"),
        Error);
  }
}

TEST_CASE("events are written from a session of their own, outside the runner's transactions", "[version]") {
  Database database;
  database.exec(k_users);
  migrate(database, k_split, "expand");  // makes the journal
  database.exec(
      "alter table ecmigrate.events add column writer int default pg_backend_pid(), add column name text default "
      "current_setting('application_name')");
  CHECK(run_program(database, {"run", "PLAN"}, k_split).status == 0);
  CHECK(database.value("select count(*) > 5 from ecmigrate.events") == "t");
  CHECK(database.value("select count(*) from ecmigrate.events e join ecmigrate.runs r on r.backend = e.writer") == "0");
  CHECK(database.value("select string_agg(distinct name, ', ') from ecmigrate.events") ==
        "ecmigrate run split (journal)");
}

TEST_CASE("failed tries at a lock are rows: phase, step, waited, and who was in the way") {
  Database database;
  database.exec(k_users);
  const auto reader = database.connect("application_name=report");
  reader->query("begin");
  reader->query("select count(*) from users");
  const ProgramResult expand = run_program(database, {"expand", "PLAN", "--lock-budget", "700ms"}, k_split);
  CHECK(expand.status == 5);
  CHECK(database.value("select bool_and(phase = 'expand' and step like 'add first_name%' and relation = 'users' and "
                       "mode = 'ACCESS EXCLUSIVE' and waited_ms > 0) "
                       "and count(*) > 0 and max(blockers->0->>'application') = 'report' from ecmigrate.lock_tries") ==
        "t");
  CHECK(database.value("select count(distinct try) = count(*) from ecmigrate.lock_tries") == "t");
  CHECK(database.value("select outcome || ': ' || hint from ecmigrate.runs") ==
        "lock_not_obtained: Run the same command again when they are gone, or give more time with --lock-budget.");
  reader->query("rollback");
  auto connection = database.connect();
  const JournalView view = ReadModel(*connection, 2).look({"split"});
  REQUIRE(view.migrations.size() == 1);
  REQUIRE(view.migrations[0].locks.size() == 1);
  CHECK_FALSE(view.migrations[0].locks[0].held_ms.has_value());
  CHECK(std::to_string(view.migrations[0].locks[0].tries) ==
        database.value("select count(*) from ecmigrate.lock_tries"));
  CHECK(view.migrations[0].last_blockers.front().application == "report");

  CHECK(run_program(database, {"expand", "PLAN"}, k_split).status == 0);
  CHECK(ReadModel(*connection, 2).look({"split"}).migrations[0].locks.size() ==
        1);  // that of the step, which counts from its run on
  CHECK(ReadModel(*connection, 2).look({"split"}).migrations[0].locks[0].held_ms.has_value());
}

TEST_CASE("events that cannot be written neither stop nor slow the migration", "[version]") {
  Database database;
  database.exec(k_users);
  migrate(database, k_split, "expand");
  const auto holder = database.connect();
  holder->query("begin");
  holder->query("lock table ecmigrate.events in access exclusive mode");
  const ProgramResult backfill = run_program(database, {"backfill", "PLAN"}, k_split);
  CHECK(backfill.status == 0);
  CHECK(backfill.err.find("events could not be written into the journal") != std::string::npos);
  CHECK(database.value("select state from ecmigrate.migrations") == "backfilled");
}

TEST_CASE("a recorder whose statements hang does not keep the command from ending", "[version]") {
  Database database;
  database.exec(k_users);
  run_program(database, {"expand", "PLAN"}, k_split);
  database.exec(
      "create function hang() returns trigger language plpgsql as $$ begin perform pg_sleep(3600); return new; end $$; "
      "create trigger hang before insert on ecmigrate.events for each row execute function hang()");
  CHECK(run_program(database, {"run", "PLAN"}, k_split).status == 0);
  CHECK(database.value("select string_agg(outcome, ' ' order by id) from ecmigrate.runs") == "done done");
}

TEST_CASE("the journal keeps columns that are gone, what a run was given, and who steered", "[superuser]") {
  Database database;
  database.exec(k_users);
  // Flags may be given together: no part of the target may end up anywhere else.
  CHECK(run_program(database, {"expand", "PLAN", "-vd", database.conninfo("password=secret")}, k_split).status == 0);
  CHECK(run_program(database, {"set", "PLAN", "max_wal_rate=8MB/s"}, k_split)
            .out.find("set max_wal_rate=8MB/s by postgres") != std::string::npos);
  CHECK(run_program(database, {"run", "PLAN", "--through", "contract", "--confirm", "split"}, k_split).status == 0);
  CHECK(database.value("select string_agg(c->>'name' || ' ' || (c->>'type') || ' ' || (c->>'added'), ', ' order by "
                       "(c->>'number')::int) "
                       "from ecmigrate.migrations, jsonb_array_elements(columns) c") ==
        "id bigint false, full_name character varying(255) false, email text false, first_name text true, last_name "
        "text true");
  CHECK(database.value("select username || ' ' || (target like '%dbname=%') || (plan_file like '%.yaml') || "
                       "(limits->>'target_batch_ms') "
                       "from ecmigrate.runs order by id limit 1") == "postgres truetrue50");
  CHECK(database.value("select count(*) from ecmigrate.runs r where r::text like '%secret%'") == "0");
  CHECK(database.value("select data->>'text' || ' ' || (data->>'by') from ecmigrate.events where type = 'steered'") ==
        "set max_wal_rate=8MB/s postgres");
  auto connection = database.connect();
  const auto shape = ReadModel(*connection, 2).shape("split");
  REQUIRE(shape);
  std::string sides;
  for (const ColumnView& column : shape->columns) {
    sides += column.name +
             (column.side == ColumnView::Side::old_shape   ? " old"
              : column.side == ColumnView::Side::new_shape ? " new"
                                                           : " kept") +
             " (" + column.fate + ") ";
  }
  CHECK(sides ==
        "id kept () full_name old (dropped at contract) email kept () first_name new (not null at contract) last_name "
        "new (not null at contract) ");
}
