#pragma once

#include <chrono>
#include <memory>
#include <string>

#include "ecmigrate/base/quote.hpp"
#include "ecmigrate/model/recipe.hpp"
#include "ecmigrate/pace/oldest_snapshot.hpp"
#include "ecmigrate/session/session.hpp"

namespace ecmigrate {

/// Has the server clear away the dead rows of a backfill while it runs, where that pays: where rows stay on their
/// pages, their old versions are cleared by the next visit and little is left to do; where they move, the room they
/// leave is used again only after a VACUUM, and without one the table doubles.
class Upkeep {
 public:
  /// Borrows both.
  Upkeep(Session& session, SnapshotWatch& snapshots) : m_session(session), m_snapshots(snapshots) {}
  ~Upkeep();
  Upkeep(const Upkeep&) = delete;
  Upkeep& operator=(const Upkeep&) = delete;

  /// Call as often as you like: it looks every few seconds. Starts a VACUUM, on a connection of its own and without
  /// waiting for it, when a fifth of the relation's rows are dead (as autovacuum does), nobody's snapshot keeps them,
  /// and a tenth of the walk or more is left to use the room.
  void consider(const QualifiedName& relation, double part_done, const std::vector<int>& backends);
  /// Cancels the vacuum that runs when somebody waits behind it, as the server does with its own. Call it often.
  void give_way();
  /// The server's process of the VACUUM, if there is one.
  [[nodiscard]] std::vector<int> backends() const;

 private:
  [[nodiscard]] bool pays(const QualifiedName& relation, const std::vector<int>& backends);
  void start(const QualifiedName& relation);

  Session& m_session;
  SnapshotWatch& m_snapshots;
  std::unique_ptr<pg::Connection> m_connection;
  bool m_running = false;
  bool m_gave_way = false;  ///< it was cancelled and has not ended yet
  std::chrono::milliseconds m_looked_behind{0};
  std::string m_relation;   ///< of the last VACUUM
  double m_dead_after = 0;  ///< what it left
  std::chrono::milliseconds m_looked{0};
};

/// Gives the planner statistics of the new columns, before the application's queries turn to them.
void analyze_new_columns(Session& session, const SyncedTable& table);

}  // namespace ecmigrate
