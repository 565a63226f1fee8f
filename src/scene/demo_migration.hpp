#pragma once

#include <optional>
#include <set>
#include <stop_token>
#include <string>

#include "demo_naive.hpp"
#include "demo_traffic.hpp"
#include "ecmigrate/model/plan.hpp"
#include "ecmigrate/phases/migration.hpp"

namespace ecmigrate::scene {

/// "8000/s": so that the backfill of 200,000 rows can be watched.
inline constexpr int k_demo_rows_rate = 8'000;

/// The demo's migration: its phases, and what they came to for the comparison with the naive way. Of one thread at a
/// time, but for set_paused().
class DemoMigration {
 public:
  /// `target`: the connection string as a command line has it. The traffic must outlive it.
  DemoMigration(Plan plan, std::string conninfo, std::string target, const DemoTraffic& live, std::stop_token stop);

  [[nodiscard]] const Plan& plan() const { return m_plan; }

  /// "expand" to "contract", and "rollback": as the command of that name, its events and how it ended in the journal.
  /// Throws what the phase throws.
  void run(const std::string& phase);
  /// As `ecmigrate pause` and `resume`.
  void set_paused(bool paused) const;
  /// Into the journal, as far as it knows the migration.
  void note(event::Note::Level level, const std::string& text) const;
  /// Into the journal, if all phases ran here under a traffic of which nothing failed before.
  void record_comparison(const NaiveScene& scene) const;
  /// There is nothing to compare any more.
  void forget() { m_own.reset(); }

 private:
  struct Own {
    Side side;
    std::set<std::string> phases;
    bool complete = false;
  };

  [[nodiscard]] pg::Connection connect() const { return pg::Connection({m_conninfo, "ecmigrate demo", nullptr}); }
  [[nodiscard]] RunOptions options_of(const std::string& phase) const;
  void run_journaled(const std::string& phase, Observer& observer) const;
  template <typename Read>
  void measure(const Read& read);

  Plan m_plan;
  std::string m_conninfo;
  std::string m_target;
  const DemoTraffic& m_live;
  std::stop_token m_stop;
  std::optional<Own> m_own;
};

}  // namespace ecmigrate::scene
