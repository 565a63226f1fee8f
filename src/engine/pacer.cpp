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

Pacer::Pacer(Session& session, std::string migration)
    : m_session(session),
      m_migration(std::move(migration)),
      m_limits(session.options().pace),
      m_wal(m_limits.max_wal_rate),
      m_rows(m_limits.max_rows_rate),
      m_begin_ms(now_ms()) {}

double Pacer::now_ms() const {
  return static_cast<double>(m_session.clock().now().count());
}

std::vector<std::string> Pacer::reasons(const QualifiedName& relation, const std::vector<int>& backends) {
  m_looked_ms = now_ms();
  try {
    // What is set from outside wins over flags and plan.
    const LoadReading reading = read_load(m_session, m_migration, relation, backends, m_limits);
    m_wal.set_rate(m_limits.max_wal_rate);
    m_rows.set_rate(m_limits.max_rows_rate);
    return m_judge.reasons(reading, m_limits);
  } catch (const pg::SqlError& error) {
    if (error.connection_lost()) {
      m_session.forget_watcher();
      return {};  // if the server is gone, the next batch finds out
    }
    return {fmt::format("the server's load cannot be read: {}", error.what())};
  }
}

Pacer::Turn Pacer::turn(const QualifiedName& relation, const std::vector<int>& backends) {
  const auto longest = m_session.options().max_duration;
  if (longest.count() > 0 && m_session.age() >= longest) {
    throw Error(Outcome::work_remains, fmt::format("stopped at a checkpoint after {}", format_milliseconds(static_cast<double>(longest.count()))),
                "Run the same command again to go on.");
  }
  if (m_looked_ms < 0 || m_paused_since_ms || now_ms() - m_looked_ms >= k_look_every_ms) {
    const std::vector<std::string> why = reasons(relation, backends);
    if (!why.empty()) {
      m_paused_since_ms = m_paused_since_ms.value_or(now_ms());
      return {k_pause, "paused: " + join(why, "; ")};
    }
    end_pause();
  }
  const double wal_wait = m_wal.wait_ms(now_ms());
  const double rows_wait = m_rows.wait_ms(now_ms());
  if (const double wait = std::max(wal_wait, rows_wait); wait >= 1) {
    return {std::chrono::milliseconds(static_cast<std::int64_t>(wait)), wal_wait >= rows_wait ? "kept to max_wal_rate" : "kept to max_rows_rate"};
  }
  return {};
}

void Pacer::end_pause() {
  if (m_paused_since_ms) {
    m_paused_ms += now_ms() - *m_paused_since_ms;
    m_paused_since_ms.reset();
  }
}

double Pacer::paused_percent() const {
  const double paused = m_paused_ms + (m_paused_since_ms ? now_ms() - *m_paused_since_ms : 0);
  return 100 * paused / std::max(1.0, now_ms() - m_begin_ms);
}

void Pacer::batch_done(double rows, double wal_bytes, double /*took_ms*/) {
  m_rows.spend(now_ms(), rows);
  m_wal.spend(now_ms(), wal_bytes);
}

}  // namespace ecmigrate
