#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "ecmigrate/model/plan.hpp"
#include "ecmigrate/model/recipe.hpp"
#include "ecmigrate/model/state.hpp"
#include "ecmigrate/phases/missing.hpp"
#include "ecmigrate/session/session.hpp"
#include "ecmigrate/store/journal.hpp"

namespace ecmigrate {

struct CurrentRun;

/// One migration on one database: its phases, each of which goes on where an earlier run of it ended, does nothing when
/// it is done, and refuses when it is not its turn. Every phase throws what the session and the step runner throw, and
/// Error{refused} when the plan is not the one the migration was started with.
class Migration {
 public:
  /// Borrows both. `command`: what the journal keeps of the run as its command; empty: the phase that opens it.
  Migration(Session& session, const Plan& plan, std::string command = {});
  ~Migration();
  Migration(const Migration&) = delete;
  Migration& operator=(const Migration&) = delete;

  /// What the plan means for this database now. Changes nothing; throws what expand would throw before it begins, but
  /// for what is missing().
  Recipe compile();
  /// What the rest of the migration needs and does not find. After compile().
  std::vector<Missing> missing(const Recipe& recipe);

  void expand();
  /// For a backfill that follows at once: also throws, before anything is written, what would refuse that.
  void expand_to_fill();
  /// When it is done already, looks at every row once more and fills what it finds pending.
  void backfill();
  void backfill_if_needed();
  void verify();
  void contract();
  void rollback();

  /// The journal's number of this run; 0 before a phase has opened it.
  [[nodiscard]] std::int64_t run_id() const;
  /// Writes into the journal how the run ended.
  void end(const RunEnd& end);
  /// Nothing before the migration was begun.
  [[nodiscard]] std::optional<State> state();
  /// Whether a phase changed anything in the database (the journal aside).
  [[nodiscard]] bool changed() const;

 private:
  std::unique_ptr<CurrentRun> m_run;
};

}  // namespace ecmigrate
