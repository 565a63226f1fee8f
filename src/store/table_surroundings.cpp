#include "table_surroundings.hpp"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

namespace ecmigrate {

namespace {

std::vector<std::string> names_of(const pg::Rows& rows, int row, int column) {
  return rows.is_null(row, column) ? std::vector<std::string>{}
                                   : nlohmann::json::parse(rows.text(row, column)).get<std::vector<std::string>>();
}

/// Column numbers differ from partition to partition, names do not. A key may be an expression over columns; the server
/// notes all columns of a key as depending on the table itself, so that nobody drops them alone.
constexpr const char* k_partition_key = R"(
select json_agg(distinct a.attname) from pg_partition_tree({0}) t join pg_partitioned_table k on k.partrelid = t.relid
  join pg_attribute a on a.attrelid = k.partrelid and a.attnum > 0 and exists (select from pg_depend d
    where d.classid = 'pg_class'::regclass and d.objid = k.partrelid and d.objsubid = a.attnum
      and d.refclassid = 'pg_class'::regclass and d.refobjid = k.partrelid and d.refobjsubid = 0 and d.deptype = 'i');)";

/// As CheckCmdReplicaIdentity asks before each UPDATE. {1}: the publications of whole schemas, since PostgreSQL 15.
constexpr const char* k_updates_refused = R"(
select exists (select from (select {0}::oid as relid union select p.relid from pg_partition_tree({0}) p) t
  join pg_class c on c.oid = t.relid and c.relkind = 'r' and c.relpersistence = 'p' and c.relreplident <> 'f'
  where not exists (select from pg_index x where x.indrelid = c.oid and x.indisvalid and x.indimmediate
      and case c.relreplident when 'd' then x.indisprimary when 'i' then x.indisreplident else false end)
    and exists (select from pg_publication p where p.pubupdate and (p.puballtables
      or exists (select from pg_publication_rel r where r.prpubid = p.oid
                 and (r.prrelid = c.oid or r.prrelid in (select relid from pg_partition_ancestors(c.oid)))) {1})));)";

constexpr const char* k_published_schemas = R"(
      or exists (select from pg_publication_namespace s join pg_class o on o.relnamespace = s.pnnspid where s.pnpubid = p.oid
                 and (o.oid = c.oid or o.oid in (select relid from pg_partition_ancestors(c.oid)))))";

/// Functions with a body that the server parsed when they were made name their columns one by one; so do views.
constexpr const char* k_others = R"(
select has_schema_privilege(c.relnamespace, 'create') from pg_class c where c.oid = {0};
select r.rulename, (select json_agg(distinct a.attname) from pg_depend d join pg_attribute a on a.attrelid = d.refobjid and a.attnum = d.refobjsubid
    where d.classid = 'pg_rewrite'::regclass and d.objid = r.oid and d.refclassid = 'pg_class'::regclass and d.refobjid = r.ev_class),
  r.ev_type = '2', r.is_instead
from pg_rewrite r where r.ev_class = {0} and r.ev_enabled <> 'D' order by 1;
select regexp_replace(p.oid::regprocedure::text, '^public\.', ''), p.prosrc from pg_proc p join pg_language l on l.oid = p.prolang join pg_class c on c.oid = {0}
where l.lanname in ('sql', 'plpgsql') and p.prosrc <> '' and p.prorettype not in (c.reltype, 'trigger'::regtype)
  and p.pronamespace not in ('pg_catalog'::regnamespace, 'information_schema'::regnamespace)
  and p.pronamespace is distinct from to_regnamespace('ecmigrate')
  and not exists (select from pg_depend d where d.classid = 'pg_proc'::regclass and d.objid = p.oid and d.deptype = 'e')
  and position(lower(c.relname) in lower(p.prosrc)) > 0 order by 1;)";

}  // namespace

void read_surroundings(pg::Connection& connection, Table& table) {
  const std::string name = quote_literal(table.name.sql()) + "::regclass";
  const std::string schemas = connection.server_version() >= 150000 ? k_published_schemas : "";
  const std::vector<pg::Rows> results = connection.script("begin read only; set local search_path = pg_catalog;" +
                                                          fmt::format(fmt::runtime(k_partition_key), name) +
                                                          fmt::format(fmt::runtime(k_updates_refused), name, schemas) +
                                                          fmt::format(fmt::runtime(k_others), name) + "commit");
  table.partition_key = names_of(results[0], 0, 0);
  table.updates_refused = results[1].boolean(0, 0);
  table.may_create_beside = results[2].boolean(0, 0);
  for (int row = 0; row < results[3].size(); ++row) {
    table.rules.push_back({results[3].text(row, 0), names_of(results[3], row, 1), results[3].boolean(row, 2),
                           results[3].boolean(row, 3)});
  }
  for (int row = 0; row < results[4].size(); ++row) {
    table.functions.push_back({results[4].text(row, 0), results[4].text(row, 1)});
  }
}

}  // namespace ecmigrate
