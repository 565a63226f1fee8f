#include "naive.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>

#include "ecmigrate/base/text.hpp"
#include "ecmigrate/report/answers.hpp"
#include "ecmigrate/steps/lock_watch.hpp"

namespace ecmigrate::scene {

namespace {

/// What one table's part of the plan is without the sync between two shapes.
class TableWay {
 public:
  TableWay(const TableDraft& draft, const Recipe& recipe, NaiveWay& way)
      : m_draft(draft), m_recipe(recipe), m_way(way), m_alter("alter table " + draft.table->name.sql() + " ") {
    // A rename through a copy ends with the copy dropped and the column itself renamed; here the rename is all.
    for (const ColumnDrop& drop : draft.drops) {
      for (const Mapping& mapping : draft.mappings) {
        if (std::ranges::find(mapping.news, drop.column, &NewColumn::name) != mapping.news.end()) {
          m_copies.insert(drop.column);
          m_copied_indexes.insert(drop.replaced.begin(), drop.replaced.end());
        }
      }
    }
  }

  void derive() {
    m_way.tables.push_back(m_draft.table->name);
    add_columns();
    for (const std::string& sql : m_draft.expand) {
      add(sql);
    }
    fill();
    add_constraints();
    build_indexes();
    finish_columns();
    for (const std::string& sql : m_draft.contract) {
      const bool drops_copy = std::ranges::any_of(
          m_copies, [&](const std::string& copy) { return sql == m_alter + "drop column " + quote_identifier(copy); });
      if (!drops_copy) {
        add(sql);
      }
    }
  }

 private:
  void add(const std::string& sql) {
    m_way.statements.push_back(
        {abbreviate(sql.starts_with(m_alter) ? sql.substr(m_alter.size()) : sql, 70), sql, false});
  }

  [[nodiscard]] bool is_copy(const NewColumn& column) const { return m_copies.contains(column.name); }

  void add_columns() {
    std::vector<std::string> actions;
    for (const Mapping& mapping : m_draft.mappings) {
      for (const NewColumn& column : mapping.news) {
        if (!is_copy(column)) {
          actions.push_back(fmt::format("add column {} {}{}", quote_identifier(column.name), column.type,
                                        column.collation.empty() ? "" : " collate " + column.collation));
        }
      }
    }
    if (!actions.empty()) {
      add(m_alter + join(actions, ", "));
    }
  }

  void fill() {
    std::vector<std::string> sets;
    for (const SyncedTable& table : m_recipe.synced) {
      for (const SyncedMapping& mapping : table.mappings) {
        if (table.table == m_draft.table->name && !m_copies.contains(mapping.new_columns.front())) {
          sets.push_back(mapping.fill);
        }
      }
    }
    if (!sets.empty()) {
      m_way.statements.push_back({"update every row",
                                  fmt::format("update {} as this set {}", m_draft.table->name.sql(), join(sets, ", ")),
                                  true});
    }
  }

  void add_constraints() {
    for (const ConstraintAdd& constraint : m_draft.constraints) {
      add(fmt::format("{}add constraint {} {}{}{}", m_alter, quote_identifier(constraint.name),
                      constraint.foreign_key.empty() ? constraint.check.sql : constraint.foreign_key,
                      constraint.no_inherit ? " no inherit" : "", constraint.validate ? "" : " not valid"));
    }
  }

  void build_indexes() {
    for (const IndexBuild& index : m_draft.indexes) {
      if (!m_copied_indexes.contains(index.name.name)) {
        add(fmt::format("create {}index {} on {}{}", index.unique ? "unique " : "", quote_identifier(index.name.name),
                        m_draft.table->name.sql(), index.definition.sql));
      }
    }
  }

  void finish_columns() {
    std::vector<std::string> actions;
    for (const Mapping& mapping : m_draft.mappings) {
      for (const NewColumn& column : mapping.news) {
        if (!column.not_null_check.empty() && !is_copy(column)) {
          actions.push_back(fmt::format("alter column {} set not null", quote_identifier(column.name)));
        }
        if (column.default_sql && !is_copy(column)) {
          actions.push_back(
              fmt::format("alter column {} set default {}", quote_identifier(column.name), *column.default_sql));
        }
      }
    }
    if (!actions.empty()) {
      add(m_alter + join(actions, ", "));
    }
  }

  const TableDraft& m_draft;
  const Recipe& m_recipe;
  NaiveWay& m_way;
  std::string m_alter;
  std::set<std::string> m_copies;          ///< columns that only let two names work at once
  std::set<std::string> m_copied_indexes;  ///< indexes of these
};

/// The plan is nothing but a change of a column's type: ALTER TYPE writes the table anew, and does not let it grow.
bool changes_type_alone(const Draft& draft) {
  const std::vector<PlannedOperation>& operations = draft.plan().operations;
  if (operations.size() != 1 || operations.front().kind != "alter_column" || !operations.front().fields.has("type")) {
    return false;
  }
  return std::ranges::none_of(operations.front().fields.members, [](const auto& member) {
    const std::set<std::string> k_with_type{"table", "column", "type", "name", "up", "down"};
    return !k_with_type.contains(member.name);
  });
}

NaiveWay type_change(const Draft& draft, const Recipe& recipe) {
  const Value& fields = draft.plan().operations.front().fields;
  const std::string column = quote_identifier(fields.text("column"));
  const QualifiedName& table = draft.tables().front().table->name;
  NaiveWay way;
  way.tables = {table};
  way.statements.push_back(
      {fmt::format("alter column {} type {}", column, fields.text("type")),
       fmt::format("alter table {0} alter column {1} type {2} using ({3}\n)", table.sql(), column, fields.text("type"),
                   fields.text("up", fmt::format("{}::{}", column, fields.text("type")))),
       !recipe.synced.empty()});
  if (const std::string name = fields.text("name"); !name.empty() && name != fields.text("column")) {
    way.statements.push_back(
        {"rename column " + column,
         fmt::format("alter table {} rename column {} to {}", table.sql(), column, quote_identifier(name)), false});
  }
  return way;
}

/// The times that a transaction of the naive way tells about itself.
std::map<std::string, double> times_of(const std::vector<pg::Rows>& results) {
  std::map<std::string, double> times;
  for (const pg::Rows& rows : results) {
    if (rows.size() == 1 && rows.columns() == 2) {
      times[rows.text(0, 0)] = rows.number(0, 1);
    }
  }
  return times;
}

std::string tell_time(const std::string& what) {
  return fmt::format("; select '{}', extract(epoch from clock_timestamp()) * 1000", what);
}

}  // namespace

NaiveWay naive_way(const Draft& draft, const Recipe& recipe) {
  NaiveWay way;
  for (const PlannedOperation& operation : draft.plan().operations) {
    if (operation.kind == "sql") {
      way.why_not = fmt::format("operation {} is sql, which is not analysed", operation.number);
      return way;
    }
  }
  if (changes_type_alone(draft)) {
    return type_change(draft, recipe);
  }
  for (const TableDraft& table : draft.tables()) {
    TableWay(table, recipe, way).derive();
  }
  for (const auto& [phase, operation, step] : draft.steps()) {
    if (step.kind == Step::Kind::index_drop && phase == "contract") {
      way.statements.push_back(
          {"drop index " + step.index->display(), "drop index if exists " + step.index->sql(), false});
    }
  }
  way.stops_reads = std::ranges::any_of(way.statements, [](const NaiveStatement& statement) {
    return !statement.sql.starts_with("create index") && !statement.sql.starts_with("create unique index");
  });
  return way;
}

NaiveRun run_naive(const std::string& conninfo, const NaiveWay& way, const std::function<void()>& before_commit,
                   std::stop_token stop) {
  pg::Connection watcher({conninfo, "ecmigrate compare, watch", nullptr});
  pg::Connection connection({conninfo, "ecmigrate compare, naive", nullptr});
  connection.cancel_on_stop(stop);
  std::string tables;
  for (const QualifiedName& table : way.tables) {
    tables += (tables.empty() ? "" : ", ") + table.sql();
  }
  const std::string mode = way.stops_reads ? "ACCESS EXCLUSIVE" : "SHARE";
  LockTime lock;
  NaiveRun run;
  LockWatch watch(watcher, connection.backend_pid());
  // The first statement would take the lock in any case; asked for by itself, the wait can be told from the work.
  auto times =
      times_of(connection.script(fmt::format("set client_min_messages = warning; begin{}; lock table {} in {} mode{}",
                                             tell_time("requested"), tables, mode, tell_time("granted"))));
  for (const NaiveStatement& statement : way.statements) {
    const auto took = times_of(connection.script("select 'begun', extract(epoch from clock_timestamp()) * 1000; " +
                                                 statement.sql + tell_time("done")));
    run.statements.push_back({statement.title, took.at("done") - took.at("begun")});
    run.fill_ms += statement.fills ? run.statements.back().ms : 0;
  }
  before_commit();
  times.merge(times_of(connection.script("select 'ready', extract(epoch from clock_timestamp()) * 1000; commit" +
                                         tell_time("released"))));
  run.statements.push_back({"commit", times.at("released") - times.at("ready")});
  const LockWatchReport seen = watch.finish();
  lock.phase = "naive";
  lock.at = utc_time(static_cast<Instant>(times.at("requested")));
  lock.step = "everything in one transaction";
  lock.mode = mode;
  lock.waited_ms = times.at("granted") - times.at("requested");
  lock.held_ms = times.at("released") - times.at("granted");
  lock.stopped_ms = lock.waited_ms + lock.held_ms;
  lock.blocked_sessions = seen.blocked_sessions;
  lock.blocked_longest_ms = seen.blocked_longest_ms;
  for (const QualifiedName& table : way.tables) {
    lock.relation = table.display();
    run.locks.push_back(lock);
  }
  run.duration_ms = times.at("released") - times.at("requested");
  return run;
}

}  // namespace ecmigrate::scene
