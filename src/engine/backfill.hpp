#pragma once

#include <optional>
#include <string>
#include <vector>

#include "ecmigrate/engine/session.hpp"
#include "ecmigrate/engine/walk.hpp"
#include "ecmigrate/model/recipe.hpp"
#include "ecmigrate/store/journal.hpp"
#include "pacer.hpp"

namespace ecmigrate {

/// Fills the pending rows of one relation (a table, or a leaf of a partitioned one), from where an earlier run stopped.
class Backfill {
 public:
  Backfill(Session& session, Journal& journal, std::string migration, std::int64_t run, const SyncedTable& table,
           QualifiedName relation, bool replace_replication_role);

  /// Throws pg::Stopped at a checkpoint, Error{failed} naming the row that cannot be filled, Error{lock_not_obtained}
  /// when a row stays locked, Error{busy} when another runner has taken over. Gives whether it wrote anything.
  bool run();

 private:
  enum class Locked { fail, skip };

  void begin_or_resume();
  void set_order();
  void walk();
  void batch();
  /// A size for each, or every window would begin with a batch that is several times too long.
  [[nodiscard]] BatchSizer& sizer() { return m_walk.pass == 0 ? m_first_visits : m_later_visits; }
  void sweep_again(const pg::SqlError& error);
  [[nodiscard]] std::string statement(std::int64_t from, std::int64_t to, Locked locked) const;
  [[nodiscard]] std::string message(std::int64_t to, const WalkRecord& next, Locked locked) const;
  void send(std::int64_t to, Locked locked);
  [[nodiscard]] WalkRecord after(std::int64_t to) const;
  void finish();
  /// The checkpoint was refused: the relation was rewritten, or the walk is another runner's now.
  void find_out_who_moved();
  /// Longest wait for a row: shorter than the server takes to look for a deadlock, so that the runner is in none.
  [[nodiscard]] std::int64_t row_lock_timeout() const;
  void connect_again(const pg::SqlError& error);
  void recover(const pg::SqlError& error, std::int64_t to);
  [[noreturn]] void name_bad_row(std::int64_t from, std::int64_t to, const pg::SqlError& error);
  bool raises(const std::string& condition);
  void report_progress(bool last);
  [[nodiscard]] std::int64_t filenode_and_pages(std::int64_t& pages);

  Session& m_session;
  Journal& m_journal;
  std::string m_migration;
  std::int64_t m_run;
  const SyncedTable& m_table;
  QualifiedName m_relation;
  bool m_replace_role;

  WalkRecord m_walk;
  PageOrder m_order;
  BatchSizer m_first_visits;  ///< they move rows to other pages, which takes several times as long
  BatchSizer m_later_visits;
  Pacer m_pacer;
  Eta m_eta;
  std::vector<double> m_batch_ms;
  std::int64_t m_rows_before = 0;
  double m_rows_estimated = 0;
  std::chrono::milliseconds m_begin{0};
  std::chrono::milliseconds m_reported{0};
  std::int64_t m_batch_rows = 0;
  double m_wal_begin = 0;
  double m_percent = 0;
  Locked m_locked = Locked::fail;
  int m_tries = 0;
  std::string m_pace_because;
  std::optional<std::chrono::milliseconds> m_waiting_since;
  std::string m_slow_because;
};

}  // namespace ecmigrate
