#include "setting_dependence.hpp"

#include <fmt/format.h>

#include "ecmigrate/base/quote.hpp"

namespace ecmigrate {

namespace {

// The server calls a function STABLE where its result may depend on a setting, but also where it may only do so for
// some types (concat, to_jsonb) or for other reasons (now()). So what counts is which types it is about. Conversions
// through text (COERCEVIAIO) call the types' own functions, of which some are marked immutable although a setting
// changes them (float8out: extra_float_digits; byteaout: bytea_output).
//
// Types by name, as their numbers are nobody's to know. `plain` ones have the same text in every session.
constexpr const char* k_query = R"(
with tree as (select ev_action::text as text from pg_catalog.pg_rewrite where ev_class = {0}::pg_catalog.regclass),
called as (
  select p.* from tree, pg_catalog.regexp_matches(tree.text, ':(?:funcid|opfuncid) ([1-9][0-9]*)', 'g') m
    join pg_catalog.pg_proc p on p.oid = m[1]::pg_catalog.oid
  where p.provolatile = 's' and p.pronamespace = 'pg_catalog'::pg_catalog.regnamespace
    and p.proname not in ('now', 'transaction_timestamp', 'statement_timestamp')),
-- with the configuration named they are immutable
text_search as (select distinct proname from called where prorettype in ('tsvector'::pg_catalog.regtype, 'tsquery'::pg_catalog.regtype)
  or proname in ('ts_headline', 'get_current_ts_config', 'ts_match_tt', 'ts_match_tq')),
session as (select distinct proname from called where pronargs = 0 and proname not in ('version', 'current_database')
  or proname in ('current_setting', 'current_schemas', 'to_regclass', 'to_regtype', 'to_regproc', 'to_regrole') or proname ~ '^has_.*_privilege$|^pg_has_role$|_is_visible$'),
-- called with the zone it is to use, or about something that no zone changes
zoneless as (
  select c.oid from called c, tree where (c.proname = 'date_trunc' and c.pronargs = 3)
    or (c.proname in ('date_part', 'extract') and pg_catalog.pg_get_viewdef({0}::pg_catalog.regclass) !~ '(EXTRACT\((?!epoch )|date_part\((?!''epoch''))')),
zoned as (select oid from pg_catalog.pg_type where typnamespace = 'pg_catalog'::pg_catalog.regnamespace
  and typname in ('timestamptz', '_timestamptz', 'timetz', '_timetz', 'tstzrange', '_tstzrange', 'tstzmultirange')),
plain as (select oid from pg_catalog.pg_type where typtype = 'e' or (typnamespace = 'pg_catalog'::pg_catalog.regnamespace
  and typname in ('text', 'varchar', 'bpchar', 'char', 'name', 'bool', 'int2', 'int4', 'int8', 'oid', 'numeric', 'uuid', 'json', 'jsonb', 'time',
    'bit', 'varbit', 'inet', 'cidr', 'macaddr', 'unknown', 'cstring', 'tsvector', 'tsquery', 'int4range', 'int8range', 'numrange', 'regclass',
    '_text', '_varchar', '_bpchar', '_bool', '_int2', '_int4', '_int8', '_numeric', '_uuid', '_json', '_jsonb'))),
mentioned as (
  select distinct m[1]::pg_catalog.oid as type from tree, pg_catalog.regexp_matches(tree.text,
    ':(?:vartype|funcresulttype|opresulttype|consttype|resulttype|casetype|coalescetype|minmaxtype|array_typeid|relabeltype) ([1-9][0-9]*)', 'g') m),
any_types as (select oid from pg_catalog.pg_type where typtype = 'p'),
through_text as (
  -- what a conversion through text makes; only COERCEVIAIO has a result type without a modifier
  select m[1]::pg_catalog.oid as type from tree, pg_catalog.regexp_matches(tree.text, ':resulttype ([0-9]+) :resultcollid', 'g') m
  -- and what of, where that is a column, a constant, a function or an operator
  union select m[1]::pg_catalog.oid from tree, pg_catalog.regexp_matches(tree.text,
    'COERCEVIAIO :arg \{(?:VAR :varno [^ ]+ :varattno [^ ]+ :vartype|FUNCEXPR :funcid [0-9]+ :funcresulttype|OPEXPR :opno [0-9]+ :opfuncid [0-9]+ :opresulttype|CONST :consttype) ([0-9]+)', 'g') m),
of_any as (select from called c where exists (select from any_types a where a.oid = any (c.proargtypes)))
select
  exists (select from called c where c.oid not in (select oid from zoneless)
    and exists (select from zoned z where z.oid = c.prorettype or z.oid = any (c.proargtypes)))
  or exists (select from through_text t join zoned z on z.oid = t.type)
  or (exists (select from of_any) and exists (select from mentioned m join zoned z on z.oid = m.type)),
  exists (select from called c where c.oid not in (select oid from zoneless)
    and not exists (select from any_types a where a.oid = any (c.proargtypes)))
  or exists (select from through_text t where t.type not in (select oid from plain))
  or (exists (select from of_any) and exists (select from mentioned m where m.type not in (select oid from plain))),
  (select pg_catalog.string_agg(proname, ', ' order by proname) from text_search),
  -- current_user and its like are no functions; of these alone the value is a name
  (select pg_catalog.string_agg(proname, ', ' order by proname) from (
    select proname from session where proname not in (select proname from text_search)
    union select 'current_user' from tree where text ~ 'SQLVALUEFUNCTION :op [0-9]+ :type 19 ') s))";

}  // namespace

SettingDependence read_setting_dependence(pg::Connection& connection, const std::string& view) {
  std::string query = k_query;
  for (std::size_t at = 0; (at = query.find("{0}", at)) != std::string::npos;) {
    query.replace(at, 3, quote_literal(view));
  }
  const pg::Rows rows = connection.query(query);
  return {rows.boolean(0, 0), rows.boolean(0, 1), rows.maybe(0, 2).value_or(""), rows.maybe(0, 3).value_or("")};
}

std::string portable_literals(const std::string& sql) {
  std::string result;
  for (std::size_t at = 0; at < sql.size();) {
    if (sql[at] != '\'' && sql[at] != '"') {
      result += sql[at++];
      continue;
    }
    const char quote = sql[at];
    std::size_t end = at + 1;
    while (end < sql.size() && (sql[end] != quote || (end + 1 < sql.size() && sql[end + 1] == quote))) {
      end += sql[end] == quote ? 2 : 1;
    }
    std::string text = sql.substr(at, end + 1 - at);
    if (quote == '\'' && text.find('\\') != std::string::npos) {
      for (std::size_t slash = 0; (slash = text.find('\\', slash)) != std::string::npos; slash += 2) {
        text.insert(slash, 1, '\\');
      }
      text.insert(0, 1, 'E');
    }
    result += text;
    at = end + 1;
  }
  return result;
}

}  // namespace ecmigrate
