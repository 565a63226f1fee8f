#include "ecmigrate/store/journal.hpp"
#include "support/plain_ddl.hpp"

namespace ecmigrate::test {

namespace {

constexpr const char* k_person = R"sql(
create table person (id int primary key, name text not null, street text, city text, born date);
insert into person select i, 'A' || i || ' B' || i, 'S' || i, 'C' || i, '2000-01-01' from generate_series(1, 50) i)sql";

constexpr const char* k_split = R"yaml(
name: split
operations:
  - split_column:
      table: person
      column: name
      into:
        - { name: first, type: text, up: "split_part(name, ' ', 1)" }
        - { name: last, type: text, up: "substr(name, strpos(name, ' ') + 1)" }
      down: first || ' ' || last
)yaml";

/// Contract must refuse by looking alone: it is asked while another session keeps everybody out of the table, so a
/// contract that went for a lock would end with "lock not obtained" instead.
Error contract_refused(Database& database, const std::string& plan, const RunOptions& given = {},
                       const std::string& state = "verified") {
  const std::string before = database.schema();
  bool asked_for_lock = false;
  const std::unique_ptr<pg::Connection> other = database.connect();
  other->script("begin; lock table person in access exclusive mode");
  RunOptions options = given;
  options.lock_budget = std::chrono::milliseconds(500);
  const Error error = error_of([&] {
    migrate(database, plan, "contract", nullptr, options, [&](pg::CallMoment, int, std::string_view sql) {
      asked_for_lock = asked_for_lock || sql.find("lock table") != std::string_view::npos;
    });
  });
  other->script("rollback");
  CHECK(error.outcome() == Outcome::refused);
  CHECK_FALSE(asked_for_lock);
  CHECK(database.schema() == before);
  CHECK(database.value("select state from ecmigrate.migrations") == state);
  return error;
}

struct Dependent {
  const char* make;
  const char* named;  ///< in the message
  const char* drop;   ///< makes the way free, or the name to accept
};

using GoOn = void (*)(Database&, const Dependent&, const std::string&);

void refused_for(Database& database, const Dependent& one, const std::string& plan, GoOn go_on) {
  const Error error = contract_refused(database, plan);
  CHECK_THAT(error.what(), Catch::Matchers::Contains(one.named));
  go_on(database, one, plan);
  CHECK(database.value("select state from ecmigrate.migrations") == "contracted");
  CHECK(database.value("select count(*) from pg_attribute where attrelid = 'person'::regclass and attname = 'name'") ==
        "0");
}

/// Each made before expand, and in a copy of what is verified.
void with_dependents(const std::vector<Dependent>& dependents, const std::string& plan, GoOn go_on) {
  Database verified;
  verified.exec(k_person);
  migrate(verified, plan, "expand backfill verify");
  verified.leave();
  for (const Dependent& one : dependents) {
    {
      INFO(one.make << " before expand");
      Database database;
      database.exec(k_person);
      database.exec(one.make);
      Recorder recorder;
      migrate(database, plan, "expand backfill verify", &recorder);
      // Said at expand already, when there is time to do something about it.
      CHECK_THAT(recorder.warnings(), Catch::Matchers::Contains(one.named));
      refused_for(database, one, plan, go_on);
    }
    INFO(one.make << " after verify");
    Database database(&verified);
    database.exec(one.make);
    refused_for(database, one, plan, go_on);
  }
}

/// Without publications of some columns or rows where the server does not know them, before PostgreSQL 15.
std::vector<Dependent> known(std::vector<Dependent> dependents) {
  if (Database().value("select current_setting('server_version_num')::int >= 150000") != "t") {
    std::erase_if(dependents,
                  [](const Dependent& one) { return std::string(one.make).starts_with("create publication"); });
  }
  return dependents;
}

}  // namespace

TEST_CASE("contract is refused, without a lock, as long as something needs the column that it drops") {
  const std::vector<Dependent> dependents = {
      {"create view seen as select upper(name) from person", "view seen", "drop view seen"},
      {"create view \"Odd View\" as select 1 from person where name = 'x'", "view \"Odd View\"",
       "drop view \"Odd View\""},
      {"create materialized view kept as select name from person", "materialized view kept",
       "drop materialized view kept"},
      {"create table notes (n text); create rule r as on insert to notes where exists (select from person where name = "
       "new.n) do nothing",
       "rule on notes", "drop rule r on notes"},
      {"create policy mine on person using (name = current_user)", "policy mine on person",
       "drop policy mine on person"},
      {"create table notes (n text); create policy theirs on notes using (exists (select from person where name = n))",
       "policy theirs on notes", "drop policy theirs on notes"},
      {"alter table person add loud text generated always as (upper(name)) stored", "generated column loud",
       "alter table person drop loud"},
      {"create function names() returns setof text begin atomic; select name from person; end", "function names()",
       "drop function names()"},
      {"create publication partly for table person (id, name)", "publication partly", "drop publication partly"},
      {"create publication partly for table person where (name <> '') with (publish = 'insert')", "publication partly",
       "drop publication partly"},
      {"alter table person add unique (name); create table pet (person_name text constraint pet_fk references person "
       "(name))",
       "foreign key pet_fk on pet", "alter table pet drop constraint pet_fk"},
      {"alter table person add unique (name); alter table person add boss text constraint boss_fk references person "
       "(name)",
       "foreign key boss_fk on person", "alter table person drop constraint boss_fk"},
      {"create function nothing() returns trigger language plpgsql as 'begin return new; end'; "
       "create trigger only_name after update of name on person for each row execute function nothing()",
       "trigger only_name on person", "drop trigger only_name on person"},
      {"create function nothing() returns trigger language plpgsql as 'begin return new; end'; "
       "create trigger when_name after insert on person for each row when (new.name <> '') execute function nothing()",
       "trigger when_name on person", "drop trigger when_name on person"},
  };
  with_dependents(known(dependents), k_split,
                  [](Database& database, const Dependent& dependent, const std::string& plan) {
                    // Not a thing that may be waved through: DROP COLUMN would fail on it.
                    RunOptions accept;
                    accept.accept_drop = {"seen",  "Odd View", "kept",   "notes",   "mine",      "theirs",   "loud",
                                          "names", "partly",   "pet_fk", "boss_fk", "only_name", "when_name"};
                    contract_refused(database, plan, accept);
                    database.exec(dependent.drop);
                    migrate(database, plan, "contract");
                  });
}

TEST_CASE(
    "contract is refused as long as it would silently drop more than the column; --accept-drop lets each through") {
  const std::vector<Dependent> dependents = {
      {"create index two on person (name, city)", "index two", "two"},
      {"create index covers on person (city) include (name)", "index covers", "covers"},
      {"create index part on person (city) where name <> ''", "index part", "part"},
      {"create index half on person (name) where city <> ''", "index half", "half"},
      {"create index whole on person ((name || city))", "index whole", "whole"},
      {"alter table person add constraint pair unique (name, city)", "constraint pair on person", "pair"},
      {"alter table person add constraint sane check (name <> city)", "constraint sane on person", "sane"},
      {"create table town (n text, c text, unique (n, c)); insert into town select name, city from person; "
       "alter table person add constraint town_fk foreign key (name, city) references town (n, c)",
       "foreign key town_fk on person", "town_fk"},
      {"create statistics together (dependencies) on name, city from person", "statistics together", "together"},
      {"create statistics mixed on (name || city) from person", "statistics mixed", "mixed"},
  };
  with_dependents(dependents, k_split, [](Database& database, const Dependent& dependent, const std::string& plan) {
    RunOptions other;
    other.accept_drop = {"something_else"};
    contract_refused(database, plan, other);
    RunOptions accept;
    accept.accept_drop = {dependent.drop};
    migrate(database, plan, "contract", nullptr, accept);
  });
}

TEST_CASE("what belongs to the dropped column alone goes with it unasked") {
  Database database;
  database.exec(k_person);
  database.exec(
      "create index by_name on person (name); alter table person add constraint some_name check (name <> ''), add "
      "constraint one_name unique (name)");
  Recorder recorder;
  migrate(database, k_split, "expand backfill verify contract", &recorder);
  CHECK(recorder.warnings() == "");
}

TEST_CASE("all that is in the way is listed at once") {
  Database database;
  database.exec(k_person);
  database.exec(
      "create view seen as select name from person; create view seen_too as select street from person; create index "
      "two on person (street, born)");
  const std::string plan = plan_of(
      "merge_columns: { table: person, columns: [street, city], into: { name: address, type: text, up: \"street || ', "
      "' || city\" }, "
      "down: { street: \"split_part(address, ', ', 1)\", city: \"split_part(address, ', ', 2)\" } }");
  migrate(database, plan, "expand backfill verify");
  database.exec(
      "create materialized view kept as select city from person; create policy mine on person using (street <> '')");
  const std::string what = contract_refused(database, plan).what();
  CHECK_THAT(what, Catch::Matchers::Contains("view seen_too") && Catch::Matchers::Contains("materialized view kept") &&
                       Catch::Matchers::Contains("policy mine") && !Catch::Matchers::Contains("view seen "));
  database.exec("drop view seen_too; drop materialized view kept; drop policy mine on person");
  CHECK_THAT(contract_refused(database, plan).what(), Catch::Matchers::Contains("index two"));
}

TEST_CASE("a type changed in place is refused where ALTER TYPE would fail, and only there") {
  const std::string plan = plan_of("alter_column: { table: person, column: street, type: varchar }");
  const std::vector<Dependent> dependents = {
      {"create view seen as select upper(street) from person", "view seen", "drop view seen"},
      {"create policy mine on person using (street = current_user)", "policy mine on person",
       "drop policy mine on person"},
      {"alter table person add loud text generated always as (upper(street)) stored", "generated column loud",
       "alter table person drop loud"},
      {"create function streets() returns setof text begin atomic; select street from person; end",
       "function streets()", "drop function streets()"},
      {"create function nothing() returns trigger language plpgsql as 'begin return new; end'; "
       "create trigger only_street after update of street on person for each row execute function nothing()",
       "trigger only_street on person", "drop trigger only_street on person"},
      {"create publication partly for table person (id, street)", "publication partly", "drop publication partly"},
  };
  for (const Dependent& one : known(dependents)) {
    INFO(one.make);
    Database database;
    database.exec(k_person);
    database.exec(one.make);
    migrate(database, plan, "expand backfill verify");
    CHECK_THAT(contract_refused(database, plan).what(), Catch::Matchers::Contains(one.named));
    database.exec(one.drop);
    migrate(database, plan, "contract");
  }
  // These survive it, so they are nobody's concern.
  for (const char* harmless :
       {"create index two on person (street, city) where street <> ''",
        "alter table person add unique (street); create table house (street text references person (street))",
        "create statistics together on street, city from person"}) {
    INFO(harmless);
    Database database;
    database.exec(k_person);
    database.exec(harmless);
    Recorder recorder;
    migrate(database, plan, "expand backfill verify contract", &recorder);
    CHECK(recorder.warnings() == "");
    CHECK(
        database.value(
            "select atttypid::regtype from pg_attribute where attrelid = 'person'::regclass and attname = 'street'") ==
        "character varying");
  }
}

TEST_CASE("contract is refused when the sync trigger was disabled or dropped by hand") {
  const std::string name =
      "(select tgname from pg_trigger where tgrelid = 'person'::regclass and not tgisinternal and tgname like '%\\_u')";
  const auto by_hand = [&](const std::string& format) {
    return "do $$ begin execute (select format('" + format +
           "', tgname, tgfoid::regproc) from pg_trigger where tgname = " + name + "); end $$";
  };
  for (const std::string& tampering :
       {std::string("alter table person disable trigger all"), std::string("alter table person disable trigger user"),
        by_hand("alter table person disable trigger %I"), by_hand("alter table person enable replica trigger %I"),
        by_hand("drop trigger %I on person")}) {
    INFO(tampering);
    Database database;
    database.exec(k_person);
    migrate(database, k_split, "expand backfill verify");
    database.exec(tampering);
    database.exec("update person set name = 'Some Body' where id = 7");
    CHECK_THAT(contract_refused(database, k_split, {}, "backfilled").what(), Catch::Matchers::Contains("sync trigger"));
    // The way out that the hint names, or the way back for those who know what they lose.
    migrate(database, k_split, "expand");
    CHECK(error_of([&] { migrate(database, k_split, "verify"); }).outcome() == Outcome::differences_found);
    RunOptions confirmed;
    confirmed.confirmed = "split";
    migrate(database, k_split, "rollback", nullptr, confirmed);
    CHECK(database.value("select count(*) from pg_trigger where not tgisinternal") == "0");
  }
}

TEST_CASE("a trigger disabled after contract's look is found under the lock, and all of contract is undone") {
  Database database;
  database.exec(k_person);
  migrate(database, k_split, "expand backfill verify");
  const std::string before = database.schema();
  bool tampered = false;
  const Error error = error_of([&] {
    migrate(database, k_split, "contract", nullptr, {}, [&](pg::CallMoment moment, int, std::string_view sql) {
      if (moment == pg::CallMoment::before && !tampered && sql.find("lock table") != std::string_view::npos) {
        tampered = true;
        database.exec("alter table person disable trigger user");
      }
    });
  });
  REQUIRE(tampered);
  CHECK_THAT(error.what(), Catch::Matchers::Contains("sync trigger of person is missing, disabled, or was made again"));
  database.exec("alter table person enable trigger user");
  CHECK(database.schema() == before);
  migrate(database, k_split, "verify contract");
}

TEST_CASE("a runner that lost its connection ends where another one has run meanwhile") {
  Database database;
  database.exec(k_person);
  migrate(database, k_split, "expand backfill verify");
  bool lost = false;
  const Error error = error_of([&] {
    migrate(database, k_split, "contract", nullptr, {}, [&](pg::CallMoment moment, int, std::string_view sql) {
      if (moment == pg::CallMoment::before && !lost && sql.find("lock table") != std::string_view::npos) {
        lost = true;
        database.exec(
            "insert into ecmigrate.runs (migration, command, host, process, backend) values ('split', 'rollback', 'h', "
            "1, 1); select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and pid "
            "<> "
            "pg_backend_pid() and backend_type = 'client backend'");
      }
    });
  });
  REQUIRE(lost);
  CHECK(error.outcome() == Outcome::outcome_unknown);
  CHECK_THAT(error.what(), Catch::Matchers::Contains("somebody else ran \"split\""));
  CHECK(database.value("select count(name) from person") == "50");
}

TEST_CASE("once a step of contract has run there is no way back, whatever the state says") {
  Database database;
  database.exec(k_person);
  migrate(database, k_split, "expand backfill verify");
  database.exec("insert into ecmigrate.steps (migration, phase, step, done) values ('split', 'contract', 'one', true)");
  CHECK(error_of([&] { migrate(database, k_split, "rollback"); }).outcome() == Outcome::refused);
  auto connection = database.connect();
  Journal journal(*connection);
  journal.set_state("split", State::contracting);
  CHECK_FALSE(journal.take_contract_back("split"));
  CHECK(database.value("select state from ecmigrate.migrations") == "contracting");
  database.exec("delete from ecmigrate.steps where phase = 'contract'");
  CHECK(journal.take_contract_back("split"));
  CHECK(database.value("select state from ecmigrate.migrations") == "verified");
}

TEST_CASE("a name in --accept-drop that nothing has is an error") {
  Database database;
  database.exec(k_person);
  migrate(database, k_split, "expand backfill verify");
  RunOptions options;
  options.accept_drop = {"no_such_index"};
  const Error error = error_of([&] { migrate(database, k_split, "contract", nullptr, options); });
  CHECK(error.outcome() == Outcome::usage);
  CHECK_THAT(error.what(), Catch::Matchers::Contains("no_such_index"));
  CHECK(database.value("select state from ecmigrate.migrations") == "verified");
}

TEST_CASE("differences that a verification finds take contract's permission away until one is clean") {
  Database database;
  database.exec(k_person);
  migrate(database, k_split, "expand backfill verify");
  database.exec(
      "set session_replication_role = replica; update person set name = 'By Passed' where id = 7; reset "
      "session_replication_role");
  CHECK(error_of([&] { migrate(database, k_split, "verify"); }).outcome() == Outcome::differences_found);
  const std::string before = database.schema();
  const Error error = error_of([&] { migrate(database, k_split, "contract"); });
  CHECK(error.outcome() == Outcome::refused);
  CHECK(error.hint() == "Run: ecmigrate verify test.yaml");
  CHECK(database.schema() == before);
  RunOptions repair;
  repair.repair_pending = true;
  repair.repair = RunOptions::Side::old_columns;
  migrate(database, k_split, "verify", nullptr, repair);
  migrate(database, k_split, "contract");
  CHECK(database.rows("select first, last from person where id = 7") == "By|Passed");
}

}  // namespace ecmigrate::test
