#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "ecmigrate/fill/walk.hpp"
#include "ecmigrate/model/recipe.hpp"
#include "ecmigrate/session/session.hpp"

namespace ecmigrate {

/// Writes rows of one relation anew, on the session's own connection, in batches as short as the backfill's: a client
/// that wants a row waits for one batch.
class Repair {
 public:
  /// Borrows session and relation.
  Repair(Session& session, const QualifiedName& relation, bool replace_replication_role);

  /// Sets what the list says where the condition holds, on pages `from` to before `to`; gives how many rows that were.
  /// Throws Error{lock_not_obtained} when a row stays locked for longer than the lock budget.
  std::int64_t run(const std::string& set, const std::string& condition, std::int64_t from, std::int64_t to);

 private:
  /// Where a batch that was not done stands.
  struct Tries {
    int failed = 0;
    bool skip_locked = false;
    std::optional<std::chrono::milliseconds> waiting_since;
  };

  [[nodiscard]] std::string message(const std::string& set, const std::string& where,
                                    std::chrono::milliseconds timeout) const;
  void recover(const WindowRecord& before, const WindowRecord& after, Tries& tries, const pg::SqlError& error);

  Session& m_session;
  const QualifiedName& m_relation;
  std::chrono::milliseconds m_target;
  BatchSizer m_sizer;
  std::string m_role;  ///< SQL that keeps the other triggers of the table quiet, where that may be
};

}  // namespace ecmigrate
