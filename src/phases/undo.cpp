#include "ecmigrate/phases/undo.hpp"

#include <algorithm>
#include <utility>

namespace ecmigrate {

namespace {

bool is_there(pg::Connection& connection, const QualifiedName& relation) {
  return !connection.query("select pg_catalog.to_regclass($1) is null", {relation.sql()}).boolean(0, 0);
}

/// Whether the index is there, on a table of the migration.
bool is_of_migration(pg::Connection& connection, const QualifiedName& index, const std::vector<TableFate>& fates) {
  const pg::Rows rows = connection.query(
      "select n.nspname, c.relname from pg_catalog.pg_index i join pg_catalog.pg_class c on c.oid = i.indrelid join "
      "pg_catalog.pg_namespace n on n.oid = c.relnamespace where i.indexrelid = pg_catalog.to_regclass($1)",
      {index.sql()});
  if (rows.size() == 0) {
    return false;
  }
  const QualifiedName table{rows.text(0, 0), rows.text(0, 1)};
  return std::ranges::any_of(
      fates, [&](const TableFate& fate) { return !fate.gone() && (fate.table == table || fate.now == table); });
}

}  // namespace

std::vector<Step> begun_undos(pg::Connection& connection, const MigrationRecord& record,
                              const std::vector<TableFate>& fates) {
  // What was never begun need not be undone, and might be somebody else's by now.
  Journal journal(connection);
  Recipe begun = record.recipe;
  for (const auto& [phase, steps] : {std::pair("expand", &begun.expand), std::pair("after_fill", &begun.after_fill),
                                     std::pair("before_contract", &begun.before_contract)}) {
    const std::vector<std::string> ids = journal.started_steps(record.name, phase);
    std::erase_if(*steps, [&](const Step& step) { return std::ranges::find(ids, step.id) == ids.end(); });
  }
  std::vector<Step> undos = undo_steps(begun);
  std::erase_if(undos, [&](const Step& undo) {
    return undo.kind == Action::Kind::index_drop && !is_of_migration(connection, *undo.index, fates);
  });
  for (Step& undo : undos) {
    if (std::ranges::any_of(undo.locks, [&](const LockRequest& lock) { return is_gone(fates, lock.relation); })) {
      // A table takes all but functions and sequences along.
      std::erase_if(undo.sql, [](const std::string& sql) {
        return !sql.starts_with("drop function if exists ") && !sql.starts_with("drop sequence if exists ");
      });
      undo.locks.clear();
    }
    // A table that a foreign key pointed at.
    std::erase_if(undo.locks, [&](const LockRequest& lock) { return !is_there(connection, lock.relation); });
  }
  return undos;
}

}  // namespace ecmigrate
