#include "pacer.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "ecmigrate/base/error.hpp"
#include "ecmigrate/base/text.hpp"
#include "load_reader.hpp"

namespace ecmigrate {

namespace {

constexpr double k_look_every_ms = 500;
constexpr std::chrono::milliseconds k_pause{500};

}  // namespace

Pacer::Pacer(Session& session, std::string migration, std::int64_t run, QualifiedName relation, std::function<void(const std::string&)> tell)
    : m_session(session),
      m_migration(std::move(migration)),
      m_run(run),
      m_relation(std::move(relation)),
      m_tell(std::move(tell)),
      m_limits(session.options().pace),
      m_wal(m_limits.max_wal_rate),
      m_rows(m_limits.max_rows_rate) {}

double Pacer::now_ms() const {
  return static_cast<double>(m_session.clock().now().count());
}

std::vector<std::string> Pacer::reasons() {
  m_looked_ms = now_ms();
  try {
    // What is set from outside wins over flags and plan.
    const LoadReading reading = read_load(m_session, m_migration, m_run, m_relation, m_limits);
    m_wal.set_rate(m_limits.max_wal_rate);
    m_rows.set_rate(m_limits.max_rows_rate);
    m_throttle.set_ratio(reading.throttle);
    m_throttled = reading.throttled;
    std::vector<std::string> why = m_judge.reasons(reading, m_limits);
    if (const auto limit = m_judge.abort_reason(reading, m_limits)) {
      throw Error(Outcome::work_remains, "stopped at a checkpoint: " + *limit, "Run the same command again to go on.");
    }
    return why;
  } catch (const pg::SqlError& error) {
    if (error.connection_lost()) {
      m_session.forget_watcher();
      return {};  // if the server is gone, the next batch finds out
    }
    return {fmt::format("the server's load cannot be read: {}", error.what())};
  }
}

void Pacer::wait_for_turn() {
  const auto longest = m_session.options().max_duration;
  for (bool waited = false;;) {
    m_session.check_stop();
    if (longest.count() > 0 && m_session.age() >= longest) {
      throw Error(Outcome::work_remains, fmt::format("stopped at a checkpoint after {}", format_milliseconds(static_cast<double>(longest.count()))),
                  "Run the same command again to go on.");
    }
    const bool look = m_looked_ms < 0 || now_ms() - m_looked_ms >= k_look_every_ms;
    if (const std::vector<std::string> why = look ? reasons() : std::vector<std::string>(); !why.empty()) {
      m_tell("paused: " + join(why, "; "));
      m_told = true;
      m_session.clock().sleep(k_pause, m_session.stop());
      m_looked_ms = -1;
      continue;
    }
    const auto [wait, name] = budget();
    if (wait < 1) {
      if (m_told && !waited) {
        m_tell("");
        m_told = false;
      }
      break;
    }
    // No longer than until the next look: the run has to show that it is alive, and what is set may end the wait.
    m_tell(name);
    m_told = waited = true;
    m_session.clock().sleep(std::min(k_pause, std::chrono::milliseconds(static_cast<std::int64_t>(wait))), m_session.stop());
  }
  m_turn_ms = now_ms();
}

std::pair<double, std::string> Pacer::budget() const {
  const double now = now_ms();
  return std::max({std::pair(m_wal.wait_ms(now), std::string("kept to max_wal_rate")), std::pair(m_rows.wait_ms(now), std::string("kept to max_rows_rate")),
                   std::pair(m_throttle.wait_ms(now), m_throttled)});
}

void Pacer::batch_done(double rows, double wal_bytes) {
  m_rows.spend(now_ms(), rows);
  m_wal.spend(now_ms(), wal_bytes);
  m_throttle.batch_took(now_ms(), now_ms() - m_turn_ms);
}

}  // namespace ecmigrate
