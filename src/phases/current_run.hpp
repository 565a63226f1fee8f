#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "ecmigrate/model/lifecycle.hpp"
#include "ecmigrate/model/pace_limits.hpp"
#include "ecmigrate/model/plan.hpp"
#include "ecmigrate/session/session.hpp"
#include "ecmigrate/store/journal.hpp"

namespace ecmigrate {

/// One run of a command on one migration: where the migration stands by the journal, and the steps that move it on. The
/// phases, in the files beside, work on it.
struct CurrentRun {
  /// Borrows both. `told`: what the journal keeps of the run as its command; empty: the phase that opens it.
  CurrentRun(Session& session, const Plan& plan, std::string told);

  Session& session;
  const Plan& plan;
  Journal journal;
  std::optional<MigrationRecord> record;  ///< nothing before it was begun
  std::int64_t id = 0;                    ///< the journal's number of the run; 0 before a phase has opened it
  bool changed = false;                   ///< a phase changed something in the database, the journal aside

  /// Takes the run lock, reads where the migration stands, and takes over what a changed plan says of parts that have
  /// not run. What is refused, as it is not its turn, is no run of the migration's: the journal does not hear of it.
  void open(Command command);
  /// Gives the run its number, once.
  void begin(Command command);

  /// Where the migration stands, to those who look up whose turn it is. Whether contract has begun is for its steps to
  /// say: one that was killed before its first statement has taken nothing away, and after one there is no way back.
  [[nodiscard]] State standing();
  /// Whether the command has work to do; says so where that is done. Throws Error{refused} where something else has to
  /// run first.
  bool is_turn(Command command, const std::string& else_do = "nothing to do");
  /// Throws Error{refused} where a table of the migration is gone, or has another name.
  void refuse_if_gone();
  /// Whoever runs the command has to say the migration's name, by --confirm or at the terminal.
  void confirm(const std::string& what) const;
  /// Those of session and plan, as far as nobody has set others from outside.
  [[nodiscard]] PaceLimits limits_now();
  [[nodiscard]] bool plan_differs() const;

  /// Looks at the use of the old columns, and says what it finds; the journal keeps it for later looks.
  std::vector<event::OldUse> look_at_old_use(const std::string& phase);

  void set_state(State state);
  /// A contract of which nothing was done: verified again, and the way back open.
  void take_contract_back();
  void run_steps(const std::string& phase, const std::vector<Step>& steps);

 private:
  [[nodiscard]] bool has_begun(const std::string& phase);
  void follow_plan(Command command);
  [[nodiscard]] std::string way_out(const std::string& phase);

  std::string m_told;
  bool m_locked = false;
};

/// Throws Error{refused}: two migrations at once on one table.
[[noreturn]] void refuse_beside(const std::string& other);

}  // namespace ecmigrate
