#pragma once

#include <chrono>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "ecmigrate/fill/pass_chooser.hpp"
#include "ecmigrate/fill/relation_rows.hpp"
#include "ecmigrate/fill/walk.hpp"
#include "ecmigrate/fill/walk_progress.hpp"
#include "ecmigrate/model/recipe.hpp"
#include "ecmigrate/session/session.hpp"
#include "ecmigrate/store/walks.hpp"

namespace ecmigrate {

/// The walk over one relation (a table, or a leaf of a partitioned one): which windows are open, who has which, and
/// what a batch's message is. Hands windows out to workers and takes them back; the session's own connection is for its
/// questions and must not be in use by a worker.
class RelationWalk {
 public:
  enum class Locked { fail, skip };

  /// Borrows session, table and snapshots.
  RelationWalk(Session& session, WalkJournal journal, const SyncedTable& table, QualifiedName relation,
               SnapshotWatch& snapshots);

  /// From where an earlier run stopped. `again`: from the start even if it was finished, to look at every page once.
  void begin_or_resume(bool again);
  [[nodiscard]] bool finished() const { return m_walk.finished; }

  /// A window to work on; nothing while there is none that no worker has. `workers`: how many there are; `backends`:
  /// all server processes of ours.
  std::optional<WindowRecord> take(int workers, const std::vector<int>& backends);
  /// A window that is not done, or is; the counters come with it.
  void give_back(const WindowRecord& window);
  /// When every window is done: opens those again in which rows were skipped, or finishes the walk and says so. Throws
  /// Error{busy} when another runner has it.
  bool finish_if_done();

  /// SQL of a batch: one transaction with its checkpoint. See batch_done() for the results.
  [[nodiscard]] std::string message(const WindowRecord& before, const WindowRecord& after, Locked locked) const;
  /// What the server answered.
  struct BatchResult {
    std::optional<std::pair<std::int64_t, std::int64_t>>
        sums;  ///< rows and HOT rows of the window; nothing when the checkpoint was refused
    std::int64_t rows = 0;
    double begin_ms = 0, end_ms = 0;  ///< on the server's clock
    double wal_before = 0, wal_after = 0;
  };
  static BatchResult read(const std::vector<pg::Rows>& results);
  /// The checkpoint was refused: throws Error{busy}, or begins again where the relation was rewritten.
  void find_out_who_moved();
  /// Counts a batch that is committed.
  void batch_done(const WindowRecord& before, const WindowRecord& after, const BatchResult& result, double wal_bytes);
  /// Once.
  void tell_slow_row(double took_ms);

  /// See the function of that name; `connection` is a worker's.
  WindowRecord next_batch(pg::Connection& connection, WindowRecord& window, double target_ms, std::int64_t most_pages);
  /// Which columns besides the filled ones a batch sets, as the table and the role's rights are now; take() does it
  /// too, every few seconds.
  void choose_columns();
  /// The batch between the two was far too long, or the server had no memory for it.
  void shrink_batches(const WindowRecord& before, const WindowRecord& after);
  /// Condition: the row waits for its new values.
  [[nodiscard]] std::string pending() const;
  /// The same without the rows that are set aside.
  [[nodiscard]] std::string work() const;
  [[nodiscard]] std::string update(const std::string& where) const;
  [[nodiscard]] const QualifiedName& relation() const { return m_relation; }
  [[nodiscard]] const SyncedTable& table() const { return m_table; }
  [[nodiscard]] WalkJournal& journal() { return m_journal; }
  /// Rows that are left alone, as they cannot be filled.
  std::vector<BadRow>& bad_rows() { return m_bad_rows; }
  [[nodiscard]] const std::vector<BadRow>& bad_rows() const { return m_bad_rows; }

  /// By page position, 0 to 1.
  [[nodiscard]] double part_done() const;
  [[nodiscard]] bool wrote() const { return m_progress.wrote(); }
  /// Why the walk is slow, from the side of the workers; empty when it is not.
  void slow(const std::string& because) { m_progress.slow(because); }
  event::Progress progress(const std::string& pace_because);
  event::WalkFinished summary() const;

 private:
  BatchSizer& sizer(const WindowRecord& window);

  Session& m_session;
  WalkJournal m_journal;
  const SyncedTable& m_table;
  QualifiedName m_relation;
  RelationFacts m_facts;
  WalkRecord m_walk;
  std::vector<WindowRecord> m_taken;  ///< as of their last checkpoint
  std::vector<BadRow> m_bad_rows;

  PassChooser m_chooser;
  std::chrono::milliseconds m_chose_columns{0};
  std::string m_set_to_themselves;  ///< further columns of the SET list, see bottom_up_deletion.hpp
  /// A size for each kind of visit, or every window would begin with a batch that is several times too long.
  std::map<std::pair<int, bool>, BatchSizer> m_sizers;
  WalkProgress m_progress;
  bool m_told_slow_row = false;
  double m_wal_carry = 0;  ///< of the last batches of windows, which their checkpoints could not know
};

}  // namespace ecmigrate
