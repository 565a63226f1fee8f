#pragma once

#include <fmt/format.h>

#include <functional>
#include <string>

#include "ecmigrate/phases/migration.hpp"
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
inline bool backfill_pauses_for(const Database& database, const std::string& reason, RunOptions options,
                                const std::function<void()>& act) {
  options.max_duration = std::chrono::minutes(2);  // a pause that does not clear fails the test, it does not hang it
  ActsOn observer(reason, act);
  backfill(database.conninfo(), options, observer);
  if (!observer.seen()) {
    WARN("the reasons given were: " << observer.told());
  }
  return observer.seen();
}

/// Tells two observers.
class Both final : public Observer {
 public:
  Both(Observer& first, Observer& second) : m_first(first), m_second(second) {}
  void on(const Event& event) override {
    m_first.on(event);
    m_second.on(event);
  }

 private:
  Observer& m_first;
  Observer& m_second;
};

/// A database with 3,002 users of which none is filled.
inline void expand_users(Database& database) {
  database.exec(k_users);
  migrate(database, k_split, "expand");
}

/// Wide rows, so that filling 12,000 of them writes some 4 MB of WAL. Autovacuum would write more, outside any budget.
inline void expand_wide_users(Database& database, int rows = 12'000) {
  database.exec(fmt::format(
      "create table users (id int primary key, full_name text not null, note text not null default repeat('n', 500)) "
      "with (autovacuum_enabled = false); "
      "insert into users (id, full_name) select i, 'Ann Lee' || i from generate_series(1, {}) i; analyze users",
      rows));
  migrate(database, k_split, "expand");
}

inline void check_all_filled(Database& database) {
  CHECK(database.value("select count(*) from users where first_name is null") == "0");
}

}  // namespace ecmigrate::test
