#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <regex>
#include <set>

#include "ecmigrate/op/kind.hpp"
#include "ecmigrate/phases/migration.hpp"
#include "ecmigrate/planfile/planfile.hpp"
#include "support/catch.hpp"
#include "support/example_table.hpp"
#include "support/server.hpp"

namespace ecmigrate::test {

namespace {

/// What is left in the catalog of ours, of things half done, or of the sync trigger.
constexpr const char* k_leftovers = R"sql(
select 'relation ' || relname from pg_class where relname like '\_ecmigrate%'
union all select 'column ' || attname from pg_attribute where attname like '\_ecmigrate%' and not attisdropped
union all select 'constraint ' || conname from pg_constraint where conname like '\_ecmigrate%' or not convalidated
union all select 'trigger ' || tgname from pg_trigger where not tgisinternal
union all select 'function ' || proname from pg_proc where pronamespace = 'ecmigrate'::regnamespace
union all select 'invalid index ' || indexrelid::regclass from pg_index where not indisvalid)sql";

std::string state_of(Database& database) {
  return database.value("select state from ecmigrate.migrations");
}

/// A second call of a phase: no step, no batch, no change of state, no change of schema.
void check_does_nothing(Database& database, const std::string& plan, const std::string& phase) {
  INFO("second " << phase);
  const std::string schema = database.schema();
  const std::string rows = database.rows("select ctid, xmin, users from users order by ctid");
  Recorder again;
  migrate(database, plan, phase, &again);
  CHECK(database.schema() == schema);
  CHECK(database.rows("select ctid, xmin, users from users order by ctid") == rows);
  CHECK(again.all<event::StateChanged>().empty());
  for (const event::StepFinished& step : again.all<event::StepFinished>()) {
    CHECK(step.already_done);
  }
}

Recipe compile_plan(const Database& database, const std::string& yaml) {
  const Plan plan = parse_plan(yaml, "test.yaml");
  Recorder unused;
  Session session({database.conninfo(), "compile", nullptr}, {}, unused, system_clock(), std::stop_token());
  return Migration(session, plan).compile();
}

void check_unique(const std::vector<Step>& steps) {
  std::set<std::string> ids;
  std::set<std::string> titles;
  for (const Step& step : steps) {
    INFO(step.title);
    CHECK(ids.insert(step.id).second);
    CHECK(titles.insert(step.title).second);
    CHECK_FALSE(step.cost.empty());
  }
}

void check_unique(const Recipe& recipe) {
  const std::vector<Step> undos = undo_steps(recipe);
  for (const auto* steps : {&recipe.expand, &recipe.after_fill, &recipe.validate, &recipe.contract, &undos}) {
    check_unique(*steps);
  }
}

/// The lock modes that stand in the way of reads or writes, or of another of our steps, from weak to strong.
const std::vector<std::pair<std::string, std::string>>& strong_modes() {
  static const std::vector<std::pair<std::string, std::string>> modes{
      {"ShareUpdateExclusiveLock", "SHARE UPDATE EXCLUSIVE"},
      {"ShareLock", "SHARE"},
      {"ShareRowExclusiveLock", "SHARE ROW EXCLUSIVE"},
      {"ExclusiveLock", "EXCLUSIVE"},
      {"AccessExclusiveLock", "ACCESS EXCLUSIVE"}};
  return modes;
}

/// Rehearses every transaction of the runner right before it is sent, on a session of its own and without its LOCK
/// TABLE: the locks that its statements take by themselves must be those that the step declares. What a step declares
/// too little of it would take in the middle of its work, unannounced; too much would stop the application for nothing.
class LockRehearsal {
 public:
  explicit LockRehearsal(const Database& database) : m_rehearsing(database.connect()), m_asking(database.connect()) {}

  pg::CallHook hook() {
    return [this](pg::CallMoment moment, int, std::string_view sql) {
      if (moment == pg::CallMoment::before && sql.find("select 'granted'") != std::string_view::npos) {
        rehearse(std::string(sql));
      }
    };
  }

  std::string wrong;  ///< one line for each transaction that takes other locks than it declares

 private:
  void rehearse(const std::string& message) {
    static const std::regex lock_table(R"re(lock table (\S+) in ([A-Z ]+) mode; )re");
    std::map<std::string, std::string> declared;
    for (auto at = std::sregex_iterator(message.begin(), message.end(), lock_table); at != std::sregex_iterator();
         ++at) {
      declared[(*at)[1]] = (*at)[2];
    }
    if (message.find("', 'sql ") != std::string::npos) {
      return;  // the user's own statements, which nobody has analysed
    }
    const std::string work =
        std::regex_replace(message.substr(0, message.find("; commit; select 'released'")), lock_table, "");
    m_rehearsing->script(work);
    const std::map<std::string, std::string> taken = locks_of(m_rehearsing->backend_pid());
    m_rehearsing->query("rollback");
    if (taken != declared) {
      wrong += fmt::format("declared {{{}}} but takes {{{}}}: {}\n", listed(declared), listed(taken), work);
    }
  }

  /// The strongest mode on each table. Asked by another session, which does not see tables that the step itself makes.
  std::map<std::string, std::string> locks_of(int pid) {
    const pg::Rows rows = m_asking->query(
        "select l.mode, format('%s.%s', to_json(n.nspname), to_json(c.relname)) from pg_locks l join pg_class c on "
        "c.oid = l.relation join pg_namespace n on n.oid = c.relnamespace "
        "where l.pid = $1 and l.granted and c.relkind in ('r', 'p') and n.nspname not in ('pg_catalog', 'ecmigrate')",
        {std::to_string(pid)});
    std::map<std::string, std::string> strongest;
    for (const auto& [server_name, name] : strong_modes()) {
      for (int row = 0; row < rows.size(); ++row) {
        if (rows.text(row, 0) == server_name) {
          strongest[rows.text(row, 1)] = name;
        }
      }
    }
    return strongest;
  }

  static std::string listed(const std::map<std::string, std::string>& locks) {
    std::string text;
    for (const auto& [table, mode] : locks) {
      text += fmt::format("{}{} {}", text.empty() ? "" : ", ", table, mode);
    }
    return text;
  }

  std::unique_ptr<pg::Connection> m_rehearsing;
  std::unique_ptr<pg::Connection> m_asking;
};

/// Runs a plan forwards, and in another database back from every state, with every transaction rehearsed.
void check_locks(const std::string& setup, const std::string& plan) {
  for (const std::string phases :
       {"expand backfill verify contract", "expand rollback", "expand backfill verify rollback"}) {
    INFO(phases);
    Database database;
    database.exec(setup);
    LockRehearsal rehearsal(database);
    migrate(database, plan, phases, nullptr, {}, rehearsal.hook());
    CHECK(rehearsal.wrong == "");
  }
}

}  // namespace

TEST_CASE("the example of each kind goes through every phase, and a second time nothing happens", "[version]") {
  REQUIRE(operation_kinds().size() >= 9);
  for (const OperationKind* kind : operation_kinds()) {
    INFO(kind->name);
    Database database;
    database.exec(k_example_table);
    const std::string before = database.schema();
    const std::string plan = plan_of(kind->example);
    for (const std::string phase : {"expand", "backfill", "verify", "contract"}) {
      migrate(database, plan, phase);
      check_does_nothing(database, plan, phase);
    }
    CHECK(state_of(database) == "contracted");
    CHECK(database.schema() != before);
    CHECK(database.rows(k_leftovers) == "");
    CHECK(database.value("select count(*) from users") == "200");
  }
}

TEST_CASE("the example of each kind is rolled back from every state to exactly the start", "[version]") {
  for (const OperationKind* kind : operation_kinds()) {
    for (const std::string phases : {"expand", "expand backfill", "expand backfill verify"}) {
      INFO(kind->name << " after " << phases);
      Database database;
      database.exec(k_example_table);
      const std::string schema = database.schema();
      const std::string rows = database.rows("select * from users order by id");
      const std::string plan = plan_of(kind->example);
      migrate(database, plan, phases);
      migrate(database, plan, "rollback");
      CHECK(database.schema() == schema);
      CHECK(database.rows("select * from users order by id") == rows);
      CHECK(database.rows(k_leftovers) == "");
      CHECK(state_of(database) == "rolled_back");
      check_does_nothing(database, plan, "rollback");
    }
  }
}

TEST_CASE("the steps of each kind have ids, titles and costs of their own", "[version]") {
  for (const OperationKind* kind : operation_kinds()) {
    INFO(kind->name);
    Database database;
    database.exec(k_example_table);
    check_unique(compile_plan(database, plan_of(kind->example)));
  }
  Database database;
  database.exec(k_example_table);
  database.exec("create table orders (id bigint generated always as identity primary key, user_id bigint, note text)");
  check_unique(compile_plan(database, R"yaml(
name: many
operations:
  - alter_column: { table: users, column: age, type: bigint, check: { name: age_sane, constraint: age < 200 } }
  - rename_column: { table: users, from: email, to: mail }
  - create_index: { table: users, name: by_city, columns: [city] }
  - create_index: { table: users, name: by_street, columns: [street] }
  - drop_index: { name: users_created_idx }
  - alter_column: { table: orders, column: user_id, references: { name: orders_user, table: users, column: id } }
  - add_column: { table: orders, column: { name: a, type: int, nullable: true, unique: true } }
  - add_column: { table: orders, column: { name: b, type: int, nullable: true, unique: true } }
  - alter_column: { table: orders, column: note, nullable: false }
  - sql: { up: select 1, down: select 2 }
  - sql: { up: select 1, down: select 2 }
)yaml"));
}

TEST_CASE("the locks that the steps of each kind declare are those that they take", "[version]") {
  for (const OperationKind* kind : operation_kinds()) {
    INFO(kind->name);
    check_locks(k_example_table, plan_of(kind->example));
  }
}

TEST_CASE("declared locks are those taken where foreign keys reach other tables", "[version]") {
  const std::string setup = std::string(k_example_table) + R"sql(;
create table city (id int primary key, name text);
create table orders (id int primary key, code varchar(10) unique, city_id int references city, user_id bigint references users);
create table item (id int primary key, order_code varchar(10) references orders (code), own int);
insert into city values (1, 'Bern'); insert into orders values (1, 'A1', 1, 1); insert into item values (1, 'A1', 1))sql";
  for (const std::string operation : {
           "add_column: { table: orders, column: { name: other, type: int, nullable: true, references: { name: "
           "other_fk, table: city, column: id } } }",
           "alter_column: { table: item, column: own, references: { name: own_fk, table: orders, column: id } }",
           "drop_column: { table: orders, column: city_id }",
           "alter_column: { table: orders, column: city_id, type: bigint }",
           "alter_column: { table: item, column: order_code, type: varchar(20) }",
           "alter_column: { table: orders, column: code, type: varchar(20) }",
           "rename_column: { table: orders, from: city_id, to: town_id }",
           "rename_column: { table: orders, from: id, to: number }",
       }) {
    INFO(operation);
    check_locks(setup, plan_of(operation));
  }
}

}  // namespace ecmigrate::test
