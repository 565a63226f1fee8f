#include "ecmigrate/fill/relation_rows.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "ecmigrate/base/text.hpp"

namespace ecmigrate {

RelationFacts relation_facts(pg::Connection& connection, const QualifiedName& relation) {
  const pg::Rows rows = connection.query(
      "select c.oid::bigint, pg_catalog.pg_relation_filenode(c.oid), pg_catalog.pg_relation_size(c.oid) / "
      "current_setting('block_size')::bigint, "
      "current_setting('block_size'), c.reltuples, pg_catalog.pg_relation_size(nullif(c.reltoastrelid, 0)) > 0, "
      "(select count(*) from pg_catalog.pg_index i where i.indrelid = c.oid) from pg_catalog.pg_class c where c.oid = "
      "$1::pg_catalog.regclass",
      {relation.sql()});
  RelationFacts facts;
  facts.oid = rows.integer(0, 0);
  facts.filenode = rows.integer(0, 1);
  facts.pages = rows.integer(0, 2);
  facts.page_bytes = rows.number(0, 3);
  facts.rows = static_cast<std::int64_t>(std::max(0.0, rows.number(0, 4)));
  facts.toasted = !rows.is_null(0, 5) && rows.boolean(0, 5);
  facts.indexes = static_cast<int>(rows.integer(0, 6));
  return facts;
}

std::string page_range(std::int64_t from, std::int64_t to) {
  return line_range(from, 0, to, 0);
}

std::string line_range(std::int64_t from, int from_line, std::int64_t to, int to_line) {
  return fmt::format("this.ctid >= '({},{})'::tid and this.ctid < '({},{})'::tid", from, from_line, to, to_line);
}

std::string unlocked_rows(const QualifiedName& relation, const std::string& where) {
  return fmt::format(
      "this.ctid = any (array(select this.ctid from only {} as this where {} for no key update skip locked))",
      relation.sql(), where);
}

std::string row_key(const std::vector<std::string>& key) {
  if (key.empty()) {
    return "'ctid=' || this.ctid::text";
  }
  std::vector<std::string> terms;
  for (const std::string& column : key) {
    terms.push_back(fmt::format("{} || this.{}::text", quote_literal(column + "="), quote_identifier(column)));
  }
  return join(terms, " || ', ' || ");
}

std::vector<std::string> filled_columns(const SyncedTable& table) {
  std::vector<std::string> columns;
  for (const SyncedMapping& mapping : table.mappings) {
    columns.insert(columns.end(), mapping.new_columns.begin(), mapping.new_columns.end());
  }
  return columns;
}

std::string fill_pending(const SyncedTable& table) {
  if (table.mappings.size() == 1) {
    return table.mappings.front().fill;  // the WHERE clause has seen to it
  }
  std::vector<std::string> lists;
  for (const SyncedMapping& mapping : table.mappings) {
    lists.push_back(mapping.fill_if_pending);
  }
  return join(lists, ", ");
}

bool update_triggers_fire(pg::Connection& connection, const QualifiedName& relation, bool as_replica) {
  // tgtype: 16 update.
  return connection
      .query(
          "select exists (select from pg_catalog.pg_trigger t join pg_catalog.pg_proc p on p.oid = t.tgfoid join "
          "pg_catalog.pg_namespace n on n.oid = p.pronamespace where t.tgrelid = $1::pg_catalog.regclass and not "
          "t.tgisinternal and t.tgenabled in ('A', $2) and t.tgtype & 16 <> 0 and n.nspname <> 'ecmigrate')",
          {relation.sql(), as_replica ? "R" : "O"})
      .boolean(0, 0);
}

std::string writer_settings(pg::Connection& connection, const QualifiedName& relation, bool as_replica) {
  std::string settings = as_replica ? "set local session_replication_role = replica; " : "";
  if (update_triggers_fire(connection, relation, as_replica)) {
    settings += "set local search_path to default; ";
  }
  return settings;
}

}  // namespace ecmigrate
