#include "ecmigrate/store/read_model.hpp"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "ecmigrate/base/utf8.hpp"
#include "ecmigrate/store/event_json.hpp"
#include "ecmigrate/store/journal.hpp"
#include "ecmigrate/store/recipe_json.hpp"

namespace ecmigrate {

namespace {

using nlohmann::json;

std::string ms(std::string_view time) {
  return fmt::format("(extract(epoch from {}) * 1000)::bigint", time);
}

/// `select … as member` of a list, as a JSON array.
std::string list_of(const std::string& query) {
  return fmt::format("(select coalesce(json_agg(row_to_json(q)), '[]') from ({}) q)", query);
}

/// Whoever runs holds the migration's advisory lock; a host that died keeps it for about a minute, but gives no
/// heartbeat any more while its walk is not finished.
std::string lost_sql(const std::string& key) {
  return fmt::format(
      "r.finished_at is null and (not exists (select from pg_catalog.pg_locks l where l.locktype = 'advisory' and "
      "l.granted and l.classid = {}::oid "
      "and l.objid = ({})::oid and l.database = (select oid from pg_catalog.pg_database where datname = "
      "current_database())) "
      "or (r.seen_at < clock_timestamp() - interval '30 seconds' and exists (select from ecmigrate.walks w where w.run "
      "= r.id and not w.finished)))",
      Journal::run_lock("").first, key);
}

/// The parts of one migration, `m` being its row and `wanted` its name and the key of its run lock. Columns that an
/// older format lacks are absent from the rows' JSON, which reads as nothing.
std::string details_sql(int format) {
  const std::string of_m = "migration = m.name and at >= m.started_at";
  const std::string tries =
      format < 2 ? "'[]'::json"
                 : list_of(fmt::format("select phase, step, relation, mode, count(*) as tries, sum(waited_ms) as "
                                       "waited_ms, max({}) as at from ecmigrate.lock_tries t "
                                       "where {} and not exists (select from ecmigrate.locks l where l.migration = "
                                       "m.name and l.phase = t.phase and l.step = t.step "
                                       "and l.at >= t.at) group by phase, step, relation, mode",
                                       ms("at"), of_m));
  const std::string blockers = format < 2 ? "null::json"
                                          : fmt::format(
                                                "(select json_build_object('at', {}, 'data', json_build_object('type', "
                                                "'lock_try_failed', 'blockers', blockers)) "
                                                "from ecmigrate.lock_tries where {} order by id desc limit 1)",
                                                ms("at"), of_m);
  std::string sql = "select to_jsonb(m) - 'plan' - 'recipe' - 'columns' as row, ";
  sql += fmt::format("{} as started, {} as changed, ", ms("m.started_at"), ms("m.changed_at"));
  sql += fmt::format(
      "(select to_jsonb(r) || jsonb_build_object('since', {}, 'seen', {}, 'finished', {}, 'lost', {}, "
      "'limits', (select to_jsonb(b)->'limits' from ecmigrate.runs b where b.migration = m.name and b.command in "
      "('backfill', 'run') order by b.id desc limit 1)) "
      "from ecmigrate.runs r where r.migration = m.name "
      "order by id desc limit 1) as run, ",
      ms("r.started_at"), ms("r.seen_at"), ms("r.finished_at"), lost_sql("wanted.key"));
  sql +=
      "(select to_jsonb(s) || jsonb_build_object('throttle', case when throttle_until is null or throttle_until > "
      "clock_timestamp() then throttle else 0 end, "
      "'until', to_char(throttle_until, case when throttle_until < clock_timestamp() + interval '12 hours' then ' "
      "\"until\" HH24:MI TZ' "
      "else ' \"until\" YYYY-MM-DD HH24:MI TZ' end)) from ecmigrate.steering s where migration = m.name) as steering, ";
  sql += list_of(fmt::format("select {} as at, data->>'after' as state from ecmigrate.events where {} and "
                             "data->>'type' = 'state_changed' order by id",
                             ms("at"), of_m)) +
         " as states, ";
  sql += list_of(fmt::format("select phase, step, relation, mode, tries, waited_ms, held_ms, blocked_sessions, "
                             "blocked_longest_ms, {} as at from ecmigrate.locks "
                             "where {} order by id",
                             ms("at"), of_m)) +
         " as locks, ";
  sql += tries + " as tries, " + blockers + " as blockers, ";
  sql +=
      list_of(
          "select k.relation, k.pages, k.finished, coalesce(sum(w.rows), 0) as rows, coalesce(sum(w.hot_rows), 0) as "
          "hot_rows, "
          "coalesce(sum(w.batches), 0) as batches, coalesce(sum(w.wal_bytes), 0) as wal_bytes from ecmigrate.walks k "
          "left join ecmigrate.windows w on w.migration = k.migration and w.relation = k.relation where k.migration = "
          "m.name "
          "group by k.relation, k.pages, k.finished order by k.relation") +
      " as walks, ";
  // The newest points alone, by the index (which format 1 lacks): of a relation that has none among them the walk says
  // what is to be said.
  const auto newest = [&](std::string_view phase) {
    return fmt::format(
        "(select distinct on (data->>'relation') {} as at, data from (select at, id, data from ecmigrate.progress "
        "where migration = m.name "
        "and {} = '{}' order by id desc limit 300) p order by data->>'relation', id desc)",
        ms("at"), format < 2 ? "data->>'phase'" : "phase", phase);
  };
  sql += list_of(newest("backfill") + " union all " + newest("verify")) + " as progress, ";
  sql += list_of(fmt::format("select distinct on (relation) relation, rows, pending + inconsistent - repaired as "
                             "differences, {} as at from ecmigrate.verifications "
                             "where {} order by relation, id desc",
                             ms("at"), of_m)) +
         " as verifications, ";
  sql += list_of(
             fmt::format("select {} as at, data, run, (select {} from ecmigrate.runs r where r.id = run) as ended from "
                         "ecmigrate.events where {} and data->>'type' in ('paused', 'resumed') order by id",
                         ms("at"), ms("finished_at"), of_m)) +
         " as pauses, ";
  // Without an error where the sequence is not there any more, or may not be read.
  sql +=
      list_of(
          "select o->'table' as relation, o->'columns' as columns, (select case when "
          "pg_catalog.has_sequence_privilege(c.oid, 'select') then pg_catalog.pg_sequence_last_value(c.oid) end from "
          "pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace where n.nspname = "
          "o->'last_write'->>0 and c.relname = o->'last_write'->>1 and c.relkind = 'S') as last from "
          "pg_catalog.jsonb_path_query(m.recipe, 'lax $.old_shapes[*]') o where m.state in ('expanded', 'backfilling', "
          "'backfilled', 'verified')") +
      " as old_writes, ";
  sql += "(select count(*) from ecmigrate.bad_rows where migration = m.name) as bad_rows ";
  return sql + "from wanted join ecmigrate.migrations m on m.name = wanted.name";
}

template <typename Value>
Value member(const json& row, const char* name, Value fallback = {}) {
  const auto at = row.find(name);
  return at == row.end() || at->is_null() ? fallback : at->get<Value>();
}

template <typename Value>
std::optional<Value> maybe(const json& row, const char* name) {
  const auto at = row.find(name);
  return at == row.end() || at->is_null() ? std::nullopt : std::optional(at->get<Value>());
}

RunView run_of(const json& row) {
  RunView run;
  run.command = member<std::string>(row, "command");
  run.host = member<std::string>(row, "host");
  run.process = member<std::int64_t>(row, "process");
  run.user = member<std::string>(row, "username");
  run.plan_file = member<std::string>(row, "plan_file");
  run.target = member<std::string>(row, "target");
  run.since = member<Instant>(row, "since");
  run.seen_at = maybe<Instant>(row, "seen");
  run.finished_at = maybe<Instant>(row, "finished");
  run.outcome = maybe<std::string>(row, "outcome");
  run.message = member<std::string>(row, "message");
  run.hint = member<std::string>(row, "hint");
  run.next = member<std::string>(row, "next");
  run.lost = member<bool>(row, "lost");
  if (const auto limits = maybe<json>(row, "limits")) {
    run.limits.emplace();
    run.limits->target_batch = std::chrono::milliseconds(member<std::int64_t>(*limits, "target_batch_ms"));
    run.limits->max_replica_lag = std::chrono::milliseconds(member<std::int64_t>(*limits, "max_replica_lag_ms"));
    run.limits->max_rows_rate = member<double>(*limits, "max_rows_rate");
    run.limits->max_wal_rate = member<double>(*limits, "max_wal_rate");
  }
  return run;
}

SteeringView steering_of(const json& row) {
  SteeringView steering;
  steering.paused = member<bool>(row, "paused");
  steering.paused_by = member<std::string>(row, "paused_by");
  steering.throttle = member<double>(row, "throttle");
  if (steering.throttle > 0) {
    steering.throttled = fmt::format("rests {:.0f} % of the time, set by {}{}", 100 * steering.throttle,
                                     member<std::string>(row, "throttled_by"), member<std::string>(row, "until"));
  }
  const json limits = member<json>(row, "limits", json::object());
  for (const auto& [limit, value] : limits.items()) {
    steering.limits.emplace_back(limit, value.get<std::string>());
  }
  return steering;
}

StepLock lock_of(const json& row) {
  StepLock lock;
  lock.phase = member<std::string>(row, "phase");
  lock.step = member<std::string>(row, "step");
  lock.relation = member<std::string>(row, "relation");
  lock.mode = member<std::string>(row, "mode");
  lock.tries = member<int>(row, "tries");
  lock.waited_ms = member<double>(row, "waited_ms");
  lock.held_ms = maybe<double>(row, "held_ms");
  lock.blocked_sessions = member<int>(row, "blocked_sessions");
  lock.blocked_longest_ms = member<double>(row, "blocked_longest_ms");
  lock.at = member<Instant>(row, "at");
  return lock;
}

std::optional<Event> event_of(const json& row) {
  return event_from_json(row.at("data").dump());
}

/// From the events of their beginnings, changes and ends. Who was ended while it was paused told no end of the pause:
/// that is the end of its run, or the beginning of the one that took over.
std::vector<PauseView> pauses_of(const json& rows, const json& newest_run) {
  std::vector<PauseView> pauses;
  for (const json& row : rows) {
    const auto event = event_of(row);
    const auto at = member<Instant>(row, "at");
    const auto* paused = event ? std::get_if<event::Paused>(&*event) : nullptr;
    if (!pauses.empty()) {
      pauses.back().to = std::min(at, pauses.back().to.value_or(at));
    }
    if (paused != nullptr) {
      std::optional<Instant> to = maybe<Instant>(row, "ended");
      if (!to && !newest_run.is_null() && newest_run.at("id") != row.at("run")) {
        to = member<Instant>(newest_run, "since");
      }
      pauses.push_back({at, to ? std::optional(std::max(at, *to)) : to, paused->reasons});
    }
  }
  return pauses;
}

/// `"public"."users"`, as a walk has it, for people: as QualifiedName::display().
std::string display_of(const std::string& sql) {
  std::vector<std::string> parts(1);
  bool quoted = false;
  for (std::size_t i = 0; i < sql.size(); ++i) {
    if (sql[i] == '"' && quoted && i + 1 < sql.size() && sql[i + 1] == '"') {
      parts.back() += sql[i++];
    } else if (sql[i] == '"') {
      quoted = !quoted;
    } else if (sql[i] == '.' && !quoted) {
      parts.emplace_back();
    } else {
      parts.back() += sql[i];
    }
  }
  return parts.size() == 2 ? QualifiedName{parts[0], parts[1]}.display() : sql;
}

MigrationView migration_of(const json& in) {
  const json& row = in.at("row");
  MigrationView view;
  view.name = member<std::string>(row, "name");
  view.description = member<std::string>(row, "description");
  view.state_text = member<std::string>(row, "state");
  const auto state = state_from_name(view.state_text);
  view.state = state.value_or(State::planned);
  view.readable = state && is_known_recipe_format(member<int>(row, "recipe_format"));
  view.plan_hash = member<std::string>(row, "plan_hash");
  view.plan_file = member<std::string>(row, "plan_file");
  view.started_at = member<Instant>(in, "started");
  view.changed_at = member<Instant>(in, "changed");
  if (!in.at("run").is_null()) {
    view.run = run_of(in.at("run"));
  }
  if (!in.at("steering").is_null()) {
    view.steering = steering_of(in.at("steering"));
    for (const auto& [limit, value] : view.steering.limits) {
      if (view.run && view.run->limits) {
        set_limit(*view.run->limits, limit, value);  // what a newer program set may be unknown here
      }
    }
  }
  for (const json& item : in.at("states")) {
    if (const auto entered = state_from_name(member<std::string>(item, "state"))) {
      view.states.push_back({member<Instant>(item, "at"), *entered});
    }
  }
  for (const json& item : in.at("locks")) {
    view.locks.push_back(lock_of(item));
  }
  for (const json& item : in.at("tries")) {
    view.locks.push_back(lock_of(item));
  }
  for (const json& item : in.at("walks")) {
    view.walks.push_back({display_of(member<std::string>(item, "relation")),
                          member<std::int64_t>(item, "pages"),
                          {member<std::int64_t>(item, "rows"), member<std::int64_t>(item, "hot_rows"),
                           member<std::int64_t>(item, "batches"), member<double>(item, "wal_bytes")},
                          member<bool>(item, "finished")});
  }
  for (const json& item : in.at("progress")) {
    const auto event = event_of(item);
    if (const auto* progress = event ? std::get_if<event::Progress>(&*event) : nullptr) {
      view.progress.push_back({member<Instant>(item, "at"), *progress});
    }
  }
  for (const json& item : in.at("verifications")) {
    view.verifications.push_back({member<std::string>(item, "relation"), member<std::int64_t>(item, "rows"),
                                  member<std::int64_t>(item, "differences"), member<Instant>(item, "at")});
  }
  view.pauses = pauses_of(in.at("pauses"), in.at("run"));
  if (!view.pauses.empty() && !view.pauses.back().to && view.run && view.run->lost) {
    view.pauses.back().to = std::max(view.pauses.back().from, view.run->seen_at.value_or(0));
  }
  if (!in.at("blockers").is_null()) {
    const auto event = event_of(in.at("blockers"));
    if (const auto* failed = event ? std::get_if<event::LockTryFailed>(&*event) : nullptr) {
      view.last_blockers = failed->blockers;
      view.last_blockers_at = member<Instant>(in.at("blockers"), "at");
    }
  }
  view.bad_rows = member<std::int64_t>(in, "bad_rows");
  for (const json& item : in.at("old_writes")) {
    if (const auto last = maybe<Instant>(item, "last")) {
      view.old_writes.push_back({QualifiedName{item.at("relation").at(0), item.at("relation").at(1)}.display(),
                                 item.at("columns").get<std::vector<std::string>>(), *last});
    }
  }
  return view;
}

std::string text_array(const std::vector<std::string>& values) {
  std::string items;
  for (const std::string& value : values) {
    items += (items.empty() ? "" : ", ") + quote_literal(value);
  }
  return "array[" + items + "]::text[]";
}

bool has(const std::vector<std::string>& names, const std::string& name) {
  return std::ranges::find(names, name) != names.end();
}

/// What a migration will do to a column, and to which shape it belongs.
void classify(ColumnView& column, bool added, const Recipe& recipe) {
  const bool dropped = std::ranges::any_of(recipe.drops, [&](const ColumnDrop& drop) {
    return !drop.type_change && drop.table == column.relation && drop.column == column.name;
  });
  const bool replaced = std::ranges::any_of(recipe.synced, [&](const SyncedTable& table) {
    return table.table == column.relation && std::ranges::any_of(table.mappings, [&](const SyncedMapping& mapping) {
             return has(mapping.new_columns, column.name);
           });
  });
  if (added || replaced) {
    column.side = ColumnView::Side::new_shape;
    const std::string name = quote_identifier(column.name);
    const auto sets = [&](const Step& step) {
      return std::ranges::any_of(step.sql, [&](std::string sql) {
        std::ranges::transform(sql, sql.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
        return sql.find(name + " set not null") != std::string::npos ||
               sql.find(" not null " + name) != std::string::npos;
      });
    };
    column.fate = std::ranges::any_of(recipe.contract, sets) ? "not null at contract" : "";
  } else if (dropped) {
    column.side = ColumnView::Side::old_shape;
    column.fate = "dropped at contract";
  }
}

}  // namespace

JournalView ReadModel::look(const std::vector<std::string>& names, std::int64_t after_event) {
  std::string wanted;
  for (const std::string& name : names) {
    wanted += fmt::format("{}({}, {})", wanted.empty() ? "" : ", ", quote_literal(name),
                          static_cast<std::uint32_t>(Journal::run_lock(name).second));
  }
  const std::string events = after_event <= 0
                                 ? "'[]'::json"
                                 : list_of(fmt::format("select id, {} as at, migration, data from ecmigrate.events "
                                                       "where migration = any ({}) and id > {} order by id limit 500",
                                                       ms("at"), text_array(names), after_event));
  const std::string sql = fmt::format(
      "with wanted (name, key) as (values {}) select json_build_object('now', {}, 'current', (select name from "
      "ecmigrate.migrations "
      "order by state not in ('contracted', 'rolled_back') desc, started_at desc, name limit 1), 'migrations', {}, "
      "'events', {})",
      wanted.empty() ? "(null::text, 0)" : wanted, ms("clock_timestamp()"), list_of(details_sql(m_format)), events);
  const json read = json::parse(as_utf8(m_connection.query(sql).text(0, 0)));
  JournalView view;
  view.now = member<Instant>(read, "now");
  view.current = member<std::string>(read, "current");
  for (const json& item : read.at("migrations")) {
    view.migrations.push_back(migration_of(item));
  }
  for (const json& item : read.at("events")) {
    view.events.emplace_back(
        member<std::string>(item, "migration"),
        EventView{member<std::int64_t>(item, "id"), member<Instant>(item, "at"), item.at("data").dump()});
  }
  return view;
}

std::vector<MigrationSummary> ReadModel::list() {
  const pg::Rows rows = m_connection.query(fmt::format(
      "select m.name, m.state, {}, {}, (select sum(rows) from ecmigrate.windows w where w.migration = m.name), "
      "(select sum(d) from (select distinct on (relation) pending + inconsistent - repaired as d from "
      "ecmigrate.verifications v where v.migration = m.name "
      "and v.at >= m.started_at order by relation, id desc) v), r.command, r.outcome from ecmigrate.migrations m "
      "left join lateral (select command, outcome from ecmigrate.runs where migration = m.name order by id desc limit "
      "1) r on true "
      "order by m.state in ('contracted', 'rolled_back'), m.started_at desc, m.name limit 1000",
      ms("m.started_at"), ms("m.changed_at")));
  std::vector<MigrationSummary> list;
  for (int row = 0; row < rows.size(); ++row) {
    MigrationSummary summary{rows.text(row, 0), rows.text(row, 1), rows.integer(row, 2), rows.integer(row, 3), {}, {},
                             rows.text(row, 6), rows.maybe(row, 7)};
    if (!rows.is_null(row, 4)) {
      summary.rows = rows.integer(row, 4);
    }
    if (!rows.is_null(row, 5)) {
      summary.differences = rows.integer(row, 5);
    }
    list.push_back(std::move(summary));
  }
  return list;
}

std::optional<MigrationShape> ReadModel::shape(const std::string& name) {
  const pg::Rows rows = m_connection.query(
      "select recipe, to_jsonb(m)->'columns', recipe_format from ecmigrate.migrations m where name = $1", {name});
  if (rows.size() == 0) {
    return std::nullopt;
  }
  MigrationShape shape;
  Recipe recipe;
  try {
    if (is_known_recipe_format(rows.integer(0, 2))) {
      recipe = recipe_from_json(rows.text(0, 0), static_cast<int>(rows.integer(0, 2)));
    }
  } catch (const std::exception&) {
    return shape;  // of a program that is not this one: less is shown
  }
  shape.tables = recipe.tables;
  shape.old_shapes = recipe.old_shapes;
  shape.triggers = recipe.triggers;
  if (!recipe.synced.empty()) {
    const SyncedTable& table = recipe.synced.front();
    shape.sampled = table.table;
    shape.key = table.key;
    for (const SyncedMapping& mapping : table.mappings) {
      shape.pending += fmt::format("{}({})", shape.pending.empty() ? "" : " or ", mapping.pending);
      if (!mapping.inconsistent.empty()) {
        shape.inconsistent += fmt::format("{}({})", shape.inconsistent.empty() ? "" : " or ", mapping.inconsistent);
      }
    }
  }
  const json columns = rows.is_null(0, 1) ? json::array() : json::parse(rows.text(0, 1));
  for (const json& item : columns) {
    ColumnView column;
    column.relation = {member<std::string>(item, "schema"), member<std::string>(item, "table")};
    column.oid = member<std::int64_t>(item, "oid");
    column.number = member<int>(item, "number");
    column.name = member<std::string>(item, "name");
    column.type = maybe<std::string>(item, "type");
    column.nullable = maybe<bool>(item, "nullable");
    classify(column, member<bool>(item, "added"), recipe);
    shape.columns.push_back(std::move(column));
  }
  // New columns that are not there yet, and all that a journal of format 1 has no record of.
  const auto add = [&](const QualifiedName& table, const std::string& column_name) {
    if (!std::ranges::any_of(shape.columns, [&](const ColumnView& known) {
          return known.relation == table && known.name == column_name;
        })) {
      ColumnView column;
      column.relation = table;
      column.name = column_name;
      classify(column, false, recipe);
      shape.columns.push_back(std::move(column));
    }
  };
  for (const ColumnDrop& drop : recipe.drops) {
    add(drop.table, drop.column);
  }
  for (const SyncedTable& table : recipe.synced) {
    for (const SyncedMapping& mapping : table.mappings) {
      for (const std::string& column : mapping.new_columns) {
        add(table.table, column);
      }
    }
  }
  return shape;
}

std::vector<EventView> ReadModel::events(const std::string& name, std::int64_t before, int limit) {
  const pg::Rows rows =
      m_connection.query(fmt::format("select id, {}, data from ecmigrate.events where migration = $1 and ($2::bigint = "
                                     "0 or id < $2::bigint) order by id desc limit $3::integer",
                                     ms("at")),
                         {name, std::to_string(before), std::to_string(limit)});
  std::vector<EventView> events;
  for (int row = 0; row < rows.size(); ++row) {
    events.push_back({rows.integer(row, 0), rows.integer(row, 1), rows.text(row, 2)});
  }
  return events;
}

std::int64_t ReadModel::last_event() {
  return m_connection.query("select coalesce(max(id), 0) from ecmigrate.events").integer(0, 0);
}

std::vector<ProgressView> ReadModel::series(const std::string& name, std::size_t most) {
  const pg::Rows rows =
      m_connection.query(fmt::format("select at, data from (select id, {} as at, data from ecmigrate.progress where "
                                     "migration = $1 and {} = 'backfill' "
                                     "and at >= (select started_at from ecmigrate.migrations where name = $1) order by "
                                     "id desc limit $2::bigint) newest order by id",
                                     ms("at"), m_format < 2 ? "data->>'phase'" : "phase"),
                         {name, std::to_string(most)});
  std::vector<ProgressView> series;
  for (int row = 0; row < rows.size(); ++row) {
    const auto event = event_from_json(rows.text(row, 1));
    if (const auto* progress = event ? std::get_if<event::Progress>(&*event) : nullptr) {
      series.push_back({rows.integer(row, 0), *progress});
    }
  }
  return series;
}

std::optional<std::string> ReadModel::comparison(const std::string& name) {
  if (m_format < 2) {
    return std::nullopt;
  }
  const pg::Rows rows = m_connection.query(
      "select data from ecmigrate.comparisons where migration = $1 order by id desc limit 1", {name});
  return rows.size() == 0 ? std::nullopt : std::optional(rows.text(0, 0));
}

}  // namespace ecmigrate
