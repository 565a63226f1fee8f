#include "dependents.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "ecmigrate/base/text.hpp"

namespace ecmigrate {

namespace {

// pg_depend: 'n' objects make DROP COLUMN fail, and ALTER TYPE except for foreign keys, which are 'f' here; 'a' objects
// go with the column. What an automatic dependent needs of
// other columns of the table decides whether losing it is a surprise. Our own sync function has a string body and so
// no entry; our triggers name columns in WHEN, but contract drops them first.
// What a partition has of its own is the partition's `leaf` row: contract puts none of it back.
constexpr const char* k_query = R"(
with col as (
  select a.attrelid, a.attnum, a.attnotnull, a.attrelid <> $1::regclass as leaf, pg_get_expr(f.adbin, f.adrelid) as default_sql
  from pg_attribute a left join pg_attrdef f on f.adrelid = a.attrelid and f.adnum = a.attnum
  where a.attrelid in (select $1::regclass::oid union select p.relid from pg_partition_tree($1::regclass) p) and a.attname = $2 and not a.attisdropped),
dep as (
  select d.classid, d.objid, d.objsubid, d.deptype, col.attrelid, col.attnum, col.leaf from pg_depend d, col
  where d.refclassid = 'pg_class'::regclass and d.refobjid = col.attrelid and d.refobjsubid = col.attnum and d.deptype in ('n', 'a')),
named as (
  -- views and rules: the relation of the rule
  select 'n' as how, case c.relkind when 'm' then 'materialized view ' when 'v' then 'view ' else 'rule on ' end || c.oid::regclass::text as what, c.relname as name, false as alone, d.leaf
  from dep d join pg_rewrite r on d.classid = 'pg_rewrite'::regclass and r.oid = d.objid join pg_class c on c.oid = r.ev_class
  union select 'n', 'policy ' || p.polname || ' on ' || p.polrelid::regclass, p.polname, false, d.leaf
  from dep d join pg_policy p on d.classid = 'pg_policy'::regclass and p.oid = d.objid
  union select 'n', 'generated column ' || a.attname || ' of ' || a.attrelid::regclass, a.attname, false, d.leaf
  from dep d join pg_attrdef f on d.classid = 'pg_attrdef'::regclass and f.oid = d.objid
    join pg_attribute a on a.attrelid = f.adrelid and a.attnum = f.adnum
  where a.attgenerated <> '' and a.attnum <> d.attnum and not d.leaf
  union select 'n', 'generated column ' || a.attname || ' of ' || a.attrelid::regclass, a.attname, false, d.leaf
  from dep d join pg_attribute a on d.classid = 'pg_class'::regclass and a.attrelid = d.objid and a.attnum = d.objsubid
  where a.attgenerated <> '' and not d.leaf
  union select 'n', 'trigger ' || t.tgname || ' on ' || t.tgrelid::regclass, t.tgname, false, d.leaf
  from dep d join pg_trigger t on d.classid = 'pg_trigger'::regclass and t.oid = d.objid
  where not t.tgisinternal and t.tgparentid = 0 and t.tgfoid not in (select p.oid from pg_proc p join pg_namespace n on n.oid = p.pronamespace where n.nspname = 'ecmigrate')
  union select 'n', 'function ' || p.oid::regprocedure, p.proname, false, d.leaf
  from dep d join pg_proc p on d.classid = 'pg_proc'::regclass and p.oid = d.objid
  union select 'n', 'publication ' || b.pubname, b.pubname, false, d.leaf
  from dep d join pg_publication_rel r on d.classid = 'pg_publication_rel'::regclass and r.oid = d.objid join pg_publication b on b.oid = r.prpubid
  -- foreign keys that point at the column; one that starts from it as well goes with it
  union select case when k.contype = 'f' and k.confrelid = d.attrelid and d.attnum = any (k.confkey)
      and not (k.conrelid = d.attrelid and d.attnum = any (k.conkey)) then 'f' else 'a' end,
    case k.contype when 'f' then 'foreign key ' else 'constraint ' end || k.conname || ' on ' || k.conrelid::regclass, k.conname,
    k.conrelid = d.attrelid and k.conkey <@ array[d.attnum], d.leaf
  from dep d join pg_constraint k on d.classid = 'pg_constraint'::regclass and k.oid = d.objid
  where k.contype not in ('n', 't') and (not d.leaf or k.conparentid = 0 and k.coninhcount = 0)
  union select 'a', 'index ' || i.indexrelid::regclass, c.relname,
    i.indpred is null and not i.indisreplident and i.indkey::int2[] <@ array[d.attnum], d.leaf
  from dep d join pg_index i on d.classid = 'pg_class'::regclass and i.indexrelid = d.objid join pg_class c on c.oid = i.indexrelid
  where not exists (select from pg_constraint k where k.conindid = i.indexrelid and k.conrelid = i.indrelid)
    and not (d.leaf and exists (select from pg_inherits h where h.inhrelid = i.indexrelid))
  union select 'a', 'statistics ' || s.stxname, s.stxname, false, d.leaf
  from dep d join pg_statistic_ext s on d.classid = 'pg_statistic_ext'::regclass and s.oid = d.objid
  union select 'a', 'default on ' || p.attrelid::regclass, c.relname, true, true
  from col p join col root on not root.leaf join pg_class c on c.oid = p.attrelid where p.leaf and p.default_sql is distinct from root.default_sql
  union select 'a', 'NOT NULL on ' || p.attrelid::regclass, c.relname, true, true
  from col p join col root on not root.leaf join pg_class c on c.oid = p.attrelid where p.leaf and p.attnotnull and not root.attnotnull)
-- as somebody writes them whose search_path is the usual one
select distinct how, pg_catalog.regexp_replace(what, '\mpublic\.', ''), name, alone, leaf from named order by 1, 2)";

std::string listed(const pg::Rows& rows, int row, const ColumnDrop& drop) {
  return fmt::format("{} (needs {}.{})", rows.text(row, 1), drop.table.display(), drop.column);
}

}  // namespace

Dependents find_dependents(Session& session, const std::vector<ColumnDrop>& drops) {
  Dependents found;
  for (const ColumnDrop& drop : drops) {
    const pg::Rows rows = session.connection().query(k_query, {drop.table.sql(), drop.column});
    for (int row = 0; row < rows.size(); ++row) {
      const std::string name = rows.text(row, 2);
      if (std::ranges::find(drop.replaced, name) != drop.replaced.end()) {
        continue;
      }
      const std::string how = rows.text(row, 0);
      const bool leaf = rows.boolean(row, 4);
      if (how == "n" || (how == "f" && !drop.type_change)) {
        found.blocking.push_back(listed(rows, row, drop));
      } else if (how == "a" && !drop.type_change && (!rows.boolean(row, 3) || (leaf && !drop.successor.empty())) &&
                 !session.options().accept_drop.contains(name)) {
        found.lost.push_back(listed(rows, row, drop));
      }
    }
  }
  return found;
}

std::vector<std::string> find_later_triggers(Session& session, const std::vector<SyncTrigger>& triggers) {
  std::vector<std::string> later;
  for (const SyncTrigger& trigger : triggers) {
    for (const std::string& name : trigger.names) {
      // tgtype: 1 for each row, 2 before, 4 insert, 16 update.
      const pg::Rows rows = session.connection().query(
          "select distinct u.tgname, u.tgrelid::pg_catalog.regclass::text from pg_catalog.pg_trigger s join "
          "pg_catalog.pg_trigger u on u.tgrelid = s.tgrelid "
          "where s.tgname = $2 and (s.tgrelid = $1::pg_catalog.regclass or s.tgrelid in (select relid from "
          "pg_catalog.pg_partition_tree($1::pg_catalog.regclass))) "
          "and u.tgname > s.tgname and not exists (select from pg_catalog.pg_trigger o where o.tgrelid = s.tgrelid and "
          "o.tgname = any (" +
              name_array(trigger.names) +
              ") and o.tgname >= u.tgname and o.tgtype & s.tgtype & u.tgtype & 20 <> 0) and u.tgtype & 3 = 3 and "
              "u.tgtype & s.tgtype & 20 <> 0 and not u.tgisinternal and u.tgenabled <> 'D' "
              "order by 2, 1",
          {trigger.table.sql(), name});
      for (int row = 0; row < rows.size(); ++row) {
        std::string text = fmt::format("{} on {}", rows.text(row, 0), rows.text(row, 1));
        if (std::ranges::find(later, text) == later.end()) {
          later.push_back(std::move(text));
        }
      }
    }
  }
  return later;
}

}  // namespace ecmigrate
