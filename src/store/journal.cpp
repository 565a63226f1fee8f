#include "ecmigrate/store/journal.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <array>

#include "ecmigrate/base/error.hpp"
#include "ecmigrate/base/text.hpp"
#include "ecmigrate/store/recipe_json.hpp"

namespace ecmigrate {

namespace {

/// First half of the run lock's key, the same for every migration: "ecmg" in ASCII.
constexpr int k_lock_class = 0x65636D67;

// The advisory lock is only against two runners that install at the same moment. "if not exists" would ask for CREATE on
// the database even where an administrator has made the schema for us.
constexpr std::string_view k_install = R"(begin;
select pg_catalog.pg_advisory_xact_lock(1701011815, 0);
do $$ begin
  if pg_catalog.to_regnamespace('ecmigrate') is null then
    create schema ecmigrate;
    comment on schema ecmigrate is 'journal of ecmigrate migrations';
  end if;
end $$;
create table if not exists ecmigrate.migrations (
  name text primary key, state text not null, plan text not null, plan_hash text not null, recipe jsonb not null,
  recipe_format integer not null, version text not null,
  started_at timestamptz not null default clock_timestamp(), changed_at timestamptz not null default clock_timestamp());
create table if not exists ecmigrate.runs (
  id bigint generated always as identity primary key, migration text not null, command text not null, host text not null,
  process integer not null, backend integer not null, started_at timestamptz not null default clock_timestamp(),
  seen_at timestamptz, finished_at timestamptz, outcome text, message text);
create table if not exists ecmigrate.steps (
  migration text not null, phase text not null, step text not null, done boolean not null,
  at timestamptz not null default clock_timestamp(), primary key (migration, phase, step));
create table if not exists ecmigrate.locks (
  id bigint generated always as identity primary key, migration text not null, run bigint not null, phase text not null,
  step text not null, relation text not null, mode text not null, tries integer not null, waited_ms double precision not null,
  held_ms double precision not null, blocked_sessions integer not null, blocked_longest_ms double precision not null,
  at timestamptz not null default clock_timestamp());
create table if not exists ecmigrate.walks (
  migration text not null, relation text not null, run bigint not null, round integer not null, filenode bigint not null, pages bigint not null,
  next_page bigint not null default 0, finished boolean not null default false, again boolean not null default false,
  primary key (migration, relation));
create table if not exists ecmigrate.windows (
  migration text not null, relation text not null, round integer not null, run bigint not null, filenode bigint not null,
  first_page bigint not null, end_page bigint not null, passes integer not null, shrink double precision not null,
  pass integer not null default 0, page bigint not null, sweeping boolean not null default false, skipped boolean not null default false,
  done boolean not null default false, rows bigint not null default 0, hot_rows bigint not null default 0, batches bigint not null default 0,
  wal_bytes double precision not null default 0, opened_at timestamptz not null default clock_timestamp(),
  changed_at timestamptz not null default clock_timestamp(), primary key (migration, relation, round, first_page));
create table if not exists ecmigrate.bad_rows (
  id bigint generated always as identity primary key, migration text not null, relation text not null, ctid_of_row text not null,
  key text not null, sqlstate text not null, error text not null, at timestamptz not null default clock_timestamp());
create table if not exists ecmigrate.progress (
  id bigint generated always as identity primary key, migration text not null, run bigint not null, at timestamptz not null default clock_timestamp(),
  data json not null);
create table if not exists ecmigrate.verifications (
  id bigint generated always as identity primary key, migration text not null, run bigint not null, relation text not null,
  rows bigint not null, pending bigint not null, inconsistent bigint not null, repaired bigint not null,
  duration_ms double precision not null, at timestamptz not null default clock_timestamp());
create table if not exists ecmigrate.events (
  id bigint generated always as identity primary key, migration text not null, run bigint not null,
  at timestamptz not null default clock_timestamp(), data jsonb not null);
create table if not exists ecmigrate.steering (
  migration text primary key, paused boolean not null default false, paused_by text, throttle double precision not null default 0,
  throttle_until timestamptz, throttled_by text, limits jsonb not null default '{}', at timestamptz not null default clock_timestamp());
create index if not exists events_migration on ecmigrate.events (migration, id);
create index if not exists progress_migration on ecmigrate.progress (migration, id);
commit)";

std::string utc(const char* time) {
  return fmt::format("to_char({} at time zone 'utc', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"')", time);
}

std::string migration_columns() {
  return fmt::format("name, state, plan, plan_hash, recipe, recipe_format, {}, {}", utc("started_at"), utc("changed_at"));
}

MigrationRecord record_of(const pg::Rows& rows, int row) {
  MigrationRecord record;
  record.name = rows.text(row, 0);
  const auto state = state_from_name(rows.text(row, 1));
  if (!state || rows.integer(row, 5) != k_recipe_format) {
    throw Error(Outcome::refused, fmt::format("migration \"{}\" was started by another version of ecmigrate", record.name),
                "Finish it with the version that started it; ecmigrate.migrations.version names it.");
  }
  record.state = *state;
  record.plan = rows.text(row, 2);
  record.plan_hash = rows.text(row, 3);
  record.recipe = recipe_from_json(rows.text(row, 4));
  record.started_at = rows.text(row, 6);
  record.changed_at = rows.text(row, 7);
  return record;
}

std::string host_name() {
  std::array<char, 256> name{};
  gethostname(name.data(), name.size() - 1);
  return name.data();
}

std::vector<std::string> first_column(const pg::Rows& rows) {
  std::vector<std::string> values;
  for (int row = 0; row < rows.size(); ++row) {
    values.push_back(rows.text(row, 0));
  }
  return values;
}

}  // namespace

bool Journal::installed() {
  return m_connection.query("select pg_catalog.to_regclass('ecmigrate.progress') is not null").boolean(0, 0);
}

void Journal::install() {
  if (installed()) {
    return;
  }
  try {
    m_connection.script(std::string(k_install));
  } catch (const pg::SqlError& error) {
    if (error.sqlstate() == "42501") {
      throw Error(Outcome::refused, std::string("the journal cannot be created: ") + error.what(),
                  "Grant CREATE on the database, or have its owner run: create schema ecmigrate authorization <this role>.");
    }
    throw;
  }
}

std::optional<MigrationRecord> Journal::find(const std::string& name) {
  const pg::Rows rows = m_connection.query(fmt::format("select {} from ecmigrate.migrations where name = $1", migration_columns()), {name});
  return rows.size() == 0 ? std::nullopt : std::optional(record_of(rows, 0));
}

std::vector<MigrationRecord> Journal::all() {
  const pg::Rows rows = m_connection.query(fmt::format("select {} from ecmigrate.migrations order by started_at, name", migration_columns()));
  std::vector<MigrationRecord> records;
  for (int row = 0; row < rows.size(); ++row) {
    records.push_back(record_of(rows, row));
  }
  return records;
}

std::optional<std::string> Journal::other_on(const std::string& name, const std::vector<QualifiedName>& tables) {
  for (const MigrationRecord& record : all()) {
    if (record.name == name || record.state == State::contracted || record.state == State::rolled_back) {
      continue;
    }
    for (const QualifiedName& table : record.recipe.tables) {
      if (std::find(tables.begin(), tables.end(), table) != tables.end()) {
        return record.name;
      }
    }
  }
  return std::nullopt;
}

std::optional<std::string> Journal::begin(const std::string& name, const std::string& plan, const Recipe& recipe) {
  // Beginnings one after the other, or two migrations on one table would not see each other.
  m_connection.script("begin; select pg_catalog.pg_advisory_xact_lock(1701011815, 1)");
  if (auto other = other_on(name, recipe.tables)) {
    m_connection.query("rollback");
    return other;
  }
  const std::string key = quote_literal(name);
  m_connection.script(fmt::format(
      "delete from ecmigrate.steps where migration = {0}; delete from ecmigrate.walks where migration = {0}; "
      "delete from ecmigrate.windows where migration = {0}; delete from ecmigrate.bad_rows where migration = {0}; "
      "delete from ecmigrate.progress where migration = {0}; "
      "delete from ecmigrate.steering where migration = {0}; "
      "delete from ecmigrate.migrations where name = {0}; insert into ecmigrate.migrations (name, state, plan, plan_hash, recipe, recipe_format, version) "
      "values ({0}, 'expanding', {1}, encode(sha256(convert_to({1}, 'UTF8')), 'hex'), {2}, {3}, {4}); commit",
      key, quote_literal(plan), quote_literal(recipe_to_json(recipe)), k_recipe_format, quote_literal(ECMIGRATE_VERSION)));
  return std::nullopt;
}

void Journal::set_state(const std::string& name, State state) {
  m_connection.query("update ecmigrate.migrations set state = $2, changed_at = clock_timestamp() where name = $1",
                     {name, std::string(state_name(state))});
}

std::int64_t Journal::begin_run(const std::string& name, const std::string& command) {
  return m_connection
      .query("insert into ecmigrate.runs (migration, command, host, process, backend) values ($1, $2, $3, $4, $5) returning id",
             {name, command, host_name(), std::to_string(getpid()), std::to_string(m_connection.backend_pid())})
      .integer(0, 0);
}

std::pair<int, int> Journal::run_lock(const std::string& name) {
  return {k_lock_class, static_cast<int>(static_cast<std::uint32_t>(stable_hash(name)))};
}

std::optional<RunRecord> Journal::last_run(const std::string& name) {
  // Whoever runs holds the lock; a host that died keeps it for about a minute, but gives no heartbeat any more.
  const auto [lock_class, lock] = run_lock(name);
  const pg::Rows rows = m_connection.query(
      fmt::format("select command, host, process, {}, {}, outcome, finished_at is null and ("
                  "not exists (select from pg_catalog.pg_locks l where l.locktype = 'advisory' and l.granted and l.classid = {}::oid and l.objid = {}::oid "
                  "and l.database = (select oid from pg_catalog.pg_database where datname = current_database())) or "
                  "(seen_at < clock_timestamp() - interval '30 seconds' and exists (select from ecmigrate.walks w where w.run = r.id and not w.finished))) "
                  "from ecmigrate.runs r where migration = $1 order by id desc limit 1",
                  utc("started_at"), utc("seen_at"), lock_class, static_cast<std::uint32_t>(lock)),
      {name});
  if (rows.size() == 0) {
    return std::nullopt;
  }
  return RunRecord{rows.text(0, 0), rows.text(0, 1), rows.integer(0, 2), rows.text(0, 3), rows.maybe(0, 4), rows.maybe(0, 5), rows.boolean(0, 6)};
}

void Journal::end_run(std::int64_t run, const std::string& outcome, const std::string& message) {
  m_connection.query("update ecmigrate.runs set finished_at = clock_timestamp(), outcome = $2, message = $3 where id = $1",
                     {std::to_string(run), outcome, message});
}

std::vector<std::string> Journal::done_steps(const std::string& name, const std::string& phase) {
  return first_column(m_connection.query("select step from ecmigrate.steps where migration = $1 and phase = $2 and done", {name, phase}));
}

std::vector<std::string> Journal::started_steps(const std::string& name, const std::string& phase) {
  return first_column(m_connection.query("select step from ecmigrate.steps where migration = $1 and phase = $2", {name, phase}));
}

std::string Journal::step_sql(const std::string& name, const std::string& phase, const std::string& step, bool done) {
  return fmt::format(
      "insert into ecmigrate.steps (migration, phase, step, done) values ({}, {}, {}, {}) "
      "on conflict (migration, phase, step) do update set done = excluded.done, at = clock_timestamp()",
      quote_literal(name), quote_literal(phase), quote_literal(step), done);
}

void Journal::record_step(const std::string& name, const std::string& phase, const std::string& step, bool done) {
  m_connection.query(step_sql(name, phase, step, done));
}

void Journal::record_lock(const std::string& name, std::int64_t run, const event::StepFinished& step) {
  m_connection.query(
      "insert into ecmigrate.locks (migration, run, phase, step, relation, mode, tries, waited_ms, held_ms, blocked_sessions, blocked_longest_ms) "
      "values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
      {name, std::to_string(run), step.phase, step.step, step.relation, step.mode, std::to_string(step.tries), std::to_string(step.waited_ms),
       std::to_string(step.held_ms), std::to_string(step.blocked_sessions), std::to_string(step.blocked_longest_ms)});
}

void Journal::record_verification(const std::string& name, std::int64_t run, const event::VerifyFinished& result) {
  m_connection.query(
      "insert into ecmigrate.verifications (migration, run, relation, rows, pending, inconsistent, repaired, duration_ms) "
      "values ($1, $2, $3, $4, $5, $6, $7, $8)",
      {name, std::to_string(run), result.relation, std::to_string(result.rows), std::to_string(result.pending), std::to_string(result.inconsistent),
       std::to_string(result.repaired), std::to_string(result.duration_ms)});
}

std::vector<VerificationRecord> Journal::verifications(const std::string& name) {
  const pg::Rows rows = m_connection.query(
      "select distinct on (relation) relation, rows, pending + inconsistent - repaired, to_char(at at time zone 'utc', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"') "
      "from ecmigrate.verifications where migration = $1 order by relation, id desc",
      {name});
  std::vector<VerificationRecord> records;
  for (int row = 0; row < rows.size(); ++row) {
    records.push_back({rows.text(row, 0), rows.integer(row, 1), rows.integer(row, 2), rows.text(row, 3)});
  }
  return records;
}

void Journal::record_event(const std::string& name, std::int64_t run, const std::string& json) {
  m_connection.query("insert into ecmigrate.events (migration, run, data) values ($1, $2, $3)", {name, std::to_string(run), json});
}

void Journal::record_progress(const std::string& name, std::int64_t run, const std::string& json) {
  m_connection.query("insert into ecmigrate.progress (migration, run, data) values ($1, $2, $3)", {name, std::to_string(run), json});
}

std::vector<std::string> Journal::last_progress(const std::string& name) {
  return first_column(m_connection.query(
      "select distinct on (data->>'relation') data from ecmigrate.progress where migration = $1 "
      "and run = (select max(run) from ecmigrate.progress where migration = $1) order by data->>'relation', id desc",
      {name}));
}

}  // namespace ecmigrate
