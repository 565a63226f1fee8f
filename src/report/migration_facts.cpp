#include "migration_facts.hpp"

#include <algorithm>
#include <numeric>

#include "ecmigrate/base/error.hpp"
#include "ecmigrate/report/answers.hpp"
#include "wording.hpp"

namespace ecmigrate::report {

bool reached(const MigrationView& migration, State state) {
  return migration.state != State::rolling_back && migration.state != State::rolled_back && migration.state >= state;
}

std::string held_fact(const MigrationView& migration, std::string_view phase) {
  double held = -1;
  for (const StepLock& lock : migration.locks) {
    if (lock.phase == phase && lock.held_ms && stopped_by(lock.mode) != "nothing") {
      held = std::max(held, *lock.held_ms);
    }
  }
  return held < 0 ? std::string() : "lock held " + lock_time(held);
}

std::int64_t rows_written(const MigrationView& migration) {
  return std::accumulate(migration.walks.begin(), migration.walks.end(), std::int64_t{0},
                         [](std::int64_t sum, const WalkView& walk) { return sum + walk.written.rows; });
}

std::int64_t differences(const MigrationView& migration) {
  return std::accumulate(
      migration.verifications.begin(), migration.verifications.end(), std::int64_t{0},
      [](std::int64_t sum, const VerificationView& verification) { return sum + verification.differences; });
}

bool stopped_on_purpose(const std::string& outcome) {
  return outcome == outcome_row(Outcome::interrupted).name || outcome == outcome_row(Outcome::terminated).name ||
         outcome == outcome_row(Outcome::work_remains).name;
}

}  // namespace ecmigrate::report
