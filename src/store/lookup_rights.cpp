#include "lookup_rights.hpp"

#include <fmt/format.h>

namespace ecmigrate {

namespace {

/// Of a role without members that cannot log in one does not know who takes it on, so it counts as a writer itself;
/// others count by those who log in, as these may have further rights. Roles below 16384 are the server's own.
constexpr const char* k_missing_rights = R"(
with tree as (select ev_action::text as text from pg_rewrite where ev_class = 'pg_temp.ecmigrate_view'::regclass),
used as (
  select d.refobjid as relation, array_agg(d.refobjsubid) filter (where d.refobjsubid > 0) as columns
  from pg_depend d join pg_rewrite r on d.classid = 'pg_rewrite'::regclass and d.objid = r.oid
  where r.ev_class = 'pg_temp.ecmigrate_view'::regclass and d.refclassid = 'pg_class'::regclass
    and d.refobjid not in ('pg_temp.this'::regclass, 'pg_temp.ecmigrate_view'::regclass)
    -- a composite type needs no right
    and exists (select from pg_class c where c.oid = d.refobjid and c.relkind <> 'c') group by 1),
called as (select distinct m[1]::oid as function from tree, regexp_matches(tree.text, ':(?:funcid|opfuncid) ([1-9][0-9]*)', 'g') m),
schemas as (
  select c.relnamespace as oid from used join pg_class c on c.oid = used.relation
  union select p.pronamespace from called join pg_proc p on p.oid = called.function),
writers as (
  select r.oid, r.rolname from pg_roles r, pg_class c
  where c.oid = {0}::regclass and r.oid >= 16384 and not r.rolsuper
    and (r.rolcanlogin or not exists (select from pg_auth_members m where m.roleid = r.oid))
    and (has_any_column_privilege(r.oid, c.oid, 'insert') or has_any_column_privilege(r.oid, c.oid, 'update'))
    and has_schema_privilege(r.oid, c.relnamespace, 'usage')
    and has_database_privilege(r.oid, current_database(), 'connect'))
select w.rolname || ' has no USAGE on schema ' || s.oid::regnamespace from writers w, schemas s
  where not has_schema_privilege(w.oid, s.oid, 'usage')
union all select w.rolname || ' may not read ' || u.relation::regclass from writers w, used u
  where not has_table_privilege(w.oid, u.relation, 'select')
    and (not has_any_column_privilege(w.oid, u.relation, 'select')
         or exists (select from unnest(u.columns) n where not has_column_privilege(w.oid, u.relation, n::smallint, 'select')))
union all select w.rolname || ' may not execute ' || c.function::regprocedure from writers w, called c
  where not has_function_privilege(w.oid, c.function, 'execute')
order by 1)";

}  // namespace

std::vector<std::string> missing_lookup_rights(pg::Connection& connection, const QualifiedName& table) {
  const pg::Rows rows = connection.query(fmt::format(fmt::runtime(k_missing_rights), quote_literal(table.sql())));
  std::vector<std::string> missing;
  for (int row = 0; row < rows.size(); ++row) {
    missing.push_back(rows.text(row, 0));
  }
  return missing;
}

}  // namespace ecmigrate
