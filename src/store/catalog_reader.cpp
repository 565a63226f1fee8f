#include "ecmigrate/store/catalog_reader.hpp"

#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <set>

#include "ecmigrate/base/error.hpp"
#include "ecmigrate/base/text.hpp"
#include "table_surroundings.hpp"

namespace ecmigrate {

namespace {

std::vector<std::string> list_of(const pg::Rows& rows, int row, int column) {
  return rows.is_null(row, column) ? std::vector<std::string>{}
                                   : nlohmann::json::parse(rows.text(row, column)).get<std::vector<std::string>>();
}

/// Types whose equality is identity: two values that are equal are the same value. Others are compared as they are
/// stored, or 1.0 and 1.00 (numeric), 0 and -0 (real), 24:00 and 1 day (interval) or Ann and ANN (citext) would be
/// taken for the same.
constexpr std::string_view k_equality_is_identity = R"(
  (t.typtype = 'e' or t.typname in ('bool', 'int2', 'int4', 'int8', 'oid', 'text', 'varchar', 'name', 'uuid',
    'date', 'timestamp', 'timestamptz', 'bytea') and t.typnamespace = 'pg_catalog'::regnamespace)
  and coalesce((select l.collisdeterministic from pg_collation l where l.oid = a.attcollation), true))";

/// Of the type `t`: the type under a domain, with its modifier, and whether it brings a default of its own.
constexpr std::string_view k_domain_facts = R"(
  (with recursive under(type, modifier) as (select t.typbasetype, t.typtypmod where t.typtype = 'd'
     union all select b.typbasetype, b.typtypmod from under u join pg_type b on b.oid = u.type where b.typtype = 'd')
   select format_type(u.type, u.modifier) from under u join pg_type b on b.oid = u.type where b.typtype <> 'd'),
  t.typtype = 'd' and t.typdefault is not null)";

/// One message for all facts of a table. Catalog names need no qualification: search_path is pg_catalog, which also
/// makes the server qualify every name in the texts it prints.
std::string facts_query(const QualifiedName& name) {
  const std::string table = quote_literal(name.sql()) + "::regclass";
  return fmt::format(
      R"(begin read only; set local search_path = pg_catalog;
select c.relkind = 'p', c.relispartition, row_security_active(c.oid), pg_has_role(c.relowner, 'USAGE'),
  exists (select from pg_subscription_rel s where s.srrelid = c.oid),
  exists (select from pg_publication_tables p where p.schemaname = (select n.nspname from pg_namespace n where n.oid = c.relnamespace) and p.tablename = c.relname),
  c.relkind = 'r' and not c.relispartition and exists (select from pg_inherits i where c.oid in (i.inhrelid, i.inhparent)),
  exists (select from pg_partition_tree(c.oid) p join pg_class l on l.oid = p.relid where p.isleaf and l.relkind <> 'r'),
  (select json_agg(json_build_array(n.nspname, l.relname) order by n.nspname, l.relname)
     from (select c.oid as relid where c.relkind = 'r' union select p.relid from pg_partition_tree(c.oid) p where p.isleaf) p
     join pg_class l on l.oid = p.relid join pg_namespace n on n.oid = l.relnamespace where l.relkind = 'r'),
  c.reloftype <> 0
from pg_class c where c.oid = {0};
select a.attname, format_type(a.atttypid, a.atttypmod), format_type(a.atttypid, null), a.atttypmod,
  (select quote_ident(n.nspname) || '.' || quote_ident(l.collname) from pg_collation l join pg_namespace n on n.oid = l.collnamespace
     where l.oid = a.attcollation and a.attcollation <> t.typcollation),
  {1}, a.attnotnull, case when a.attgenerated = '' then pg_get_expr(d.adbin, d.adrelid) end, a.attidentity <> '',
  a.attgenerated <> '', col_description(a.attrelid, a.attnum), coalesce(a.attstattarget, -1),
  array_to_string(a.attoptions, ', '),
  case when a.attidentity = '' then pg_get_serial_sequence({2}, a.attname) end,
  (select json_agg(json_build_array(case x.grantee when 0 then 'public' else quote_ident(r.rolname) end, x.privilege_type, x.is_grantable))
     from aclexplode(a.attacl) x left join pg_roles r on r.oid = x.grantee),
  (with recursive under(type, modifier, constrained) as (
     select t.typbasetype, t.typtypmod, t.typnotnull or exists (select from pg_constraint k where k.contypid = t.oid) where t.typtype = 'd'
     union all select b.typbasetype, b.typtypmod, u.constrained or b.typnotnull or exists (select from pg_constraint k where k.contypid = b.oid)
     from under u join pg_type b on b.oid = u.type where b.typtype = 'd')
   select json_build_array(format_type(u.type, u.modifier), coalesce((select quote_ident(n.nspname) || '.' || quote_ident(l.collname)
     from pg_collation l join pg_namespace n on n.oid = l.collnamespace where l.oid = a.attcollation and a.attcollation <> b.typcollation), ''))
   from under u join pg_type b on b.oid = u.type where b.typtype <> 'd' and u.constrained),
  (select json_agg(json_build_array(n.nspname, s.relname) order by n.nspname, s.relname) from pg_depend e join pg_class s on s.oid = e.objid and s.relkind = 'S'
     join pg_namespace n on n.oid = s.relnamespace where e.classid = 'pg_class'::regclass and e.refclassid = 'pg_class'::regclass
     and e.refobjid = a.attrelid and e.refobjsubid = a.attnum and e.deptype in ('a', 'i')), {3}
from pg_attribute a join pg_type t on t.oid = a.atttypid left join pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
where a.attrelid = {0} and a.attnum > 0 and not a.attisdropped order by a.attnum;
select i.relname, x.indisunique, x.indisprimary, x.indisreplident, x.indisclustered, k.conname, k.contype, coalesce(k.condeferrable, false),
  (select json_agg(a.attname order by a.attnum) from pg_attribute a where a.attrelid = x.indrelid and (a.attnum = any(x.indkey)
     or exists (select from pg_depend e where e.classid = 'pg_class'::regclass and e.objid = x.indexrelid
                and e.refclassid = 'pg_class'::regclass and e.refobjid = x.indrelid and e.refobjsubid = a.attnum))),
  substr(pg_get_indexdef(x.indexrelid), length(format('CREATE %sINDEX %I ON %s%I.%I', case when x.indisunique then 'UNIQUE ' else '' end,
     i.relname, case when i.relkind = 'I' then 'ONLY ' else '' end, n.nspname, c.relname)) + 1),
  coalesce(k.condeferred, false), case when k.oid is null then obj_description(i.oid, 'pg_class') else obj_description(k.oid, 'pg_constraint') end,
  x.indisvalid, s.spcname, coalesce(has_tablespace_privilege(s.oid, 'create'), true),
  (select json_agg(case d.deptype when 'P' then 'index ' || d.refobjid::regclass else pg_describe_object(d.classid, d.objid, d.objsubid) end)
     from pg_depend d where d.refclassid = 'pg_class'::regclass and (d.refobjid = i.oid and d.deptype = 'n'
       or d.classid = 'pg_class'::regclass and d.objid = i.oid and d.deptype = 'P' and d.refobjid in (select h.inhparent from pg_inherits h where h.inhrelid = i.oid)))
from pg_index x join pg_class i on i.oid = x.indexrelid join pg_class c on c.oid = x.indrelid join pg_namespace n on n.oid = c.relnamespace
  left join pg_constraint k on k.conindid = x.indexrelid and k.conrelid = x.indrelid and k.contype in ('p', 'u', 'x')
  left join pg_tablespace s on s.oid = i.reltablespace
where x.indrelid = {0} order by i.relname;
select k.conname, k.contype, (select json_agg(a.attname order by u.place) from unnest(k.conkey) with ordinality u(attnum, place)
     join pg_attribute a on a.attrelid = k.conrelid and a.attnum = u.attnum), pg_get_constraintdef(k.oid), k.convalidated, n.nspname, r.relname, k.connoinherit,
  obj_description(k.oid, 'pg_constraint'),
  (select json_agg(a.attname order by u.place) from unnest(k.confkey) with ordinality u(attnum, place)
     join pg_attribute a on a.attrelid = k.confrelid and a.attnum = u.attnum),
  case k.confmatchtype when 'f' then ' match full' else '' end
    || case k.confupdtype when 'r' then ' on update restrict' when 'c' then ' on update cascade' when 'n' then ' on update set null'
       when 'd' then ' on update set default' else '' end,
  case k.confdeltype when 'r' then ' on delete restrict' when 'c' then ' on delete cascade' when 'n' then ' on delete set null'
    when 'd' then ' on delete set default' else '' end,
  -- by way of JSON, as older servers have no such columns
  (select json_agg(a.attname order by a.attnum) from pg_attribute a where a.attrelid = k.conrelid and to_jsonb(k) -> 'confdelsetcols' @> to_jsonb(a.attnum)),
  case when k.condeferrable then ' deferrable' else '' end || case when k.condeferred then ' initially deferred' else '' end,
  coalesce((to_jsonb(k) ->> 'conenforced')::boolean, true)
from pg_constraint k left join pg_class r on r.oid = k.confrelid left join pg_namespace n on n.oid = r.relnamespace
where k.conrelid = {0} order by k.conname;
select t.tgname, t.tgtype & 3 = 3, t.tgtype & 20 <> 0, t.tgtype & 16 <> 0, t.tgenabled in ('A', 'R'),
  (select json_agg(a.attname) from pg_attribute a where a.attrelid = t.tgrelid and a.attnum = any (t.tgattr)),
  (select json_agg(distinct a.attname) from pg_depend d join pg_attribute a on a.attrelid = d.refobjid and a.attnum = d.refobjsubid
     where d.classid = 'pg_trigger'::regclass and d.objid = t.oid and d.refclassid = 'pg_class'::regclass and d.refobjid = t.tgrelid),
  l.lanname, p.prosrc, replace(encode(t.tgargs, 'escape'), '\000', chr(10))
from pg_trigger t join pg_proc p on p.oid = t.tgfoid join pg_language l on l.oid = p.prolang where t.tgrelid in (select {0}::oid union select p.relid from pg_partition_tree({0}) p) and not t.tgisinternal and t.tgenabled <> 'D';
select n.nspname, r.relname, k.conname, (select json_agg(a.attname) from pg_attribute a where a.attrelid = k.confrelid and a.attnum = any(k.confkey))
from pg_constraint k join pg_class r on r.oid = k.conrelid join pg_namespace n on n.oid = r.relnamespace
where k.contype = 'f' and k.confrelid = {0} and k.conparentid = 0;
commit)",
      table, k_equality_is_identity, quote_literal(name.sql()), k_domain_facts);
}

Column read_column(const pg::Rows& rows, int row) {
  Column column;
  column.name = rows.text(row, 0);
  column.type = rows.text(row, 1);
  column.base_type = rows.text(row, 2);
  column.type_modifier = static_cast<int>(rows.integer(row, 3));
  column.collation = rows.text(row, 4);
  column.equality_is_identity = rows.boolean(row, 5);
  column.not_null = rows.boolean(row, 6);
  column.default_sql = rows.maybe(row, 7);
  column.identity = rows.boolean(row, 8);
  column.generated = rows.boolean(row, 9);
  column.comment = rows.maybe(row, 10);
  column.statistics_target = static_cast<int>(rows.integer(row, 11));
  column.options = rows.text(row, 12);
  column.owned_sequence = rows.maybe(row, 13);
  if (!rows.is_null(row, 14)) {
    for (const auto& grant : nlohmann::json::parse(rows.text(row, 14))) {
      column.grants.push_back({grant[0], grant[1], grant[2]});
    }
  }
  if (!rows.is_null(row, 15)) {
    const auto plain = nlohmann::json::parse(rows.text(row, 15));
    column.plain_type = plain[0];
    column.plain_collation = plain[1];
  }
  if (!rows.is_null(row, 16)) {
    for (const auto& sequence : nlohmann::json::parse(rows.text(row, 16))) {
      column.sequences.push_back({sequence[0], sequence[1]});
    }
  }
  column.domain = {rows.text(row, 17), rows.boolean(row, 18)};
  return column;
}

char letter(const pg::Rows& rows, int row, int column) {
  return rows.is_null(row, column) ? '\0' : rows.text(row, column).front();
}

void read_parts(const std::vector<pg::Rows>& results, Table& table) {
  for (int row = 0; row < results[1].size(); ++row) {
    table.columns.push_back(read_column(results[1], row));
  }
  for (int row = 0; row < results[2].size(); ++row) {
    const pg::Rows& rows = results[2];
    table.indexes.push_back({rows.text(row, 0), list_of(rows, row, 8), rows.text(row, 9), rows.boolean(row, 1),
                             rows.boolean(row, 2), rows.boolean(row, 3), rows.boolean(row, 4), rows.text(row, 5),
                             letter(rows, row, 6), rows.boolean(row, 7), rows.boolean(row, 10), rows.maybe(row, 11),
                             rows.boolean(row, 12), rows.text(row, 13), rows.boolean(row, 14), list_of(rows, row, 15)});
  }
  for (int row = 0; row < results[3].size(); ++row) {
    const pg::Rows& rows = results[3];
    table.constraints.push_back({rows.text(row, 0),
                                 letter(rows, row, 1),
                                 list_of(rows, row, 2),
                                 rows.text(row, 3),
                                 rows.boolean(row, 4),
                                 {rows.text(row, 5), rows.text(row, 6)},
                                 rows.boolean(row, 7),
                                 rows.maybe(row, 8),
                                 list_of(rows, row, 9),
                                 rows.text(row, 10),
                                 rows.text(row, 11),
                                 list_of(rows, row, 12),
                                 rows.text(row, 13),
                                 rows.boolean(row, 14)});
  }
  for (int row = 0; row < results[4].size(); ++row) {
    const pg::Rows& rows = results[4];
    table.triggers.push_back({rows.text(row, 0), rows.boolean(row, 1), rows.boolean(row, 2), rows.boolean(row, 3),
                              rows.boolean(row, 4), list_of(rows, row, 5), list_of(rows, row, 6), rows.text(row, 7),
                              rows.text(row, 8), rows.text(row, 9)});
  }
  for (int row = 0; row < results[5].size(); ++row) {
    const pg::Rows& rows = results[5];
    table.incoming.push_back({{rows.text(row, 0), rows.text(row, 1)}, rows.text(row, 2), list_of(rows, row, 3)});
  }
}

Table read_table(pg::Connection& connection, const QualifiedName& name) {
  const std::vector<pg::Rows> results = connection.script(facts_query(name));
  const pg::Rows& head = results[0];
  Table table;
  table.name = name;
  table.partitioned = head.boolean(0, 0);
  table.is_partition = head.boolean(0, 1);
  table.row_security_applies = head.boolean(0, 2);
  table.owned = head.boolean(0, 3);
  table.subscribed = head.boolean(0, 4);
  table.published = head.boolean(0, 5);
  table.inherits = head.boolean(0, 6);
  table.foreign_partitions = head.boolean(0, 7);
  table.typed = head.boolean(0, 9);
  if (!head.is_null(0, 8)) {
    for (const auto& leaf : nlohmann::json::parse(head.text(0, 8))) {
      table.leaves.push_back({leaf[0], leaf[1]});
    }
  }
  // Citus's own, where its extension is.
  if (!connection.query("select pg_catalog.to_regclass('pg_catalog.pg_dist_partition')").is_null(0, 0)) {
    table.distributed = connection
                            .query(
                                "select exists (select from pg_catalog.pg_dist_partition where logicalrelid = "
                                "$1::pg_catalog.regclass)",
                                {name.sql()})
                            .boolean(0, 0);
  }
  read_parts(results, table);
  read_surroundings(connection, table);
  return table;
}

void collect_types(const Value& value, std::set<std::string>& types) {
  for (const auto& [key, member] : value.members) {
    if (key == "type" && member.kind == Value::Kind::scalar) {
      types.insert(member.scalar);
    }
    collect_types(member, types);
  }
  for (const Value& item : value.items) {
    collect_types(item, types);
  }
}

/// What the server makes of a type's name; only CREATE TABLE takes every spelling.
TypeFacts read_type(pg::Connection& connection, const std::string& text) {
  TypeFacts facts{text, text, -1, false, ""};
  connection.script("begin; set local search_path to default");
  try {
    connection.query("create temp table ecmigrate_type (value " + text + ")");
    const pg::Rows rows = connection
                              .script(fmt::format(
                                  R"(set local search_path = pg_catalog;
select format_type(a.atttypid, a.atttypmod), format_type(a.atttypid, null), a.atttypmod, {}, a.atthasdef,
  exists (select from pg_constraint k where k.contypid = t.oid) or t.typnotnull, {}, a.attcollation <> t.typcollation
from pg_attribute a join pg_type t on t.oid = a.atttypid where a.attrelid = 'pg_temp.ecmigrate_type'::regclass and a.attnum = 1)",
                                  k_equality_is_identity, k_domain_facts))
                              .front();
    facts = {rows.text(0, 0),
             rows.text(0, 1),
             static_cast<int>(rows.integer(0, 2)),
             rows.boolean(0, 3),
             "",
             {rows.text(0, 6), rows.boolean(0, 7)}};
    if (rows.boolean(0, 4) || rows.boolean(0, 8)) {
      facts.error = fmt::format("\"{}\" is not a type of its own", text);
    } else if (rows.boolean(0, 5)) {
      facts.error = fmt::format(
          "\"{}\" is a domain with constraints: adding a column of it rewrites the table under the lock", text);
    }
  } catch (const pg::SqlError& error) {
    if (error.connection_lost()) {
      throw;
    }
    if (error.outcome() == Outcome::refused) {
      connection.script("rollback");
      throw pg::SqlError(error.sqlstate(), fmt::format("type \"{}\": {}", text, error.what()), error.hint(), 0);
    }
    facts.error = fmt::format("type \"{}\": {}", text, error.what());
  }
  connection.script("rollback");
  return facts;
}

void read_names(pg::Connection& connection, const Plan& plan, std::set<QualifiedName>& tables, Catalog& catalog) {
  const pg::Rows relations = connection.query(
      "select c.relname, c.relkind in ('r', 'p'), i.relname, case c.relkind when 'v' then 'a view' when 'm' then 'a "
      "materialized view' when 'f' then 'a foreign table' when 'S' then 'a sequence' when 'c' then 'a type' end "
      "from pg_catalog.pg_class c join pg_catalog.pg_namespace n "
      "on n.oid = c.relnamespace "
      "left join pg_catalog.pg_index x on x.indexrelid = c.oid left join pg_catalog.pg_class i on i.oid = x.indrelid "
      "where n.nspname = $1",
      {plan.schema});
  std::set<std::string> existing;
  for (int row = 0; row < relations.size(); ++row) {
    if (relations.boolean(row, 1)) {
      existing.insert(relations.text(row, 0));
      catalog.tables_in_schema.push_back(relations.text(row, 0));
    } else if (!relations.is_null(row, 3)) {
      catalog.no_tables[relations.text(row, 0)] = relations.text(row, 3);
    } else if (!relations.is_null(row, 2)) {
      catalog.table_of_index[{plan.schema, relations.text(row, 0)}] = {plan.schema, relations.text(row, 2)};
    }
  }
  const auto want = [&](const Value& fields) {
    if (existing.contains(fields.text("table"))) {
      tables.insert({plan.schema, fields.text("table")});
    }
  };
  for (const PlannedOperation& operation : plan.operations) {
    want(operation.fields);
    for (const auto& [key, member] : operation.fields.members) {
      if (key == "references") {
        want(member);
      } else if (const Value* references = member.find("references")) {
        want(*references);
      }
    }
    const auto index = catalog.table_of_index.find({plan.schema, operation.fields.text("name")});
    if (operation.kind == "drop_index" && index != catalog.table_of_index.end()) {
      tables.insert(index->second);
    }
  }
}

}  // namespace

bool has_valid_index(pg::Connection& connection, const QualifiedName& name) {
  return connection
      .query(
          "select exists (select from pg_catalog.pg_index i where i.indexrelid = pg_catalog.to_regclass($1) and "
          "i.indisvalid and i.indisready and i.indislive)",
          {name.sql()})
      .boolean(0, 0);
}

std::string printed_default(pg::Connection& connection, const Column& column, const std::string& sql) {
  const pg::Rows rows = connection
                            .script(fmt::format("begin; create temp table ecmigrate_default (value {} default {}); "
                                                "select pg_catalog.pg_get_expr(d.adbin, "
                                                "d.adrelid) from pg_catalog.pg_attrdef d where d.adrelid = "
                                                "'pg_temp.ecmigrate_default'::regclass; rollback",
                                                column.type, sql))
                            .front();
  return rows.size() == 0 ? std::string() : rows.text(0, 0);
}

void require_temporary_tables(pg::Connection& connection) {
  const pg::Rows rows = connection.query(
      "select quote_ident(current_user), quote_ident(current_database()), "
      "pg_catalog.has_database_privilege(current_database(), 'temporary')");
  if (!rows.boolean(0, 2)) {
    throw Error(
        Outcome::refused,
        fmt::format("{} may make no temporary tables in {}, and a plan's types and expressions are tried on one",
                    rows.text(0, 0), rows.text(0, 1)),
        fmt::format("Have its owner run: grant temporary on database {} to {};", rows.text(0, 1), rows.text(0, 0)));
  }
}

bool sees_other_sessions(pg::Connection& connection) {
  return connection.query("select pg_catalog.pg_has_role('pg_read_all_stats', 'usage')").boolean(0, 0);
}

bool may_replace_replication_role(pg::Connection& connection) {
  // Since PostgreSQL 15 the right to set a parameter can be granted.
  const bool grantable = connection.server_version() >= 150000;
  return connection
      .query(fmt::format("select rolsuper{} from pg_catalog.pg_roles where rolname = current_user",
                         grantable ? " or pg_catalog.has_parameter_privilege('session_replication_role', 'set')" : ""))
      .boolean(0, 0);
}

bool has_validated_foreign_key(pg::Connection& connection, const QualifiedName& table,
                               const std::vector<std::string>& columns) {
  return connection
      .query(fmt::format("select exists (select from pg_catalog.pg_constraint c join pg_catalog.pg_attribute a on "
                         "a.attrelid = c.conrelid and a.attnum = any (c.conkey) "
                         "where c.conrelid = $1::pg_catalog.regclass and c.contype = 'f' and c.convalidated and "
                         "a.attname = any ({}))",
                         name_array(columns)),
             {table.sql()})
      .boolean(0, 0);
}

Catalog read_catalog(pg::Connection& connection, const Plan& plan) {
  Catalog catalog;
  catalog.server_version = connection.server_version();
  std::set<QualifiedName> tables;
  read_names(connection, plan, tables, catalog);
  for (const QualifiedName& name : tables) {
    catalog.tables.emplace(name, read_table(connection, name));
  }
  std::set<std::string> types;
  for (const PlannedOperation& operation : plan.operations) {
    collect_types(operation.fields, types);
  }
  for (const std::string& type : types) {
    catalog.types.emplace(type, read_type(connection, type));
  }
  return catalog;
}

}  // namespace ecmigrate
