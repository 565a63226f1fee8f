#include "ecmigrate/store/table_view.hpp"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "ecmigrate/base/text.hpp"

namespace ecmigrate {

namespace {

using nlohmann::json;

std::string regclass_array(const std::vector<QualifiedName>& tables) {
  std::vector<std::string> names;
  for (const QualifiedName& table : tables) {
    names.push_back(quote_literal(table.sql()));
  }
  return fmt::format("(select pg_catalog.to_regclass(t)::oid from unnest(array[{}]::text[]) t)", join(names, ", "));
}

std::vector<std::string> quoted(const std::vector<std::string>& names) {
  std::vector<std::string> found;
  for (const std::string& name : names) {
    found.push_back("this." + quote_identifier(name));
  }
  return found;
}

}  // namespace

std::map<QualifiedName, TableFacts> read_tables(pg::Connection& connection, const MigrationShape& shape) {
  if (shape.tables.empty()) {
    return {};
  }
  // reltuples and relpages instead of the functions that give sizes: those open the table, and would wait for its lock.
  const pg::Rows rows = connection.query(fmt::format(
      "select n.nspname, c.relname, c.oid, (select json_build_object('rows', sum(nullif(p.reltuples, -1)), 'pages', "
      "sum(p.relpages)) from pg_catalog.pg_class p "
      "where p.oid in (select c.oid union all select relid from pg_catalog.pg_partition_tree(c.oid)) and p.relkind <> "
      "'p'), "
      "(select json_agg(json_build_array(a.attnum, a.attname, pg_catalog.format_type(a.atttypid, a.atttypmod), not "
      "a.attnotnull, s.null_frac)) "
      "from pg_catalog.pg_attribute a left join pg_catalog.pg_stats s on s.schemaname = n.nspname and s.tablename = "
      "c.relname and s.attname = a.attname "
      "and not s.inherited where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped), "
      "(select json_agg(json_build_array(t.tgname, t.tgenabled)) from pg_catalog.pg_trigger t where t.tgrelid = c.oid "
      "and not t.tgisinternal), "
      "current_setting('block_size')::bigint "
      "from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace where c.oid in {}",
      regclass_array(shape.tables)));
  std::map<QualifiedName, TableFacts> tables;
  for (int row = 0; row < rows.size(); ++row) {
    TableFacts& facts = tables[{rows.text(row, 0), rows.text(row, 1)}];
    facts.oid = rows.integer(row, 2);
    const json sizes = json::parse(rows.text(row, 3));
    if (!sizes.at("rows").is_null()) {
      facts.rows = static_cast<std::int64_t>(sizes.at("rows").get<double>());
    }
    facts.bytes = (sizes.at("pages").is_null() ? 0 : sizes.at("pages").get<std::int64_t>()) * rows.integer(row, 6);
    const json columns = rows.is_null(row, 4) ? json::array() : json::parse(rows.text(row, 4));
    for (const json& column : columns) {
      facts.columns[column.at(0).get<int>()] = {
          column.at(1), column.at(2), column.at(3),
          column.at(4).is_null() ? std::nullopt : std::optional(column.at(4).get<double>())};
    }
    const json triggers = rows.is_null(row, 5) ? json::array() : json::parse(rows.text(row, 5));
    for (const json& trigger : triggers) {
      facts.triggers[trigger.at(0)] = trigger.at(1).get<std::string>().front();
    }
  }
  return tables;
}

std::vector<std::vector<std::string>> pick_keys(pg::Connection& connection, const MigrationShape& shape, int count) {
  if (!shape.sampled || shape.key.empty()) {
    return {};
  }
  std::vector<std::string> text;
  std::vector<std::string> picked;
  for (std::size_t i = 0; i < shape.key.size(); ++i) {
    text.push_back(fmt::format("this.{}::text as k{}", quote_identifier(shape.key[i]), i));
    picked.push_back(fmt::format("r.k{}", i));
  }
  // From some pages on, the first row that is there: a scan of few pages by their places.
  const pg::Rows rows = connection.query(fmt::format(
      "select distinct {4} from pg_catalog.generate_series(0, {0} - 1) g cross join lateral (select {1} from {2} as "
      "this where this.ctid >= "
      "format('(%s,0)', (select greatest(relpages, 1) from pg_catalog.pg_class where oid = "
      "{3}::pg_catalog.regclass)::bigint * g / {0})::tid limit 1) r",
      count, join(text, ", "), shape.sampled->sql(), quote_literal(shape.sampled->sql()), join(picked, ", ")));
  std::vector<std::vector<std::string>> keys;
  for (int row = 0; row < rows.size(); ++row) {
    std::vector<std::string> key;
    for (int part = 0; part < rows.columns(); ++part) {
      key.push_back(rows.text(row, part));
    }
    keys.push_back(std::move(key));
  }
  return keys;
}

std::vector<SampleRow> read_sample(pg::Connection& connection, const MigrationShape& shape,
                                   const std::vector<std::vector<std::string>>& keys,
                                   const std::vector<std::string>& columns, bool compare) {
  if (!shape.sampled || keys.empty()) {
    return {};
  }
  std::vector<std::string> any;
  for (const std::vector<std::string>& key : keys) {
    std::vector<std::string> equal;
    for (std::size_t i = 0; i < key.size() && i < shape.key.size(); ++i) {
      equal.push_back(fmt::format("this.{} = {}", quote_identifier(shape.key[i]), quote_literal(key[i])));
    }
    any.push_back("(" + join(equal, " and ") + ")");
  }
  std::vector<std::string> shown;
  for (const std::string& column : quoted(shape.key)) {
    shown.push_back(fmt::format("left({}::text, 400)", column));
  }
  for (const std::string& column : quoted(columns)) {
    shown.push_back(fmt::format("left({}::text, 400)", column));
  }
  const std::string verdict =
      !compare || shape.pending.empty()
          ? "'not compared'"
          : fmt::format("case when {} then 'pending' when {} then 'differs' else 'equal' end", shape.pending,
                        shape.inconsistent.empty() ? "false" : shape.inconsistent);
  const pg::Rows rows = connection.query(
      fmt::format("select /* ecmigrate */ {}, {} from {} as this where {} order by {}", verdict, join(shown, ", "),
                  shape.sampled->sql(), join(any, " or "), join(quoted(shape.key), ", ")));
  std::vector<SampleRow> sample;
  for (int row = 0; row < rows.size(); ++row) {
    SampleRow found;
    const std::string compared = rows.text(row, 0);
    found.compared = compared == "equal"     ? SampleRow::Compared::equal
                     : compared == "pending" ? SampleRow::Compared::pending
                     : compared == "differs" ? SampleRow::Compared::differs
                                             : SampleRow::Compared::not_compared;
    for (int column = 1; column < rows.columns(); ++column) {
      found.values.push_back(rows.maybe(row, column));
    }
    sample.push_back(std::move(found));
  }
  return sample;
}

Waiting read_waiting(pg::Connection& connection) {
  // pg_blocking_pids takes all partitions of the lock table: it is asked for sessions that wait, of which there are
  // none most of the time. Our own sessions are told by their name, as who they are is for the journal of another
  // process to know.
  const pg::Rows rows = connection.query(
      "with w as materialized (select pid, pg_catalog.pg_blocking_pids(pid) as b from pg_catalog.pg_stat_activity "
      "where wait_event_type = 'Lock' and datname = current_database() order by query_start limit 100) "
      "select coalesce((select json_agg(json_build_object('pid', p.pid, 'user', coalesce(a.usename, ''), "
      "'application', coalesce(a.application_name, ''), "
      "'type', coalesce(a.backend_type, 'prepared transaction'), 'state', coalesce(a.state, ''), "
      "'age', coalesce(extract(epoch from clock_timestamp() - a.xact_start) * 1000, 0), 'query', "
      "coalesce(left(a.query, 500), ''), 'for', to_json(w.b), "
      "'waited', coalesce((select max(extract(epoch from clock_timestamp() - l.waitstart) * 1000) from "
      "pg_catalog.pg_locks l where l.pid = p.pid and not l.granted), 0))) "
      "from (select pid from w union select unnest(b) from w) p left join pg_catalog.pg_stat_activity a on a.pid = "
      "p.pid left join w on w.pid = p.pid), '[]'), "
      "pg_catalog.pg_has_role('pg_read_all_stats', 'usage'), "
      "coalesce((select json_agg(l.relation::bigint) from pg_catalog.pg_locks l where l.locktype = 'relation' and "
      "l.mode = 'AccessExclusiveLock' "
      "and l.database = (select oid from pg_catalog.pg_database where datname = current_database())), '[]')");
  Waiting waiting;
  waiting.sees_all = rows.boolean(0, 1);
  for (const json& item : json::parse(rows.text(0, 0))) {
    WaitingSession session;
    session.session = {item.at("pid"),   item.at("user"), item.at("application"), item.at("type"),
                       item.at("state"), item.at("age"),  item.at("query")};
    session.waited_ms = item.at("waited");
    if (!item.at("for").is_null()) {
      item.at("for").get_to(session.waits_for);
    }
    session.ours = session.session.application.starts_with("ecmigrate ");
    waiting.sessions.push_back(std::move(session));
  }
  json::parse(rows.text(0, 2)).get_to(waiting.locked_tables);
  return waiting;
}

}  // namespace ecmigrate
