#include <fmt/format.h>

#include <array>
#include <future>
#include <mutex>

#include "ecmigrate/base/error.hpp"
#include "faults/faulty_run.hpp"
#include "support/catch.hpp"

namespace ecmigrate::test {

namespace {

constexpr std::array<std::pair<Fault, const char*>, 3> k_faults{{{Fault::killed_before, "killed before"},
                                                                 {Fault::cut_before, "cut before"},
                                                                 {Fault::answer_lost, "answer lost at"}}};

/// A migration, and an application that writes the same facts in whichever shape it finds.
struct Subject {
  std::string setup;
  std::string plan;
  std::string writes_old;   ///< while only the old shape exists
  std::string writes_both;  ///< while both do
  std::string writes_new;   ///< when only the new one does
  std::string is_expanded;
  std::string is_contracted;
  int workers = 1;
  bool only_backfill = false;  ///< expand goes well, and nothing fails after the backfill
};

// About 75 pages: enough for the walk to make several passes.
const Subject k_split_subject{
    R"(create table users (id bigint primary key, full_name text not null, note text not null default repeat('n', 1800));
       alter table users alter column note set storage plain;
       insert into users (id, full_name) select i, 'Ann' || i || ' Lee' || i from generate_series(1, 300) i; analyze users)",
    R"yaml(
name: sweep
operations:
  - split_column:
      table: users
      column: full_name
      into:
        - { name: first_name, type: text, nullable: false, up: "split_part(full_name, ' ', 1)" }
        - { name: last_name, type: text, nullable: false, up: "substr(full_name, length(split_part(full_name, ' ', 1)) + 2)" }
      down: "concat_ws(' ', first_name, nullif(last_name, ''))"
  - create_index:
      table: users
      name: users_last_name
      columns:
        - { column: last_name }
)yaml",
    "insert into users (id, full_name) values (9001, 'Old Writer'), (9002, 'New Writer'); update users set full_name = "
    "'Upd Old' where id = 7; "
    "update users set full_name = 'Upd New' where id = 8; delete from users where id = 9",
    "insert into users (id, full_name) values (9001, 'Old Writer'); insert into users (id, first_name, last_name) "
    "values (9002, 'New', 'Writer'); "
    "update users set full_name = 'Upd Old' where id = 7; update users set first_name = 'Upd', last_name = 'New' where "
    "id = 8; delete from users where id = 9",
    "insert into users (id, first_name, last_name) values (9001, 'Old', 'Writer'), (9002, 'New', 'Writer'); "
    "update users set first_name = 'Upd', last_name = 'Old' where id = 7; update users set first_name = 'Upd', "
    "last_name = 'New' where id = 8; "
    "delete from users where id = 9",
    "select count(*) from pg_attribute where attrelid = 'users'::regclass and attname = 'first_name' and not "
    "attisdropped",
    "select 1 - count(*) from pg_attribute where attrelid = 'users'::regclass and attname = 'full_name' and not "
    "attisdropped"};

const std::string k_amount_writes =
    "insert into users (id, amount) values (9001, 41); update users set amount = 42 where id = 7; update users set "
    "amount = default where id = 8; "
    "delete from users where id = 9";

const Subject k_type_subject{
    R"(create table users (id bigint primary key, amount integer not null default 3, note text not null default repeat('n', 200),
         constraint amount_is_positive check (amount > 0));
       create index users_amount on users (amount, id);
       insert into users (id, amount) select i, 1 + i % 50 from generate_series(1, 300) i; analyze users)",
    R"yaml(
name: sweep
operations:
  - alter_column:
      table: users
      column: amount
      type: bigint
)yaml",
    k_amount_writes,
    k_amount_writes,
    k_amount_writes,
    "select 1",
    "select count(*) from pg_attribute where attrelid = 'users'::regclass and attname = 'amount' and atttypid = "
    "'bigint'::regtype"};

/// A table in two partitions, each of which has its worker.
Subject partitioned_subject() {
  Subject subject = k_split_subject;
  subject.setup =
      R"(create table users (id bigint primary key, full_name text not null, note text not null default repeat('n', 1800)) partition by range (id);
    create table users_low partition of users for values from (minvalue) to (150); create table users_high partition of users for values from (150) to (maxvalue);
    alter table users_low alter column note set storage plain; alter table users_high alter column note set storage plain;
    insert into users (id, full_name) select i, 'Ann' || i || ' Lee' || i from generate_series(1, 300) i; analyze users)";
  subject.plan.erase(subject.plan.find("  - create_index:"));
  subject.workers = 2;
  subject.only_backfill = true;
  return subject;
}

// What pg_dump would show of the table, and what it would not: validity, and anything of ours outside of it.
constexpr const char* k_shape = R"(
select 'column', attname, format_type(atttypid, atttypmod), attnotnull::text, pg_get_expr(d.adbin, d.adrelid)
from pg_attribute a left join pg_attrdef d on d.adrelid = attrelid and d.adnum = attnum
where attrelid = 'users'::regclass and attnum > 0 and not attisdropped
union all select 'constraint', conname, pg_get_constraintdef(oid), convalidated::text, '' from pg_constraint where conrelid = 'users'::regclass
union all select 'index', indexrelid::regclass::text, pg_get_indexdef(indexrelid), indisvalid::text, indisready::text from pg_index
where indrelid = 'users'::regclass
union all select 'trigger', tgname, '', '', '' from pg_trigger where not tgisinternal
union all select 'function', proname, '', '', '' from pg_proc where pronamespace = to_regnamespace('ecmigrate')
union all select 'relation', relname, '', '', '' from pg_class where relnamespace = 'public'::regnamespace
order by 1, 2)";

constexpr const char* k_steps = "select phase, step, done from ecmigrate.steps order by 1, 2";

/// One database in which the migration is done again and again, from the start each time.
class Sweep {
 public:
  explicit Sweep(const Subject& subject) : m_subject(subject) {
    m_options.pace.workers = subject.workers;
    restart();
    m_start_shape = m_database.rows(k_shape);
    m_start_schema = m_database.schema();
    FaultyWire wire;
    run_with(wire);
    m_points = wire.points();
    if (m_subject.only_backfill) {
      migrate_with(m_database, m_subject.plan, "verify contract", m_clock, m_observer);
    }
    write();
    m_end_shape = m_database.rows(k_shape);
    m_end_schema = m_database.schema();
    m_end_rows = m_database.rows("select * from users order by id");
    m_end_steps = m_database.rows(k_steps);
    restart();
    write();
    m_start_rows = m_database.rows("select * from users order by id");
  }

  [[nodiscard]] const std::vector<CallPoint>& points() const { return m_points; }
  /// Runs that never came to their call: two workers do not take turns the same way each time.
  [[nodiscard]] int missed() const { return m_missed; }

  /// Gives what is wrong afterwards, or nothing.
  std::string forward(Fault fault, const CallPoint& at, bool dump) {
    begin(fault, at);
    migrate_with(m_database, m_subject.plan, "expand backfill verify contract", m_clock, m_observer, m_options);
    m_complaints.clear();
    same("state", m_database.value("select state from ecmigrate.migrations"), "contracted");
    same("steps", m_database.rows(k_steps), m_end_steps);
    same("shape", m_database.rows(k_shape), m_end_shape);
    same("rows", m_database.rows("select * from users order by id"), m_end_rows);
    if (dump) {
      same("pg_dump", m_database.schema(), m_end_schema);
    }
    journal_is_consistent();
    return m_complaints;
  }

  std::string back(Fault fault, const CallPoint& at, bool dump) {
    begin(fault, at);
    m_complaints.clear();
    if (m_database.value(m_subject.is_contracted) == "1") {
      refuses_to_go_back();
      return m_complaints;
    }
    migrate_with(m_database, m_subject.plan, "rollback", m_clock, m_observer);
    const std::string state = m_database.value("select to_regclass('ecmigrate.migrations') is not null") == "t"
                                  ? m_database.value("select state from ecmigrate.migrations")
                                  : std::string();
    same("state", state.empty() ? "rolled_back" : state, "rolled_back");
    same("shape", m_database.rows(k_shape), m_start_shape);
    same("rows", m_database.rows("select * from users order by id"), m_start_rows);
    if (dump) {
      same("pg_dump", m_database.schema(), m_start_schema);
    }
    if (!state.empty()) {
      journal_is_consistent();
    }
    return m_complaints;
  }

 private:
  void restart() {
    m_database.exec("drop table if exists users; drop schema if exists ecmigrate cascade");
    m_database.exec(m_subject.setup);
  }

  void write() {
    const bool expanded = m_database.value(m_subject.is_expanded) == "1";
    const bool contracted = m_database.value(m_subject.is_contracted) == "1";
    m_database.exec(contracted ? m_subject.writes_new : expanded ? m_subject.writes_both : m_subject.writes_old);
  }

  /// The run that goes wrong, and what the application writes before anybody goes on.
  void begin(Fault fault, const CallPoint& at) {
    restart();
    FaultyWire wire(fault, at);
    try {
      run_with(wire);
    } catch (const Killed&) {
    } catch (const Error&) {
    }
    m_missed += wire.came_there() ? 0 : 1;
    write();
  }

  void run_with(FaultyWire& wire) {
    if (m_subject.only_backfill) {
      migrate_with(m_database, m_subject.plan, "expand", m_clock, m_observer);
    }
    migrate_with(m_database, m_subject.plan, m_subject.only_backfill ? "backfill" : "expand backfill verify contract",
                 m_clock, m_observer, m_options, wire.hook());
  }

  void refuses_to_go_back() {
    try {
      migrate_with(m_database, m_subject.plan, "rollback", m_clock, m_observer);
      m_complaints += "rollback was not refused; ";
    } catch (const Error& error) {
      same("outcome", std::string(outcome_row(error.outcome()).name), "refused");
    }
    same("shape", m_database.rows(k_shape), m_end_shape);
  }

  void journal_is_consistent() {
    // A rollback leaves the note that a step was begun and never done; its own steps are done like any others.
    same("unfinished steps",
         m_database.value("select count(*) from ecmigrate.steps where not done and (phase = 'rollback' or (select "
                          "state from ecmigrate.migrations) = "
                          "'contracted')"),
         "0");
    same("steps done twice",
         m_database.value(
             "select count(*) from (select from ecmigrate.locks group by phase, step having count(*) > 1) twice"),
         "0");
    same("runs", m_database.value("select count(*) > 0 from ecmigrate.runs"), "t");
  }

  void same(const std::string& what, const std::string& is, const std::string& should_be) {
    if (is != should_be) {
      m_complaints += fmt::format("{} is\n{}\ninstead of\n{}\n", what, is.substr(0, 2000), should_be.substr(0, 2000));
    }
  }

  const Subject& m_subject;
  Database m_database;
  ImpatientClock m_clock;
  Recorder m_observer;
  RunOptions m_options;
  std::vector<CallPoint> m_points;
  int m_missed = 0;
  std::string m_start_shape, m_start_schema, m_start_rows;
  std::string m_end_shape, m_end_schema, m_end_rows, m_end_steps;
  std::string m_complaints;
};

/// `dump`: compare the whole schema, too, which takes as long as the rest.
using SweepRun = std::string (Sweep::*)(Fault, const CallPoint&, bool dump);

std::string try_one(Sweep& sweep, SweepRun run, Fault fault, const CallPoint& at, bool dump) {
  try {
    return (sweep.*run)(fault, at, dump);
  } catch (const std::exception& error) {
    return std::string("whoever goes on meets: ") + error.what() + "\n";
  }
}

/// Every fault at every kind of call, on two databases at once. Gives all complaints.
std::string sweep(const Subject& subject, SweepRun run) {
  std::mutex mutex;
  std::string complaints;
  server();
  Sweep here(subject);
  const auto half = [&, points = here.points()](Sweep& sweep, std::size_t first) {
    std::size_t number = 0;
    int tried = 0;
    for (const CallPoint& at : points) {
      for (const auto& [fault, words] : k_faults) {
        // Before the first change nothing can be half done: then the way on from a lost network is all there is to see.
        if (at.only_read_before && (fault != Fault::cut_before || run != &Sweep::forward)) {
          continue;
        }
        if (++number % 2 != first) {
          continue;
        }
        ++tried;
        if (const std::string wrong = try_one(sweep, run, fault, at, number % 16 < 2); !wrong.empty()) {
          const std::lock_guard lock(mutex);
          complaints += fmt::format("{} \"{}\", after \"{}\": {}", words, at.text, at.after, wrong);
        }
      }
    }
    if (sweep.missed() * 10 > tried * (subject.workers == 1 ? 1 : 5)) {
      const std::lock_guard lock(mutex);
      complaints += fmt::format("{} of {} runs never came to their call", sweep.missed(), tried);
    }
  };
  auto other = std::async(std::launch::async, [&] {
    Sweep there(subject);
    half(there, 1);
  });
  half(here, 0);
  other.get();
  return complaints;
}

}  // namespace

TEST_CASE("crash sweep: a split and an index end the same, whatever call fails", "[sweep]") {
  CHECK(sweep(k_split_subject, &Sweep::forward) == "");
}

TEST_CASE("crash sweep: a split of two partitions with two workers ends the same, whatever call fails", "[sweep]") {
  CHECK(sweep(partitioned_subject(), &Sweep::forward) == "");
}

TEST_CASE("crash sweep: a split can be rolled back, whatever call failed", "[sweep]") {
  CHECK(sweep(k_split_subject, &Sweep::back) == "");
}

TEST_CASE("crash sweep: a change of type ends the same, whatever call fails", "[sweep]") {
  CHECK(sweep(k_type_subject, &Sweep::forward) == "");
}

TEST_CASE("crash sweep: a change of type can be rolled back, whatever call failed", "[sweep]") {
  CHECK(sweep(k_type_subject, &Sweep::back) == "");
}

}  // namespace ecmigrate::test
