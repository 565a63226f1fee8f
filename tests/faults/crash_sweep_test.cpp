#include <fmt/format.h>

#include <array>
#include <future>
#include <mutex>
#include <set>

#include "ecmigrate/base/error.hpp"
#include "ecmigrate/store/journal.hpp"
#include "ecmigrate/store/sync_triggers.hpp"
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
  std::string faulty = "expand backfill verify contract";  ///< phases in which something fails
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
  subject.faulty = "backfill";
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
union all select 'trigger', tgname, tgenabled::text, '', '' from pg_trigger where not tgisinternal
union all select 'function', proname, md5(prosrc), '', '' from pg_proc where pronamespace = to_regnamespace('ecmigrate')
union all select 'sequence', relname, relacl::text, '', '' from pg_class where relnamespace = to_regnamespace('ecmigrate') and relname like 'sync\_%'
union all select 'relation', relname, '', '', '' from pg_class where relnamespace = 'public'::regnamespace
order by 1, 2)";

// What the phases to come read of the journal. Long numbers are oids and the like, and other ones in each database.
constexpr const char* k_journal = R"(
select regexp_replace(fact, '[0-9]{4,}', 'N', 'g') from (
  select 'rights ' || nspacl::text from pg_namespace where nspname = 'ecmigrate'
  union all select format('locked %s %s %s', phase, step, count(*)) from ecmigrate.locks group by phase, step
  union all select (to_jsonb(m) - '{started_at,changed_at}'::text[])::text from ecmigrate.migrations m
  union all select (to_jsonb(s) - 'at')::text from ecmigrate.steps s
  union all select (to_jsonb(w) - 'run')::text from ecmigrate.walks w
  union all select (to_jsonb(w) - '{run,rows,hot_rows,batches,wal_bytes,opened_at,changed_at}'::text[])::text from ecmigrate.windows w
  union all select (to_jsonb(b) - 'at')::text from ecmigrate.bad_rows b
  union all select (to_jsonb(s) - 'at')::text from ecmigrate.steering s) f (fact)
order by 1)";

constexpr const char* k_steps = "select phase, step, done from ecmigrate.steps order by 1, 2";

/// A phase that something fails in: the calls that are made in it first, and a database in which it is its turn.
struct Stage {
  std::string phase;
  std::string last_call;  ///< of the phase before
  std::unique_ptr<Database> begins;
  std::vector<CallPoint> points;
};

struct Facts {
  std::string shape, schema, rows;
};

/// The migration as it goes when nothing fails.
class Course {
 public:
  explicit Course(const Subject& subject) : m_subject(subject) {
    m_options.pace.workers = subject.workers;
    auto now = std::make_unique<Database>();
    now->exec(subject.setup);
    m_start.shape = now->rows(k_shape);
    m_start.schema = now->schema();
    FaultyWire wire;
    for (const char* phase : {"expand", "backfill", "verify", "contract"}) {
      now->leave();
      m_stages.push_back({phase, wire.last(), std::move(now), {}});
      now = std::make_unique<Database>(m_stages.back().begins.get());
      const bool faulty = subject.faulty.find(phase) != std::string::npos;
      const std::size_t known = wire.points().size();
      migrate_with(*now, subject.plan, phase, m_clock, m_observer, m_options, faulty ? wire.hook() : nullptr);
      m_stages.back().points.assign(wire.points().begin() + static_cast<std::ptrdiff_t>(known), wire.points().end());
    }
    write(*now);
    m_end = {now->rows(k_shape), now->schema(), now->rows("select * from users order by id")};
    m_end_steps = now->rows(k_steps);
    now = std::make_unique<Database>(m_stages.front().begins.get());
    write(*now);
    m_start.rows = now->rows("select * from users order by id");
  }

  [[nodiscard]] const Subject& subject() const { return m_subject; }
  [[nodiscard]] const RunOptions& options() const { return m_options; }
  [[nodiscard]] const std::vector<Stage>& stages() const { return m_stages; }
  [[nodiscard]] const Facts& start() const { return m_start; }
  [[nodiscard]] const Facts& end() const { return m_end; }
  [[nodiscard]] const std::string& end_steps() const { return m_end_steps; }

  void write(Database& database) const {
    const bool expanded = database.value(m_subject.is_expanded) == "1";
    const bool contracted = database.value(m_subject.is_contracted) == "1";
    database.exec(contracted ? m_subject.writes_new : expanded ? m_subject.writes_both : m_subject.writes_old);
  }

 private:
  const Subject& m_subject;
  RunOptions m_options;
  ImpatientClock m_clock;
  Recorder m_observer;
  std::vector<Stage> m_stages;
  Facts m_start, m_end;
  std::string m_end_steps;
};

/// Databases, as they are after something failed, from which the migration was seen to end as it should: most calls
/// leave the same behind, and what follows is then the same, too.
class Seen {
 public:
  [[nodiscard]] bool has(const std::string& facts) const {
    const std::lock_guard lock(m_mutex);
    return m_facts.contains(facts);
  }
  void add(std::string facts) {
    const std::lock_guard lock(m_mutex);
    m_facts.insert(std::move(facts));
  }

 private:
  mutable std::mutex m_mutex;
  std::set<std::string> m_facts;
};

/// The migration done again and again, each time from the phase on that is to fail, in a database of its own.
class Sweep {
 public:
  Sweep(const Course& course, Seen& seen) : m_course(course), m_plan(course.subject().plan), m_seen(seen) {}

  /// Runs that never came to their call: two workers do not take turns the same way each time.
  [[nodiscard]] int missed() const { return m_missed; }

  /// Gives what is wrong afterwards, or nothing.
  std::string forward(Fault fault, const Stage& stage, const CallPoint& at, bool dump) {
    begin(fault, stage, at);
    // A script that was killed begins at its beginning, whatever is done; whoever saw an error runs that command again.
    const std::string all = "expand backfill verify contract";
    const std::size_t rest = all.find(stage.phase) + stage.phase.size();
    const std::string again = fault == Fault::killed_before ? all.substr(0, rest) : stage.phase;
    const std::string failed = again + facts();
    if (m_seen.has(failed)) {
      return m_complaints;
    }
    migrate_with(*m_database, m_plan, again, m_clock, m_observer, m_course.options());
    const std::string mended = all.substr(rest) + facts();
    if (m_seen.has(mended)) {
      m_seen.add(failed);
      return m_complaints;
    }
    migrate_with(*m_database, m_plan, all.substr(rest), m_clock, m_observer, m_course.options());
    same("state", m_database->value("select state from ecmigrate.migrations"), "contracted");
    same("steps", m_database->rows(k_steps), m_course.end_steps());
    same_facts(m_course.end(), dump);
    journal_is_consistent();
    if (m_complaints.empty()) {
      m_seen.add(failed);
      m_seen.add(mended);
    }
    return m_complaints;
  }

  std::string back(Fault fault, const Stage& stage, const CallPoint& at, bool dump) {
    begin(fault, stage, at);
    if (m_database->value(m_course.subject().is_contracted) == "1") {
      refuses_to_go_back();
      return m_complaints;
    }
    const std::string failed = facts();
    if (m_seen.has(failed)) {
      return m_complaints;
    }
    migrate_with(*m_database, m_plan, "rollback", m_clock, m_observer);
    const std::string state = m_database->value("select to_regclass('ecmigrate.migrations') is not null") == "t"
                                  ? m_database->value("select state from ecmigrate.migrations")
                                  : std::string();
    same("state", state.empty() ? "rolled_back" : state, "rolled_back");
    same_facts(m_course.start(), dump);
    if (!state.empty()) {
      journal_is_consistent();
    }
    if (m_complaints.empty()) {
      m_seen.add(failed);
    }
    return m_complaints;
  }

 private:
  /// The run that goes wrong, and what the application writes before anybody goes on.
  void begin(Fault fault, const Stage& stage, const CallPoint& at) {
    m_complaints.clear();
    m_observer.events.clear();
    m_database = std::make_unique<Database>(stage.begins.get());
    FaultyWire wire(fault, at, stage.last_call);
    try {
      migrate_with(*m_database, m_plan, stage.phase, m_clock, m_observer, m_course.options(), wire.hook());
    } catch (const Killed&) {
    } catch (const Error&) {
    }
    m_missed += wire.came_there() ? 0 : 1;
    m_course.write(*m_database);
  }

  /// All that the phases to come can know of the database.
  std::string facts() {
    const bool has_journal = m_database->value("select to_regclass('ecmigrate.steering') is not null") == "t";
    return m_database->rows(k_shape) + m_database->rows("select * from users order by id") +
           (has_journal ? m_database->rows(k_journal) + trigger_standing() : std::string("no journal"));
  }

  /// Whether the sync triggers are the ones that were made, as the phases ask.
  std::string trigger_standing() {
    const std::unique_ptr<pg::Connection> connection = m_database->connect();
    const auto record = Journal(*connection).find("sweep");
    return !record || record->trigger_marks.empty()                                       ? "no marks"
           : trigger_marks(*connection, record->recipe.triggers) == record->trigger_marks ? "marks hold"
                                                                                          : "other marks";
  }

  void refuses_to_go_back() {
    try {
      migrate_with(*m_database, m_plan, "rollback", m_clock, m_observer);
      m_complaints += "rollback was not refused; ";
    } catch (const Error& error) {
      same("outcome", std::string(outcome_row(error.outcome()).name), "refused");
    }
    same("shape", m_database->rows(k_shape), m_course.end().shape);
  }

  void same_facts(const Facts& should_be, bool dump) {
    same("shape", m_database->rows(k_shape), should_be.shape);
    same("rows", m_database->rows("select * from users order by id"), should_be.rows);
    if (dump) {
      same("pg_dump", m_database->schema(), should_be.schema);
    }
  }

  void journal_is_consistent() {
    // A rollback leaves the note that a step was begun and never done; its own steps are done like any others.
    same("unfinished steps",
         m_database->value("select count(*) from ecmigrate.steps where not done and (phase = 'rollback' or (select "
                           "state from ecmigrate.migrations) = "
                           "'contracted')"),
         "0");
    same("steps done twice",
         m_database->value(
             "select count(*) from (select from ecmigrate.locks group by phase, step having count(*) > 1) twice"),
         "0");
    same("runs", m_database->value("select count(*) > 0 from ecmigrate.runs"), "t");
  }

  void same(const std::string& what, const std::string& is, const std::string& should_be) {
    if (is != should_be) {
      m_complaints += fmt::format("{} is\n{}\ninstead of\n{}\n", what, is.substr(0, 2000), should_be.substr(0, 2000));
    }
  }

  const Course& m_course;
  const std::string& m_plan;
  Seen& m_seen;
  std::unique_ptr<Database> m_database;
  ImpatientClock m_clock;
  Recorder m_observer;
  int m_missed = 0;
  std::string m_complaints;
};

/// `dump`: compare the whole schema, too, which takes as long as the rest.
using SweepRun = std::string (Sweep::*)(Fault, const Stage&, const CallPoint&, bool dump);

std::string try_one(Sweep& sweep, SweepRun run, Fault fault, const Stage& stage, const CallPoint& at, bool dump) {
  try {
    return (sweep.*run)(fault, stage, at, dump);
  } catch (const std::exception& error) {
    return std::string("whoever goes on meets: ") + error.what() + "\n";
  }
}

/// Every fault at every kind of call, or what falls to one of several test cases that share them, on two databases at
/// once. Gives all complaints.
std::string sweep(const Subject& subject, SweepRun run, std::size_t share = 0, std::size_t shares = 1) {
  std::mutex mutex;
  std::string complaints;
  const Course course(subject);
  Seen seen;
  const auto half = [&](std::size_t first) {
    Sweep sweep(course, seen);
    std::size_t number = 0;
    int tried = 0;
    const auto try_all = [&](const Stage& stage, const CallPoint& at) {
      for (const auto& [fault, words] : k_faults) {
        // Before the first change nothing can be half done: then the way on from a lost network is all there is to see.
        if (at.only_read_before && (fault != Fault::cut_before || run != &Sweep::forward)) {
          continue;
        }
        if (++number % (2 * shares) != 2 * share + first) {
          continue;
        }
        ++tried;
        if (const std::string wrong = try_one(sweep, run, fault, stage, at, number / (2 * shares) % 8 == 0);
            !wrong.empty()) {
          const std::lock_guard lock(mutex);
          complaints += fmt::format("{}, {} \"{}\", after \"{}\": {}", stage.phase, words, at.text, at.after, wrong);
        }
      }
    };
    for (const Stage& stage : course.stages()) {
      for (const CallPoint& at : stage.points) {
        try_all(stage, at);
      }
    }
    const std::lock_guard lock(mutex);
    if (sweep.missed() * 10 > tried * (subject.workers == 1 ? 1 : 5)) {
      complaints += fmt::format("{} of {} runs never came to their call", sweep.missed(), tried);
    }
  };
  auto other = std::async(std::launch::async, [&] { half(1); });
  half(0);
  other.get();
  return complaints;
}

}  // namespace

TEST_CASE("crash sweep: a split and an index end the same, whatever call fails: one half",
          "[sweep][alone:sweep_split_1]") {
  CHECK(sweep(k_split_subject, &Sweep::forward, 0, 2) == "");
}

TEST_CASE("crash sweep: a split and an index end the same, whatever call fails: the other half",
          "[sweep][alone:sweep_split_2]") {
  CHECK(sweep(k_split_subject, &Sweep::forward, 1, 2) == "");
}

TEST_CASE("crash sweep: a split of two partitions with two workers ends the same, whatever call fails",
          "[sweep][alone:sweep_partitions]") {
  CHECK(sweep(partitioned_subject(), &Sweep::forward) == "");
}

TEST_CASE("crash sweep: a split can be rolled back, whatever call failed", "[sweep][alone:sweep_split_back]") {
  CHECK(sweep(k_split_subject, &Sweep::back) == "");
}

TEST_CASE("crash sweep: a change of type ends the same, whatever call fails: one half", "[sweep][alone:sweep_type_1]") {
  CHECK(sweep(k_type_subject, &Sweep::forward, 0, 2) == "");
}

TEST_CASE("crash sweep: a change of type ends the same, whatever call fails: the other half",
          "[sweep][alone:sweep_type_2]") {
  CHECK(sweep(k_type_subject, &Sweep::forward, 1, 2) == "");
}

TEST_CASE("crash sweep: a change of type can be rolled back, whatever call failed", "[sweep][alone:sweep_type_back]") {
  CHECK(sweep(k_type_subject, &Sweep::back) == "");
}

}  // namespace ecmigrate::test
