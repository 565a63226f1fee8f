#include "demo_database.hpp"

#include <fmt/format.h>

#include <array>
#include <chrono>

#include "ecmigrate/base/error.hpp"
#include "ecmigrate/base/quote.hpp"
#include "ecmigrate/base/text.hpp"
#include "ecmigrate/scene/embedded_server.hpp"
#include "names.hpp"

namespace ecmigrate::scene {

namespace {

/// Whatever the role's search_path is: its own schema may well be called ecmigrate, as the journal's.
constexpr const char* k_settings = "set search_path = public; set client_min_messages = warning";

pg::Target target_of(const std::string& conninfo) {
  return {conninfo, "ecmigrate demo", nullptr};
}

bool is_demo(pg::Connection& connection) {
  return connection.query("select pg_catalog.to_regclass('ecmigrate_demo.facts') is not null").boolean(0, 0);
}

void refuse_others_tables(pg::Connection& connection) {
  const pg::Rows rows = connection.query(
      "select pg_catalog.format('%I.%I', n.nspname, c.relname), current_database() from pg_catalog.pg_class c join "
      "pg_catalog.pg_namespace n on n.oid = c.relnamespace "
      "where c.relkind in ('r', 'p', 'v', 'm', 'f') and n.nspname <> 'information_schema' and n.nspname !~ '^pg_' "
      "order by 1 limit 1");
  if (rows.size() > 0) {
    throw Error(Outcome::refused,
                fmt::format("{} has tables that are not the demo's: {}", rows.text(0, 1), rows.text(0, 0)),
                "The demo makes, changes and drops tables: give it an empty database of its own, or no --dbname for a "
                "server of its own.");
  }
}

void vacuum(pg::Connection& connection) {
  connection.query("vacuum (analyze) public.users");
}

}  // namespace

bool is_prepared(const std::string& conninfo) {
  pg::Connection connection(target_of(conninfo));
  return is_demo(connection);
}

void prepare_demo(const std::string& conninfo, std::int64_t rows, const std::stop_token& stop) {
  pg::Connection connection(target_of(conninfo));
  connection.cancel_on_stop(stop);
  connection.script(k_settings);
  if (is_demo(connection)) {
    return;
  }
  refuse_others_tables(connection);
  // In one transaction: there are all users or none, and no tables but the demo's.
  connection.script(
      "begin; create schema ecmigrate_demo; create table ecmigrate_demo.facts (rows bigint not null, old_version_ended "
      "boolean not null default false)");
  load_users(connection, rows);
  connection.query("insert into ecmigrate_demo.facts (rows) values ($1)", {std::to_string(rows)});
  connection.query("commit");
  vacuum(connection);
}

void reset_demo(const std::string& conninfo, const std::stop_token& stop) {
  pg::Connection connection(target_of(conninfo));
  connection.cancel_on_stop(stop);
  connection.script(k_settings);
  const std::int64_t rows = read_facts(connection).rows;
  // The journal stays, empty: who reads it need not find out that it is a new one.
  connection.script(
      fmt::format("begin; drop table if exists public.users cascade; drop table if exists public.{};"
                  "do $$ declare found text; begin "
                  "for found in select p.oid::regprocedure::text from pg_catalog.pg_proc p join "
                  "pg_catalog.pg_namespace n on n.oid = p.pronamespace where n.nspname = 'ecmigrate' loop "
                  "execute 'drop function ' || found; end loop; "
                  "for found in select c.oid::regclass::text from pg_catalog.pg_class c join pg_catalog.pg_namespace n "
                  "on n.oid = c.relnamespace "
                  "where n.nspname = 'ecmigrate' and c.relkind = 'r' and c.relname <> 'journal' loop execute 'delete "
                  "from ' || found; end loop; end $$;"
                  "update ecmigrate_demo.facts set old_version_ended = false",
                  k_naive_table));
  load_users(connection, rows);
  connection.query("commit");
  vacuum(connection);
}

DemoFacts read_facts(pg::Connection& connection) {
  const pg::Rows rows = connection.query("select rows, old_version_ended from ecmigrate_demo.facts");
  if (rows.size() != 1) {
    throw Error(Outcome::refused, "ecmigrate_demo.facts does not say what is in this database",
                "Drop the database, and start the demo again.");
  }
  return {rows.integer(0, 0), rows.boolean(0, 1)};
}

void write_old_version_ended(pg::Connection& connection, bool ended) {
  connection.query("update ecmigrate_demo.facts set old_version_ended = $1", {ended ? "true" : "false"});
}

void copy_users(pg::Connection& connection) {
  drop_copy(connection);
  const bool contracted = connection
                              .query(
                                  "select count(*) from pg_catalog.pg_attribute where attrelid = "
                                  "'public.users'::regclass and attname = 'full_name' "
                                  "and not attisdropped")
                              .integer(0, 0) == 0;
  const std::string_view full_name = contracted ? "concat_ws(' ', first_name, nullif(last_name, ''))" : "full_name";
  connection.script(fmt::format(
      "begin; create table public.{0} (id bigint generated by default as identity, full_name varchar(255) not null, "
      "email text not null, country char(2) not null, "
      "newsletter boolean not null default false, last_order_at timestamptz, created_at timestamptz not null default "
      "now()); "
      "insert into public.{0} (id, full_name, email, country, newsletter, last_order_at, created_at) "
      "select id, {1}, email, country, newsletter, last_order_at, created_at from public.users order by id; "
      "select setval(pg_get_serial_sequence('public.{0}', 'id'), (select coalesce(max(id), 1) from public.{0})); "
      "alter table public.{0} add primary key (id), add unique (email); create index on public.{0} (created_at); "
      "create index on public.{0} (country, last_order_at); commit",
      k_naive_table, full_name));
  connection.query(fmt::format("vacuum (analyze) public.{}", k_naive_table));
}

void drop_copy(pg::Connection& connection) {
  connection.script(fmt::format("set client_min_messages = warning; drop table if exists public.{}", k_naive_table));
}

WrittenUser write_user(pg::Connection& connection, Shape shape) {
  static constexpr std::array<std::pair<const char*, const char*>, 6> k_names{{{"Ada", "Lovelace"},
                                                                               {"José María", "García"},
                                                                               {"Grace", "Hopper"},
                                                                               {"Zoë", "O'Neil"},
                                                                               {"Li", "Wei"},
                                                                               {"Thandiwe", "van 't Hoff"}}};
  connection.script("set statement_timeout = '2s'; set search_path = public");
  const auto [given, family] = k_names[Random().below(k_names.size())];
  const auto now =
      std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::system_clock::now().time_since_epoch())
          .count();
  const std::string rest =
      fmt::format("{}, 'DE')", quote_literal(fmt::format("visitor-{}-{}@demo.example", now, connection.backend_pid())));
  WrittenUser written;
  written.text = shape == Shape::old_shape
                     ? fmt::format("insert into users (full_name, email, country) values ({}, {}",
                                   quote_literal(fmt::format("{} {}", given, family)), rest)
                     : fmt::format("insert into users (first_name, last_name, email, country) values ({}, {}, {}",
                                   quote_literal(given), quote_literal(family), rest);
  const std::string id = connection.query(written.text + " returning id").text(0, 0);
  const pg::Rows rows = connection.query(
      "select key, value from users u, jsonb_each_text(to_jsonb(u)) with ordinality where u.id = $1 and key in ('id', "
      "'full_name', 'first_name', 'last_name') "
      "order by pg_catalog.array_position(array['id', 'full_name', 'first_name', 'last_name'], key)",
      {id});
  for (int row = 0; row < rows.size(); ++row) {
    written.row.emplace_back(rows.text(row, 0), rows.maybe(row, 1));
  }
  return written;
}

MigrationShape planned_shape() {
  struct Column {
    const char* name;
    const char* type;
    bool nullable;
    ColumnView::Side side;
    const char* fate;
  };
  using enum ColumnView::Side;
  static constexpr std::array<Column, 9> k_columns{
      {{"id", "bigint", false, kept, ""},
       {"full_name", "character varying(255)", false, old_shape, "dropped at contract"},
       {"email", "text", false, kept, ""},
       {"country", "character(2)", false, kept, ""},
       {"newsletter", "boolean", false, kept, ""},
       {"last_order_at", "timestamp with time zone", true, kept, ""},
       {"created_at", "timestamp with time zone", false, kept, ""},
       {"first_name", "text", true, new_shape, "not null at contract"},
       {"last_name", "text", true, new_shape, "not null at contract"}}};
  MigrationShape shape;
  const QualifiedName users{"public", "users"};
  shape.tables = {users};
  shape.sampled = users;
  shape.key = {"id"};
  shape.triggers = {{users, {}}};
  for (const Column& column : k_columns) {
    ColumnView view;
    view.relation = users;
    view.name = column.name;
    view.type = column.type;
    view.nullable = column.nullable;
    view.side = column.side;
    view.fate = column.fate;
    shape.columns.push_back(std::move(view));
  }
  return shape;
}

}  // namespace ecmigrate::scene
