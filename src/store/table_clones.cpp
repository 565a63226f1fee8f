#include "ecmigrate/store/table_clones.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "ecmigrate/base/text.hpp"

namespace ecmigrate {

namespace {

std::string replaced(std::string text, const std::string& from, const std::string& to) {
  for (std::size_t at = 0; (at = text.find(from, at)) != std::string::npos; at += to.size()) {
    text.replace(at, from.size(), to);
  }
  return text;
}

// The part of CREATE INDEX after the table's name.
constexpr const char* k_index_tail = R"(
substr(pg_get_indexdef(i.oid), length(format('CREATE %sINDEX %I ON %s%I.%I', case when x.indisunique then 'UNIQUE ' else '' end,
  i.relname, case when i.relkind = 'I' then 'ONLY ' else '' end, n.nspname, c.relname)) + 1))";

constexpr const char* k_from_index = R"(
from pg_index x join pg_class i on i.oid = x.indexrelid join pg_class c on c.oid = x.indrelid join pg_namespace n on n.oid = c.relnamespace)";

}  // namespace

TableClones::TableClones(pg::Connection& connection, const std::vector<QualifiedName>& tables,
                         const std::vector<QualifiedName>& neighbours)
    : m_connection(connection) {
  const std::string path = connection.query("select pg_catalog.current_setting('search_path')").text(0, 0);
  connection.query("set local search_path = pg_catalog");
  for (const QualifiedName& table : tables) {
    copy(table);
  }
  std::vector<QualifiedName> others = neighbours;
  for (const QualifiedName& table : tables) {
    std::ranges::copy(referenced(table), std::back_inserter(others));
  }
  for (const QualifiedName& other : others) {
    if (!m_clones.contains(other)) {
      copy_neighbour(other);
    }
  }
  for (const QualifiedName& table : tables) {
    copy_constraints(table, "f", false);
  }
  connection.query("select pg_catalog.set_config('search_path', $1, true)", {path});
}

std::string TableClones::clone_name(const QualifiedName& table) {
  const std::string own = "pg_temp." + quote_identifier(table.name);
  const bool taken = std::ranges::any_of(m_clones, [&](const auto& clone) { return clone.second == own; });
  const std::string name = taken ? fmt::format("pg_temp.ecmigrate_clone_{}", m_clones.size()) : own;
  m_clones.emplace(table, name);
  m_replaced.emplace(table.sql(), name);
  const pg::Rows printed = m_connection.query("select format('%I.%I', $1::text, $2::text)", {table.schema, table.name});
  m_unquoted.emplace(printed.text(0, 0), name);
  return name;
}

void TableClones::expect_index(const QualifiedName& index) {
  m_replaced.emplace(index.sql(), "pg_temp." + quote_identifier(index.name));
}

std::string TableClones::aimed(std::string sql) const {
  for (const auto& [name, clone] : m_replaced) {
    sql = replaced(std::move(sql), name, clone);
  }
  for (const auto& [name, clone] : m_unquoted) {
    sql = replaced(std::move(sql), "REFERENCES " + name + "(", "REFERENCES " + clone + "(");
  }
  return sql;
}

void TableClones::copy(const QualifiedName& table) {
  const pg::Rows facts = m_connection.query(
      "select p.partstrat, pg_get_partkeydef(p.partrelid) from pg_partitioned_table p where p.partrelid = "
      "$1::regclass",
      {table.sql()});
  const bool partitioned = facts.size() > 0;
  // Checks are made one by one, as LIKE would take one that is not valid for valid.
  m_connection.query(fmt::format(
      "create temp table {} (like {} including all excluding constraints excluding indexes excluding comments){}",
      clone_name(table), table.sql(), partitioned ? " partition by " + facts.text(0, 1) : std::string()));
  if (partitioned) {
    copy_partition(table, facts.text(0, 0).front());
  }
  copy_sequences(table);
  copy_constraints(table, "puxc", false);
  copy_indexes(table, false);
}

void TableClones::copy_partition(const QualifiedName& table, char strategy) {
  const std::string name = fmt::format("pg_temp.ecmigrate_partition_{}", ++m_partitions);
  m_connection.query(fmt::format("create temp table {} partition of {} {}", name, sql_of(table),
                                 strategy == 'h' ? "for values with (modulus 1, remainder 0)" : "default"));
  const pg::Rows own = m_connection.query(
      fmt::format("select distinct {} {} where x.indrelid in (select relid from pg_partition_tree($1::regclass) where "
                  "isleaf) and not exists (select from pg_inherits h where h.inhrelid = i.oid)",
                  k_index_tail, k_from_index),
      {table.sql()});
  for (int row = 0; row < own.size(); ++row) {
    m_connection.query(fmt::format("create index on {}{}", name, own.text(row, 0)));
  }
}

void TableClones::copy_neighbour(const QualifiedName& table) {
  // What a foreign key can point at, and no more: the role may see the catalog, but perhaps not the table.
  const pg::Rows columns = m_connection.query(
      R"(select quote_ident(a.attname) || ' ' || format_type(a.atttypid, a.atttypmod) ||
  coalesce((select format(' collate %I.%I', n.nspname, l.collname) from pg_collation l join pg_namespace n on n.oid = l.collnamespace
    where l.oid = a.attcollation), '')
from pg_attribute a where a.attrelid = $1::regclass and a.attnum > 0 and not a.attisdropped and exists (select from pg_index x
  where x.indrelid = a.attrelid and x.indisunique and x.indpred is null and x.indexprs is null and a.attnum = any (x.indkey))
order by a.attnum)",
      {table.sql()});
  std::vector<std::string> definitions;
  for (int row = 0; row < columns.size(); ++row) {
    definitions.push_back(columns.text(row, 0));
  }
  m_connection.query(fmt::format("create temp table {} ({})", clone_name(table), join(definitions, ", ")));
  copy_constraints(table, "pu", true);
  copy_indexes(table, true);
}

void TableClones::copy_indexes(const QualifiedName& table, bool neighbour) {
  const pg::Rows rows = m_connection.query(
      fmt::format("select i.relname, x.indisunique, {} {} where x.indrelid = $1::regclass and not exists (select from "
                  "pg_constraint k where k.conindid = i.oid and k.conrelid = x.indrelid and k.contype in ('p', 'u', "
                  "'x')) {} order by i.relname",
                  k_index_tail, k_from_index,
                  neighbour ? "and x.indisunique and x.indpred is null and x.indexprs is null" : ""),
      {table.sql()});
  for (int row = 0; row < rows.size(); ++row) {
    m_connection.query(fmt::format("create {}index {} on {}{}", rows.boolean(row, 1) ? "unique " : "",
                                   neighbour ? "" : quote_identifier(rows.text(row, 0)), sql_of(table),
                                   rows.text(row, 2)));
    expect_index({table.schema, rows.text(row, 0)});
  }
}

void TableClones::copy_constraints(const QualifiedName& table, const std::string& types, bool neighbour) {
  const pg::Rows rows = m_connection.query(
      "select conname, pg_get_constraintdef(oid), contype <> 'c' and contype <> 'f' from pg_constraint where conrelid "
      "= "
      "$1::regclass and position(contype::text in $2) > 0 order by conname",
      {table.sql(), types});
  for (int row = 0; row < rows.size(); ++row) {
    const std::string name = neighbour ? "" : "constraint " + quote_identifier(rows.text(row, 0)) + " ";
    m_connection.query(aimed(fmt::format("alter table {} add {}{}", table.sql(), name, rows.text(row, 1))));
    if (rows.boolean(row, 2)) {
      expect_index({table.schema, rows.text(row, 0)});
    }
  }
}

void TableClones::copy_sequences(const QualifiedName& table) {
  const pg::Rows rows = m_connection.query(
      R"(select s.relname, format('%I.%I', n.nspname, s.relname), quote_ident(a.attname)
from pg_depend d join pg_class s on s.oid = d.objid and s.relkind = 'S' join pg_namespace n on n.oid = s.relnamespace
  join pg_attribute a on a.attrelid = d.refobjid and a.attnum = d.refobjsubid
where d.classid = 'pg_class'::regclass and d.refclassid = 'pg_class'::regclass and d.refobjid = $1::regclass and d.deptype = 'a')",
      {table.sql()});
  for (int row = 0; row < rows.size(); ++row) {
    const std::string name = "pg_temp." + quote_identifier(rows.text(row, 0));
    m_connection.query(fmt::format("create temp sequence {} owned by {}.{}", name, sql_of(table), rows.text(row, 2)));
    m_replaced.emplace("alter sequence " + rows.text(row, 1) + " ", "alter sequence " + name + " ");
  }
}

std::vector<QualifiedName> TableClones::referenced(const QualifiedName& table) {
  const pg::Rows rows = m_connection.query(
      "select distinct n.nspname, c.relname from pg_constraint k join pg_class c on c.oid = k.confrelid join "
      "pg_namespace n on n.oid = c.relnamespace where k.conrelid = $1::regclass and k.contype = 'f'",
      {table.sql()});
  std::vector<QualifiedName> names;
  for (int row = 0; row < rows.size(); ++row) {
    names.push_back({rows.text(row, 0), rows.text(row, 1)});
  }
  return names;
}

std::vector<TableClones::Stored> TableClones::stored() {
  const pg::Rows rows = m_connection.query(
      "select coalesce((select p.relname from pg_catalog.pg_inherits h join pg_catalog.pg_class p on p.oid = "
      "h.inhparent "
      "where h.inhrelid = c.oid), c.relname), c.relkind = 'i', pg_catalog.pg_relation_filenode(c.oid)::text, "
      "pg_catalog.pg_stat_get_xact_numscans(c.oid) from pg_catalog.pg_class c "
      "where c.relnamespace = pg_catalog.pg_my_temp_schema() and c.relkind in ('r', 'i') order by 2, 1");
  std::vector<Stored> found;
  for (int row = 0; row < rows.size(); ++row) {
    found.push_back({rows.text(row, 0), rows.boolean(row, 1), rows.text(row, 2), rows.integer(row, 3)});
  }
  return found;
}

}  // namespace ecmigrate
