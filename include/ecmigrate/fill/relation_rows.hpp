#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "ecmigrate/base/quote.hpp"
#include "ecmigrate/model/recipe.hpp"
#include "ecmigrate/pg/connection.hpp"

namespace ecmigrate {

/// What a backfill of the relation is planned by.
struct RelationFacts {
  std::int64_t oid = 0;
  std::int64_t filenode = 0;
  std::int64_t pages = 0;
  double page_bytes = 8192;
  std::int64_t rows = 0;  ///< by the last ANALYZE or VACUUM; 0 without one
  bool toasted = false;   ///< values are stored outside of their rows
  int indexes = 0;
};
RelationFacts relation_facts(pg::Connection& connection, const QualifiedName& relation);

/// `this.ctid >= '(from,0)' and this.ctid < '(to,0)'`: a TID range scan, which also prunes the pages it visits.
std::string page_range(std::int64_t from, std::int64_t to);
/// The same from a line pointer of a page to before one.
std::string line_range(std::int64_t from, int from_line, std::int64_t to, int to_line);
/// The same rows without those that somebody holds.
std::string unlocked_rows(const QualifiedName& relation, const std::string& where);

/// Text expression that names a row: `id=42`, or its place where the table has no primary key.
std::string row_key(const std::vector<std::string>& key);

/// The columns that a backfill of the table writes.
std::vector<std::string> filled_columns(const SyncedTable& table);

/// SET list that fills what is pending, and only that, of every mapping of the table.
std::string fill_pending(const SyncedTable& table);

/// Whether the application has triggers that an UPDATE of the relation fires now, in a session whose
/// session_replication_role is replica or in one of the usual kind: some may have come after expand, and those that are
/// ENABLE ALWAYS fire in both.
bool update_triggers_fire(pg::Connection& connection, const QualifiedName& relation, bool as_replica);

/// What a transaction that writes rows of the relation begins with: keeps the application's triggers quiet where that
/// is wanted, and lets those that fire all the same find their tables by bare names.
std::string writer_settings(pg::Connection& connection, const QualifiedName& relation, bool as_replica);

}  // namespace ecmigrate
