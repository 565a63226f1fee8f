#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "ecmigrate/fill/passes.hpp"
#include "ecmigrate/fill/relation_rows.hpp"
#include "ecmigrate/model/recipe.hpp"
#include "ecmigrate/pace/oldest_snapshot.hpp"
#include "ecmigrate/session/session.hpp"
#include "ecmigrate/store/walks.hpp"

namespace ecmigrate {

/// Chooses for each window of a relation how often it is swept, by a sample of its pages and by what earlier windows
/// showed, and tells it when the reason changes. Asks on the session's own connection.
class PassChooser {
 public:
  /// Borrows all of them.
  PassChooser(Session& session, const SyncedTable& table, const QualifiedName& relation, SnapshotWatch& snapshots)
      : m_session(session), m_table(table), m_relation(relation), m_snapshots(snapshots) {}

  /// Before the first window of a round.
  void begin(const RelationFacts& facts);
  /// For pages `first` to before `end`. `backends`: all server processes of ours.
  Passes choose(const WalkRecord& walk, std::int64_t first, std::int64_t end, const std::vector<int>& backends);
  /// From a window that is done: whether its rows stayed on their pages, and by how much a row grew.
  void learn_from(const WindowRecord& window);

 private:
  PageSample sample(std::int64_t first, std::int64_t end);
  [[nodiscard]] std::string indexed_new_column();
  std::string old_snapshot(const std::vector<int>& backends);

  Session& m_session;
  const SyncedTable& m_table;
  const QualifiedName& m_relation;
  SnapshotWatch& m_snapshots;
  RelationFacts m_facts;
  std::string m_obstacle;  ///< of all windows to come
  std::string m_told_reason;
  std::optional<double> m_growth;  ///< of a row that is filled, by the first window that was
  double m_row_bytes = 0;          ///< of the last sample before its window was filled
};

}  // namespace ecmigrate
