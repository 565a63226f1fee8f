#include "ecmigrate/store/journal.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>

#include "ecmigrate/base/error.hpp"
#include "ecmigrate/base/text.hpp"
#include "ecmigrate/pg/sqlstate.hpp"
#include "ecmigrate/store/event_json.hpp"
#include "ecmigrate/store/recipe_json.hpp"
#include "journal_formats.hpp"
#include "storable.hpp"

namespace ecmigrate {

namespace {

/// First half of the run lock's key, the same for every migration: "ecmg" in ASCII.
constexpr int k_lock_class = 0x65636D67;

// The advisory lock is only against two runners that install at the same moment. "if not exists" would ask for CREATE
// on the database even where an administrator has made the schema for us.
constexpr std::string_view k_make_schema = R"(
do $$ begin
  if pg_catalog.to_regnamespace('ecmigrate') is null then
    create schema ecmigrate;
    comment on schema ecmigrate is 'journal of ecmigrate migrations';
  end if;
end $$;
)";

// New tables belong to whom the others belong to, or the next of several roles could not use them.
constexpr std::string_view k_as_owner = R"(
do $$ declare owner name := pg_catalog.pg_get_userbyid((select nspowner from pg_catalog.pg_namespace where nspname = 'ecmigrate')); begin
  if owner <> current_user and pg_catalog.pg_has_role(owner, 'member') then
    execute pg_catalog.format('set local role %I', owner);
  end if;
end $$;
)";

std::string utc(const char* time) {
  return fmt::format("to_char({} at time zone 'utc', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"')", time);
}

std::string migration_columns() {
  // Through to_jsonb, as a journal of an older format has no such columns.
  return fmt::format(
      "name, state, plan, plan_hash, recipe, recipe_format, {}, {}, to_jsonb(migrations)->>'tables', "
      "to_jsonb(migrations)->>'trigger_marks'",
      utc("started_at"), utc("changed_at"));
}

MigrationRecord record_of(const pg::Rows& rows, int row) {
  MigrationRecord record;
  record.name = rows.text(row, 0);
  const auto state = state_from_name(rows.text(row, 1));
  if (!state || !is_known_recipe_format(rows.integer(row, 5))) {
    throw Error(Outcome::refused,
                fmt::format("migration \"{}\" was started by another version of ecmigrate", record.name),
                "Finish it with the version that started it; ecmigrate.migrations.version names it.");
  }
  record.state = *state;
  record.plan = rows.text(row, 2);
  record.plan_hash = rows.text(row, 3);
  record.recipe = recipe_from_json(rows.text(row, 4), static_cast<int>(rows.integer(row, 5)));
  record.started_at = rows.text(row, 6);
  record.changed_at = rows.text(row, 7);
  if (!rows.is_null(row, 8)) {
    record.tables = tables_from_json(rows.text(row, 8));
  }
  record.trigger_marks = rows.text(row, 9);
  return record;
}

std::string host_name() {
  std::array<char, 256> name{};
  gethostname(name.data(), name.size() - 1);
  return name.data();
}

[[noreturn]] void refuse_characters() {
  throw Error(Outcome::plan_invalid, "the plan has characters that this database's encoding has not",
              "Write its names and its description without them. Nothing was changed.");
}

std::vector<std::string> first_column(const pg::Rows& rows) {
  std::vector<std::string> values;
  for (int row = 0; row < rows.size(); ++row) {
    values.push_back(rows.text(row, 0));
  }
  return values;
}

}  // namespace

int Journal::format() {
  const pg::Rows tables = m_connection.query(
      "select pg_catalog.to_regclass('ecmigrate.progress') is not null, pg_catalog.to_regclass('ecmigrate.journal') is "
      "not null");
  if (!tables.boolean(0, 1)) {
    return tables.boolean(0, 0) ? 1 : 0;
  }
  return static_cast<int>(m_connection.query("select coalesce(max(format), 0) from ecmigrate.journal").integer(0, 0));
}

bool Journal::installed() {
  check_readable();
  if (!m_connection
           .query("select coalesce(pg_catalog.has_schema_privilege(pg_catalog.to_regnamespace('ecmigrate'), 'usage'), "
                  "true)")
           .boolean(0, 0)) {
    const std::string role = quote_identifier(m_connection.query("select current_user").text(0, 0));
    throw pg::SqlError(std::string(pg::sqlstate::k_insufficient_privilege),
                       "this role may not read the journal, schema ecmigrate",
                       fmt::format("Have its owner run: grant usage on schema ecmigrate to {0}; grant select on all "
                                   "tables in schema ecmigrate to {0}",
                                   role),
                       0);
  }
  const int found = format();
  if (found > k_journal_format) {
    throw Error(Outcome::refused,
                fmt::format("the journal of this database has format {}; this ecmigrate knows formats up to {}", found,
                            k_journal_format),
                "A newer ecmigrate has been at work here: use that one. Nothing was changed.");
  }
  return found > 0;
}

void Journal::install() {
  const bool exists = installed();
  check_may_install();
  if (format() == k_journal_format) {
    return;
  }
  // Who holds the advisory lock may have done it meanwhile, so the format is read again under it. The tables of a
  // journal in use are locked for the moment of the upgrade alone: nobody is to queue behind us for longer.
  m_connection.script("begin; set local lock_timeout = '2s'; select pg_catalog.pg_advisory_xact_lock(1701011815, 0)");
  try {
    const int found = format();
    std::string sql(found == 0 ? k_make_schema : k_as_owner);
    for (int next = found; next < k_journal_format; ++next) {
      sql += k_journal_formats[static_cast<std::size_t>(next)];
    }
    m_connection.script(
        fmt::format("{}; update ecmigrate.journal set format = {}, program = {}, at = clock_timestamp(); commit", sql,
                    k_journal_format, quote_literal(ECMIGRATE_VERSION)));
  } catch (const pg::SqlError& error) {
    if (error.sqlstate() == pg::sqlstate::k_insufficient_privilege && !exists) {
      throw Error(
          Outcome::refused, std::string("the journal cannot be created: ") + error.what(),
          "Grant CREATE on the database, or have its owner run: create schema ecmigrate authorization <this role>.");
    }
    if (error.sqlstate() == pg::sqlstate::k_insufficient_privilege) {
      throw Error(Outcome::refused,
                  std::string("the journal cannot be brought to this program's format: ") + error.what(),
                  "Run the command once as the role that owns the tables of schema ecmigrate.");
    }
    if (error.sqlstate() == pg::sqlstate::k_lock_not_available) {
      throw Error(
          Outcome::lock_not_obtained,
          "the journal cannot be brought to this program's format: its tables are locked by somebody (pg_dump?)",
          "Run the same command again when they are gone; nothing was changed.");
    }
    throw;
  }
}

std::optional<MigrationRecord> Journal::find(const std::string& name) {
  const pg::Rows rows = m_connection.query(
      fmt::format("select {} from ecmigrate.migrations where name = $1", migration_columns()), {name});
  return rows.size() == 0 ? std::nullopt : std::optional(record_of(rows, 0));
}

std::optional<std::string> Journal::other_on(const std::string& name, const std::vector<QualifiedName>& tables) {
  // Reads the tables alone, so that the recipe of another program's migration does not stand in the way of this one.
  const pg::Rows rows = m_connection.query(
      "select name, t->>0, t->>1 from ecmigrate.migrations, pg_catalog.jsonb_path_query(recipe, 'lax $.tables[*]') t "
      "where name <> $1 and state not in ('contracted', 'rolled_back')",
      {name});
  for (int row = 0; row < rows.size(); ++row) {
    if (std::ranges::find(tables, QualifiedName{rows.text(row, 1), rows.text(row, 2)}) != tables.end()) {
      return rows.text(row, 0);
    }
  }
  return std::nullopt;
}

std::string Journal::forget_sql(const std::string& name) {
  std::string sql;
  for (const std::string_view table :
       {"steps", "walks", "windows", "bad_rows", "progress", "verifications", "steering"}) {
    sql += fmt::format("delete from ecmigrate.{} where migration = {}; ", table, quote_literal(name));
  }
  return sql + fmt::format("delete from ecmigrate.migrations where name = {};", quote_literal(name));
}

void Journal::forget(const std::string& name) {
  m_connection.script("begin; " + forget_sql(name) + " commit");
}

std::optional<std::string> Journal::begin(const Plan& plan, const Recipe& recipe, const Tables& tables) {
  if (!can_store(m_connection, plan.canonical)) {
    refuse_characters();
  }
  const std::string recipe_json =
      storable(m_connection, recipe_to_json(recipe));  // of our own characters only labels have any
  const std::string description = storable(m_connection, plan.description);
  const std::string file = storable(m_connection, plan.file);
  const std::string tables_json = storable(m_connection, tables_to_json(tables));
  // Beginnings one after the other, or two migrations on one table would not see each other.
  m_connection.script("begin; select pg_catalog.pg_advisory_xact_lock(1701011815, 1)");
  if (auto other = other_on(plan.name, recipe.tables)) {
    m_connection.query("rollback");
    return other;
  }
  m_connection.script(fmt::format(
      "{1} insert into ecmigrate.migrations (name, state, plan, plan_hash, recipe, recipe_format, version, "
      "description, "
      "plan_file, tables) "
      "values ({0}, 'expanding', {2}, encode(sha256(convert_to({2}, 'UTF8')), 'hex'), {3}, {4}, {5}, {6}, {7}, {8})",
      quote_literal(plan.name), forget_sql(plan.name), quote_literal(plan.canonical), quote_literal(recipe_json),
      k_recipe_format, quote_literal(ECMIGRATE_VERSION), quote_literal(description), quote_literal(file),
      quote_literal(tables_json)));
  record_columns(plan.name, recipe.tables, false);
  m_connection.query("commit");
  return std::nullopt;
}

void Journal::change_plan(const Plan& plan, const Recipe& recipe) {
  if (!can_store(m_connection, plan.canonical)) {
    refuse_characters();
  }
  m_connection.query(
      "update ecmigrate.migrations set plan = $2, plan_hash = encode(sha256(convert_to($2, 'UTF8')), 'hex'), recipe = "
      "$3, recipe_format = $4, version = $5, description = $6, plan_file = $7 where name = $1",
      {plan.name, plan.canonical, storable(m_connection, recipe_to_json(recipe)), std::to_string(k_recipe_format),
       ECMIGRATE_VERSION, storable(m_connection, plan.description), storable(m_connection, plan.file)});
}

void Journal::record_trigger_marks(const std::string& name, const std::string& marks) {
  m_connection.query("update ecmigrate.migrations set trigger_marks = $2 where name = $1", {name, marks});
}

void Journal::record_columns(const std::string& name, const std::vector<QualifiedName>& tables, bool added) {
  std::string names;
  for (const QualifiedName& table : tables) {
    names += (names.empty() ? "" : ", ") + quote_literal(table.sql());
  }
  m_connection.query(
      fmt::format(
          "update ecmigrate.migrations m set columns = coalesce(m.columns, '[]') || coalesce((select "
          "jsonb_agg(jsonb_build_object("
          "'schema', n.nspname, 'table', c.relname, 'oid', c.oid::bigint, 'number', a.attnum, 'name', a.attname, "
          "'type', pg_catalog.format_type(a.atttypid, a.atttypmod), 'nullable', not a.attnotnull, 'added', {} and "
          "m.columns is not null) "
          "order by c.oid, a.attnum) "
          "from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace join "
          "pg_catalog.pg_attribute a on a.attrelid = c.oid "
          "where c.oid in (select pg_catalog.to_regclass(t) from unnest(array[{}]::text[]) t) and a.attnum > 0 and not "
          "a.attisdropped "
          "and not exists (select from jsonb_array_elements(coalesce(m.columns, '[]')) k "
          "where (k->>'oid')::bigint = c.oid::bigint and (k->>'number')::integer = a.attnum)), '[]') where name = $1",
          added, names),
      {name});
}

void Journal::set_state(const std::string& name, State state) {
  m_connection.query("update ecmigrate.migrations set state = $2, changed_at = clock_timestamp() where name = $1",
                     {name, std::string(state_name(state))});
}

bool Journal::take_contract_back(const std::string& name) {
  return m_connection
             .query(
                 "update ecmigrate.migrations m set state = 'verified', changed_at = clock_timestamp() where name = "
                 "$1 and state = 'contracting' and not exists (select from ecmigrate.steps s where s.migration = "
                 "m.name and s.phase = 'contract')",
                 {name})
             .affected() > 0;
}

bool Journal::is_newest_run(const std::string& name, std::int64_t run) {
  return m_connection
      .query(
          "select exists (select from ecmigrate.migrations where name = $1) and not exists (select from "
          "ecmigrate.runs where migration = $1 and id > $2)",
          {name, std::to_string(run)})
      .boolean(0, 0);
}

std::int64_t Journal::begin_run(const std::string& name, const RunStart& start) {
  return m_connection
      .query(
          "insert into ecmigrate.runs (migration, command, host, process, backend, plan_file, target, limits) "
          "values ($1, $2, $3, $4, $5, $6, $7, jsonb_build_object('target_batch_ms', $8::bigint, 'max_replica_lag_ms', "
          "$9::bigint, "
          "'max_rows_rate', $10::double precision, 'max_wal_rate', $11::double precision)) returning id",
          {name, start.command, host_name(), std::to_string(getpid()), std::to_string(m_connection.backend_pid()),
           storable(m_connection, start.plan_file), storable(m_connection, start.target),
           std::to_string(start.limits.target_batch.count()), std::to_string(start.limits.max_replica_lag.count()),
           std::to_string(start.limits.max_rows_rate), std::to_string(start.limits.max_wal_rate)})
      .integer(0, 0);
}

std::pair<int, int> Journal::run_lock(const std::string& name) {
  return {k_lock_class, static_cast<int>(static_cast<std::uint32_t>(stable_hash(name)))};
}

void Journal::end_run(std::int64_t run, const RunEnd& end) {
  m_connection.query(
      "update ecmigrate.runs set finished_at = clock_timestamp(), outcome = $2, message = $3, hint = $4, next = $5 "
      "where id = $1",
      {std::to_string(run), end.outcome, storable(m_connection, end.message), storable(m_connection, end.hint),
       storable(m_connection, end.next)});
}

std::vector<std::string> Journal::done_steps(const std::string& name, const std::string& phase) {
  return first_column(m_connection.query(
      "select step from ecmigrate.steps where migration = $1 and phase = $2 and done", {name, phase}));
}

std::vector<std::string> Journal::started_steps(const std::string& name, const std::string& phase) {
  return first_column(
      m_connection.query("select step from ecmigrate.steps where migration = $1 and phase = $2", {name, phase}));
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
      "insert into ecmigrate.locks (migration, run, phase, step, relation, mode, tries, waited_ms, held_ms, "
      "blocked_sessions, blocked_longest_ms) "
      "values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
      {name, std::to_string(run), step.phase, step.step, step.relation, step.mode, std::to_string(step.tries),
       std::to_string(step.waited_ms), std::to_string(step.held_ms), std::to_string(step.blocked_sessions),
       std::to_string(step.blocked_longest_ms)});
}

void Journal::record_verification(const std::string& name, std::int64_t run, const event::VerifyFinished& result) {
  m_connection.query(
      "insert into ecmigrate.verifications (migration, run, relation, rows, pending, inconsistent, repaired, "
      "duration_ms) "
      "values ($1, $2, $3, $4, $5, $6, $7, $8)",
      {name, std::to_string(run), result.relation, std::to_string(result.rows), std::to_string(result.pending),
       std::to_string(result.inconsistent), std::to_string(result.repaired), std::to_string(result.duration_ms)});
}

void Journal::record_event(const std::string& name, std::int64_t run, const Event& event) {
  const std::string data = storable(m_connection, event_to_json(event));
  m_connection.query("insert into ecmigrate.events (migration, run, data) values ($1, $2, $3)",
                     {name, std::to_string(run), data});
  if (const auto* failed = std::get_if<event::LockTryFailed>(&event)) {
    m_connection.query(
        "insert into ecmigrate.lock_tries (migration, run, phase, step, relation, mode, try, waited_ms, retry_in_ms, "
        "blockers) "
        "values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10::jsonb->'blockers')",
        {name, std::to_string(run), failed->phase, failed->step, failed->relation, failed->mode,
         std::to_string(failed->tries), std::to_string(failed->waited_ms), std::to_string(failed->retry_in_ms), data});
  }
}

std::vector<std::pair<std::chrono::milliseconds, event::OldUse>> Journal::old_use_looks(const std::string& name) {
  const pg::Rows rows = m_connection.query(
      "select (date_part('epoch', clock_timestamp() - e.at) * 1000)::bigint, e.data from ecmigrate.events e join "
      "ecmigrate.migrations m on m.name = e.migration where m.name = $1 and e.data->>'type' = 'old_use' and e.at >= "
      "m.started_at "
      "order by e.id desc",
      {name});
  std::vector<std::pair<std::chrono::milliseconds, event::OldUse>> looks;
  for (int row = 0; row < rows.size(); ++row) {
    if (const std::optional<Event> event = event_from_json(rows.text(row, 1))) {
      looks.emplace_back(rows.integer(row, 0), std::get<event::OldUse>(*event));
    }
  }
  return looks;
}

void Journal::record_progress(const std::string& name, std::int64_t run, const event::Progress& progress) {
  m_connection.query("insert into ecmigrate.progress (migration, run, data) values ($1, $2, $3)",
                     {name, std::to_string(run), storable(m_connection, event_to_json(progress))});
}

void Journal::record_comparison(const std::string& migration, std::int64_t rows, const std::string& server,
                                const std::string& json) {
  m_connection.query("insert into ecmigrate.comparisons (migration, rows, server, data) values ($1, $2, $3, $4)",
                     {migration, std::to_string(rows), server, storable(m_connection, json)});
}

}  // namespace ecmigrate
