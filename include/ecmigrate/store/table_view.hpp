#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "ecmigrate/model/event.hpp"
#include "ecmigrate/pg/connection.hpp"
#include "ecmigrate/store/read_model.hpp"

/// What the catalog and the server's statistics say of a migration's tables, for people. Every call is one statement.
/// None locks, counts or scans a table of the user's, but for the sample, which reads a few rows by their key.
namespace ecmigrate {

/// A column as it is now.
struct ColumnFacts {
  std::string name;
  std::string type;
  bool nullable = true;
  std::optional<double> null_share;  ///< 0 to 1, by the planner's statistics
};

struct TableFacts {
  std::int64_t oid = 0;
  std::optional<std::int64_t>
      rows;                ///< by the planner's statistics, of all partitions; nothing before the first ANALYZE
  std::int64_t bytes = 0;  ///< of the rows, without indexes, as of the last VACUUM or ANALYZE
  std::map<int, ColumnFacts> columns;    ///< by their number
  std::map<std::string, char> triggers;  ///< pg_trigger.tgenabled by name
};

/// The tables of a shape that are there.
std::map<QualifiedName, TableFacts> read_tables(pg::Connection& connection, const MigrationShape& shape);

/// The keys of some rows, spread evenly over the table's pages; fewer where pages are empty. Rows of keys as text.
std::vector<std::vector<std::string>> pick_keys(pg::Connection& connection, const MigrationShape& shape, int count);

struct SampleRow {
  std::vector<std::optional<std::string>>
      values;  ///< of the key's columns, then of those asked for; at most 400 characters each
  enum class Compared { equal, pending, differs, not_compared } compared = Compared::not_compared;
};
/// `columns`: of the sampled table, as they are named now. Rows that are gone are left out.
std::vector<SampleRow> read_sample(pg::Connection& connection, const MigrationShape& shape,
                                   const std::vector<std::vector<std::string>>& keys,
                                   const std::vector<std::string>& columns, bool compare);

/// A session that waits for a lock, or that others wait for.
struct WaitingSession {
  Blocker session;
  double waited_ms = 0;        ///< 0: it does not wait
  std::vector<int> waits_for;  ///< pids; 0 is a prepared transaction
  bool ours = false;           ///< a session of ecmigrate
};
struct Waiting {
  std::vector<WaitingSession>
      sessions;          ///< of those that wait the 100 whose statement is oldest: to ask for each costs the server
  bool sees_all = true;  ///< false: only the role's own sessions are seen
  std::vector<std::int64_t> locked_tables;  ///< oids of tables with an ACCESS EXCLUSIVE lock, held or asked for
};
Waiting read_waiting(pg::Connection& connection);

}  // namespace ecmigrate
