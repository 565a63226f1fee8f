#pragma once

#include <functional>
#include <string>

#include "ecmigrate/engine/migration.hpp"
#include "ecmigrate/planfile/planfile.hpp"
#include "support/catch.hpp"
#include "support/fixtures.hpp"
#include "support/server.hpp"

namespace ecmigrate::test {

/// Calls `act` at the first progress that gives `reason`, in the middle of the backfill.
class ActsOn final : public Observer {
 public:
  ActsOn(std::string reason, std::function<void()> act) : m_reason(std::move(reason)), m_act(std::move(act)) {}

  void on(const Event& event) override {
    const auto* progress = std::get_if<event::Progress>(&event);
    if (progress == nullptr || m_seen) {
      return;
    }
    if (!progress->slow_because.empty()) {
      m_told = progress->slow_because;
    }
    if (progress->slow_because.find(m_reason) != std::string::npos) {
      m_seen = true;
      m_act();
    }
  }
  [[nodiscard]] bool seen() const { return m_seen; }
  /// The reasons that were given when it acted, or last.
  [[nodiscard]] const std::string& told() const { return m_told; }

 private:
  std::string m_reason;
  std::function<void()> m_act;
  std::string m_told;
  bool m_seen = false;
};

inline void backfill(const std::string& conninfo, const RunOptions& options, Observer& observer) {
  const Plan plan = parse_plan(k_split, "test.yaml");
  Session session({conninfo, "ecmigrate backfill", nullptr}, options, observer, system_clock(), std::stop_token());
  Migration(session, plan).backfill();
}

/// Runs the backfill, which has to give `reason`; then `act` has to let it go on to its end.
inline bool backfill_pauses_for(const Database& database, const std::string& reason, RunOptions options, const std::function<void()>& act) {
  options.max_duration = std::chrono::minutes(2);  // a pause that does not clear fails the test, it does not hang it
  ActsOn observer(reason, act);
  backfill(database.conninfo(), options, observer);
  if (!observer.seen()) {
    WARN("the reasons given were: " << observer.told());
  }
  return observer.seen();
}

}  // namespace ecmigrate::test
