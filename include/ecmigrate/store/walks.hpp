#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "ecmigrate/base/quote.hpp"
#include "ecmigrate/pg/connection.hpp"

namespace ecmigrate {

/// What batches did.
struct Written {
  std::int64_t rows = 0;
  std::int64_t hot_rows = 0;  ///< of these, rewritten in place
  std::int64_t batches = 0;
  double wal_bytes = 0;

  Written& operator+=(const Written& more);
  friend Written operator-(const Written& all, const Written& part) {
    return {all.rows - part.rows, all.hot_rows - part.hot_rows, all.batches - part.batches,
            all.wal_bytes - part.wal_bytes};
  }
  /// 0 to 1; 0 without rows.
  [[nodiscard]] double hot_share() const {
    return rows == 0 ? 0 : static_cast<double>(hot_rows) / static_cast<double>(rows);
  }
};

/// A range of pages that one worker at a time sweeps, `passes` times. Kept in the transaction of the batch it
/// describes.
struct WindowRecord {
  std::int64_t first = 0;
  std::int64_t end = 0;  ///< one past the last page
  int passes = 1;
  double shrink = 1;  ///< rows of a pass for one of the pass before
  int pass = 0;
  std::int64_t page = 0;  ///< the next one
  /// Where in `page` to go on, and its last row's line pointer, while the page is done in parts. Not kept: another run
  /// begins the page again.
  int line = 0;
  int last_line = 0;
  bool sweeping = false;  ///< opened again, for rows that were locked the first time
  bool skipped = false;   ///< locked rows were left behind
  bool done = false;
  Written written;
};

/// Where a walk over one relation stands. Its windows lie side by side from page 0 to `next`, in the order in which
/// they were opened; what is not among the open ones is done.
struct WalkRecord {
  int round = 0;              ///< counts how often the walk began anew
  std::int64_t filenode = 0;  ///< of the relation when the round began; another one means the rows have moved
  std::int64_t pages = 0;     ///< read after the sync trigger was committed: no row without it lives beyond
  std::int64_t next = 0;      ///< first page that no window has yet
  bool finished = false;
  bool again = false;  ///< the round looks once more at a relation that was finished
  std::vector<WindowRecord> open;
  Written written;  ///< in windows that are done, and in all rounds before this one
};

/// A row that cannot be filled, as its expressions raise.
struct BadRow {
  std::string ctid;
  std::string key;  ///< "id=42"
  std::string sqlstate;
  std::string error;
};

/// The journal's part about walks over relations. Borrows the connection. `run` fences: who claims a walk takes it from
/// the runner before, whose next window or checkpoint is then refused.
class WalkJournal {
 public:
  WalkJournal(pg::Connection& connection, std::string migration, std::int64_t run)
      : m_connection(connection), m_migration(std::move(migration)), m_run(run) {}

  std::optional<WalkRecord> claim(const QualifiedName& relation);
  /// Starts a round from page 0, and forgets bad rows, whose places may have changed.
  void begin(const QualifiedName& relation, const WalkRecord& walk);
  /// Adds the window behind the last one. False when the walk is another runner's now.
  bool open_window(const QualifiedName& relation, const WalkRecord& walk, const WindowRecord& window);
  /// Opens the windows again in which locked rows were left, to be swept in one pass.
  std::vector<WindowRecord> reopen_skipped(const QualifiedName& relation, const WalkRecord& walk);
  /// False when the walk is another runner's now, the relation was rewritten, or a window is left.
  bool finish(const QualifiedName& relation, const WalkRecord& walk);

  /// To be run before a batch's UPDATE: the server's counters also hold earlier transactions whose numbers the
  /// session has not handed in yet, so only a difference says what the batch did.
  static std::string before_sql(std::int64_t relation_oid);
  /// Checkpoint of a batch, in its transaction; rows and hot_rows are counted by the server. Gives one row with both
  /// sums, or none when the walk is another runner's now, or the relation was rewritten since the round began.
  [[nodiscard]] std::string checkpoint_sql(const QualifiedName& relation, std::int64_t relation_oid,
                                           const WalkRecord& walk, const WindowRecord& window) const;

  std::vector<BadRow> bad_rows(const QualifiedName& relation);
  void add_bad_row(const QualifiedName& relation, const BadRow& row);
  void remove_bad_row(const QualifiedName& relation, const std::string& ctid);

 private:
  [[nodiscard]] std::string of_window(const QualifiedName& relation, const WalkRecord& walk) const;

  pg::Connection& m_connection;
  std::string m_migration;
  std::int64_t m_run;
};

/// Where the rows of a table are now (itself, or the leaves of its partitions), each with whether its walk is finished.
std::vector<std::pair<QualifiedName, bool>> leaves(pg::Connection& connection, const std::string& migration,
                                                   const QualifiedName& table);
/// SQL condition: a partition has come since the backfill, and its rows were never looked at.
std::string unwalked_sql(const std::string& migration, const QualifiedName& table);

}  // namespace ecmigrate
