#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "ecmigrate/fill/relation_walk.hpp"
#include "ecmigrate/fill/upkeep.hpp"
#include "ecmigrate/pace/pacer.hpp"
#include "ecmigrate/session/session.hpp"

namespace ecmigrate {

/// Fills the pending rows of several relations, from where an earlier run stopped. One thread keeps all workers busy;
/// each has a connection of its own, on which one batch at a time is under way.
class Backfill {
 public:
  /// `again`: relations that are finished are looked at once more, in one pass.
  Backfill(Session& session, std::string migration, std::int64_t run, bool replace_replication_role, bool again);

  void add(const SyncedTable& table, const QualifiedName& relation);

  /// Throws pg::Stopped at a checkpoint, Error{failed} naming the row that cannot be filled, Error{lock_not_obtained}
  /// when a row stays locked, Error{busy} when another runner has taken over. Gives whether it wrote anything.
  bool run();
  /// Rows that were set aside as they cannot be filled.
  [[nodiscard]] std::vector<BadRow> bad_rows() const;

 private:
  struct Worker {
    std::unique_ptr<pg::Connection> connection;
    std::chrono::milliseconds lock_timeout{0}, statement_timeout{0};  ///< as set on the connection
    RelationWalk* walk = nullptr;                                     ///< whose window it has; null without one
    WindowRecord window;                                              ///< as of its last checkpoint
    std::optional<WindowRecord> under_way;                            ///< what it is after the batch that was sent
    std::chrono::milliseconds sent{0};
    RelationWalk::Locked locked = RelationWalk::Locked::fail;
    int tries = 0;
    std::optional<std::chrono::milliseconds> waiting_since;  ///< for a row that stays locked
    std::chrono::milliseconds not_before{0};
  };

  [[nodiscard]] bool finished() const;
  void begin();
  void go_on();
  void finish_walks();
  void give_work();
  bool find_window(Worker& worker);
  void return_window(Worker& worker);
  [[nodiscard]] bool triggers_fire();
  bool open_connection(Worker& worker);
  void send(Worker& worker);
  void wait();
  void receive(Worker& worker);
  void checkpointed(Worker& worker, WindowRecord after, const RelationWalk::BatchResult& result);
  void recover(Worker& worker, const WindowRecord& after, const pg::SqlError& error);
  /// The same batch, so often at most.
  static void try_again(Worker& worker, const pg::SqlError& error);
  /// Again, with less at once.
  static void try_smaller(Worker& worker, const WindowRecord& after, const pg::SqlError& error);
  /// Lets the server give up what takes too long.
  static void set_timeouts(Worker& worker, std::chrono::milliseconds lock, std::chrono::milliseconds statement);
  void wait_for_row(Worker& worker, const pg::SqlError& error);
  void connect_again(const pg::SqlError& error);
  /// Reads all unfinished walks from the journal, but one.
  void begin_again(const RelationWalk* but);
  /// Every batch that is under way ends, one way or another; afterwards the journal alone says where the walks are.
  void drain();
  [[nodiscard]] int wanted_workers();
  void report(bool now);
  /// All server processes of ours, so that nobody takes them for the application's.
  [[nodiscard]] std::vector<int> backends() const;

  Session& m_session;
  std::string m_migration;
  std::int64_t m_run;
  bool m_replace_role;
  bool m_again;
  SnapshotWatch m_snapshots;  ///< what one looks at for everybody
  std::vector<std::unique_ptr<RelationWalk>> m_walks;
  std::vector<Worker> m_workers;
  int m_default_workers;
  int m_most_workers = 64;  ///< fewer when the server has no connections left
  Pacer m_pacer;
  Upkeep m_upkeep;
  std::chrono::milliseconds m_wait{0};  ///< until the pacer wants to be asked again
  std::string m_pace_because;
  double m_wal_counted = 0;  ///< LSN up to which WAL is counted: the workers' batches overlap
  int m_reconnects = 0;
  bool m_begun = false;
  bool m_stale = false;  ///< the journal has to be read again, after a lost connection
  std::chrono::milliseconds m_reported{0};
};

/// How many workers there are when nobody says: half the cores, 1 to 4, of a server on this machine. Of another
/// machine's cores the server says nothing, and one worker never does harm.
int default_workers(const pg::Connection& connection);

}  // namespace ecmigrate
