#include <fmt/format.h>

#include "ecmigrate/base/error.hpp"
#include "ecmigrate/base/quote.hpp"
#include "ecmigrate/store/journal.hpp"

namespace ecmigrate {

namespace {

/// Roles that are trusted with ours: ourselves and those that we were made a member of; superusers; and the database's
/// owner, who may change what every session begins with. That a superuser may do what any role may is no reason to
/// trust that role: membership has to have been granted.
constexpr std::string_view k_trusted = R"(
with recursive mine as (
  select r.oid from pg_catalog.pg_roles r where r.rolname = current_user
  union select m.roleid from pg_catalog.pg_auth_members m join mine on m.member = mine.oid),
trusted as (
  select oid from mine union select r.oid from pg_catalog.pg_roles r where r.rolsuper
  union select d.datdba from pg_catalog.pg_database d where d.datname = current_database()),
owned as (
  select n.nspowner as owner from pg_catalog.pg_namespace n where n.nspname = 'ecmigrate'
  union select c.relowner from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
    where n.nspname = 'ecmigrate' and c.relkind not in ('i', 'S')))";

std::string role_names(pg::Connection& connection, const std::string& select) {
  return connection.query(std::string(k_trusted) + select).text(0, 0);
}

}  // namespace

void Journal::check_readable() {
  // A view's functions, and those of a row policy, run with the rights of who reads; a table's do not.
  const pg::Rows rows = m_connection.query(
      "select c.relname, pg_catalog.pg_get_userbyid(c.relowner) from pg_catalog.pg_class c join "
      "pg_catalog.pg_namespace n on n.oid = c.relnamespace where n.nspname = 'ecmigrate' and (c.relkind in ('v', 'm', "
      "'f', 'p') or c.relrowsecurity) order by 1 limit 1");
  if (rows.size() > 0) {
    throw Error(Outcome::refused,
                fmt::format("ecmigrate.{} of role {} is no table that ecmigrate makes: reading it might run that "
                            "role's functions",
                            rows.text(0, 0), rows.text(0, 1)),
                "Find out who made it. The schema ecmigrate is for the journal alone.");
  }
}

void Journal::check_trusted() {
  if (!m_connection.query("select pg_catalog.to_regnamespace('ecmigrate') is not null").boolean(0, 0)) {
    return;  // nothing there that could be somebody's
  }
  const std::string strangers =
      role_names(m_connection,
                 " select coalesce(string_agg(quote_ident(pg_get_userbyid(owner)), ', ' order "
                 "by owner), '') from owned where owner not in (select oid from trusted)");
  if (!strangers.empty()) {
    const std::string us = m_connection.query("select quote_ident(current_user)").text(0, 0);
    const bool in_use =
        m_connection.query("select pg_catalog.to_regclass('ecmigrate.migrations') is not null").boolean(0, 0);
    throw Error(
        Outcome::refused,
        fmt::format("the journal, schema ecmigrate, belongs to {}: what that role hangs on its tables would run "
                    "with the rights of {}",
                    strangers, us),
        fmt::format(
            "Work as {0}; or if it is to be trusted with them, run: grant {0} to {1}; {2}docs/trust.md says how "
            "two teams share a journal.",
            strangers, us, in_use ? "" : "If not, find out who made the schema, and drop it. "));
  }
  const pg::Rows missing = m_connection.query(
      "select quote_ident(current_user), pg_catalog.has_schema_privilege('ecmigrate', 'usage') and "
      "pg_catalog.has_schema_privilege('ecmigrate', 'create'), "
      "not exists (select from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace where "
      "n.nspname = 'ecmigrate' and c.relkind = 'r' and not (pg_catalog.has_table_privilege(c.oid, 'select') and "
      "pg_catalog.has_table_privilege(c.oid, 'insert') and pg_catalog.has_table_privilege(c.oid, 'update') and "
      "pg_catalog.has_table_privilege(c.oid, 'delete')))");
  if (!missing.boolean(0, 1) || !missing.boolean(0, 2)) {
    const std::string us = missing.text(0, 0);
    throw Error(Outcome::refused, fmt::format("{} may not write into the journal, schema ecmigrate", us),
                fmt::format("Have its owner run: grant usage, create on schema ecmigrate to {0}; grant select, insert, "
                            "update, delete on all tables in schema ecmigrate to {0};",
                            us));
  }
}

void Journal::check_may_install() {
  const pg::Rows rows = m_connection.query(
      "select quote_ident(current_user), quote_ident(current_database()), "
      "pg_catalog.has_database_privilege(current_database(), 'create'), "
      "exists (select from pg_catalog.pg_namespace where nspname = 'ecmigrate')");
  if (rows.boolean(0, 3)) {
    check_trusted();
  } else if (!rows.boolean(0, 2)) {
    throw Error(
        Outcome::refused,
        fmt::format("the journal cannot be created: {} may make no schema in {}", rows.text(0, 0), rows.text(0, 1)),
        fmt::format("Have its owner run: grant create on database {1} to {0}; or: create schema ecmigrate "
                    "authorization {0};",
                    rows.text(0, 0), rows.text(0, 1)));
  }
}

}  // namespace ecmigrate
