#include "ecmigrate/store/table_fates.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace ecmigrate {

namespace {

TableFate fate_of(pg::Connection& connection, const std::string& migration, const QualifiedName& table,
                  const std::vector<std::string>& triggers) {
  // Of two oids under one name the first is the migration's: expand that was interrupted records the columns again.
  const pg::Rows rows = connection.query(
      fmt::format(
          "with recorded as (select (select (k->>'oid')::bigint::pg_catalog.oid from ecmigrate.migrations m, "
          "pg_catalog.jsonb_array_elements(coalesce(nullif(to_jsonb(m)->'columns', 'null'), '[]')) with ordinality as "
          "e (k, place) where m.name = $1 and k->>'schema' = $2 and k->>'table' = $3 order by place limit 1) as oid), "
          "named as (select pg_catalog.to_regclass($4)::pg_catalog.oid as oid), "
          // In a restored dump another relation may have that oid; the trigger has come along.
          "ours as (select coalesce((select t.tgrelid from pg_catalog.pg_trigger t where t.tgparentid = 0 and t.tgname "
          "= "
          "any ({}) limit 1), "
          "(select c.oid from pg_catalog.pg_class c where c.oid = recorded.oid and c.relkind in ('r', 'p')), "
          "case when recorded.oid is null then named.oid end) as oid from recorded, named) "
          "select n.nspname, c.relname, named.oid is not null from ours cross join named "
          "left join pg_catalog.pg_class c on c.oid = ours.oid left join pg_catalog.pg_namespace n on n.oid = "
          "c.relnamespace",
          name_array(triggers)),
      {migration, table.schema, table.name, table.sql()});
  if (rows.is_null(0, 0)) {
    return {table, rows.boolean(0, 2) ? TableFate::Fate::made_anew : TableFate::Fate::dropped, {}};
  }
  const QualifiedName now{rows.text(0, 0), rows.text(0, 1)};
  return now == table ? TableFate{table, TableFate::Fate::there, {}} : TableFate{table, TableFate::Fate::renamed, now};
}

}  // namespace

std::vector<TableFate> fates_of_tables(pg::Connection& connection, const std::string& migration,
                                       const std::vector<QualifiedName>& tables,
                                       const std::vector<SyncTrigger>& triggers) {
  std::vector<TableFate> fates;
  for (const QualifiedName& table : tables) {
    const auto trigger = std::ranges::find(triggers, table, &SyncTrigger::table);
    fates.push_back(
        fate_of(connection, migration, table, trigger == triggers.end() ? std::vector<std::string>() : trigger->names));
  }
  return fates;
}

bool is_gone(const std::vector<TableFate>& fates, const QualifiedName& table) {
  return std::ranges::any_of(fates, [&](const TableFate& fate) { return fate.table == table && fate.gone(); });
}

std::string fate_words(const TableFate& fate) {
  switch (fate.fate) {
    case TableFate::Fate::there:
      break;
    case TableFate::Fate::renamed:
      return fmt::format("is {} now", fate.now.display());
    case TableFate::Fate::dropped:
      return "is gone";
    case TableFate::Fate::made_anew:
      return "was dropped and made anew";
  }
  return "is there";
}

}  // namespace ecmigrate
