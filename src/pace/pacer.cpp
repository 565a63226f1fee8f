#include "ecmigrate/pace/pacer.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "ecmigrate/base/error.hpp"
#include "ecmigrate/base/text.hpp"
#include "load_reader.hpp"

namespace ecmigrate {

namespace {

constexpr double k_look_every_ms = 500;
constexpr std::chrono::milliseconds k_pause{100};

}  // namespace

Pacer::Pacer(Session& session, std::string migration, std::int64_t run, SnapshotWatch& snapshots)
    : m_session(session),
      m_migration(std::move(migration)),
      m_run(run),
      m_snapshots(snapshots),
      m_limits(session.options().pace),
      m_wal(m_limits.max_wal_rate),
      m_rows(m_limits.max_rows_rate),
      m_begin_ms(now_ms()) {}

double Pacer::now_ms() const {
  return static_cast<double>(m_session.clock().now().count());
}

void Pacer::look_if_due(const QualifiedName& relation, const std::vector<int>& backends) {
  const double now = now_ms();
  const bool all = m_looked_ms < 0 || now - m_looked_ms >= k_look_every_ms;
  // A replica may fall behind within few batches, so these are watched between any two.
  const bool replicas = !m_reading.replicas.empty() &&
                        now - m_looked_at_replicas_ms >= static_cast<double>(m_limits.target_batch.count());
  if (!all && !replicas) {
    return;
  }
  m_looked_at_replicas_ms = now;
  m_looked_ms = all ? now : m_looked_ms;
  const std::vector<PauseReason> before = std::exchange(m_reasons, reasons(relation, backends, all));
  end_if_held_too_long(now);
  if (!m_reasons.empty()) {
    m_paused_since_ms = m_paused_since_ms.value_or(now);
    if (!std::ranges::equal(before, m_reasons, {}, &PauseReason::code, &PauseReason::code)) {  // not at every value
      m_session.report(event::Paused{relation.display(), m_reasons});
    }
  } else if (m_paused_since_ms) {
    m_paused_ms += now - *m_paused_since_ms;
    m_session.report(event::Resumed{relation.display(), now - *m_paused_since_ms});
    m_paused_since_ms.reset();
  }
}

void Pacer::end_if_held_too_long(double now) {
  if (m_reasons.empty() || std::ranges::any_of(m_reasons, is_meant_to_last)) {
    m_held_since_ms.reset();
    return;
  }
  m_held_since_ms = m_held_since_ms.value_or(now);
  const auto longest = static_cast<double>(m_limits.max_pause.count());
  if (longest > 0 && now - *m_held_since_ms >= longest) {
    throw Error(Outcome::work_remains,
                fmt::format("stopped at a checkpoint: paused for {} (max_pause): {}", format_milliseconds(longest),
                            join_reasons(m_reasons)),
                "Mend the cause, and run the same command again to go on; --max-pause 0s waits for ever.");
  }
}

std::vector<PauseReason> Pacer::reasons(const QualifiedName& relation, const std::vector<int>& backends, bool all) {
  try {
    if (all) {
      m_reading = read_load(m_session, m_migration, m_run, relation, backends, m_snapshots, m_limits);
    } else {
      read_replicas(m_session.watcher(), m_reading);
    }
  } catch (const pg::SqlError& error) {
    if (error.connection_lost()) {
      m_session.forget_watcher();
      return {};  // if the server is gone, the next batch finds out
    }
    return {{"load_unreadable", fmt::format("the server's load cannot be read: {}", error.what())}};
  } catch (const Error& error) {
    if (error.outcome() != Outcome::cannot_connect) {
      throw;
    }
    return {{"load_unreadable", fmt::format("the server's load cannot be read: {}", error.what())}};
  }
  m_wal.set_rate(m_limits.max_wal_rate);
  m_rows.set_rate(m_limits.max_rows_rate);
  m_throttle.set_ratio(m_reading.throttle);
  m_throttled = m_reading.throttled;
  std::vector<PauseReason> why = m_judge.reasons(m_reading, m_limits);
  if (const auto limit = m_judge.abort_reason(m_reading, m_limits)) {
    throw Error(Outcome::work_remains, "stopped at a checkpoint: " + *limit, "Run the same command again to go on.");
  }
  return why;
}

Pacer::Turn Pacer::turn(const QualifiedName& relation, const std::vector<int>& backends) {
  const auto longest = m_session.options().max_duration;
  if (longest.count() > 0 && m_session.age() >= longest) {
    throw Error(
        Outcome::work_remains,
        fmt::format("stopped at a checkpoint after {}", format_milliseconds(static_cast<double>(longest.count()))),
        "Run the same command again to go on.");
  }
  look_if_due(relation, backends);
  if (!m_reasons.empty()) {
    return {k_pause, "paused: " + join_reasons(m_reasons)};
  }
  if (const auto [wait, name] = budget(); wait >= 1) {
    // No longer than until the next look: the run has to show that it is alive, and what is set may end the wait.
    return {std::min(k_pause, std::chrono::milliseconds(static_cast<std::int64_t>(wait))), name};
  }
  return {};
}

std::pair<double, std::string> Pacer::budget() const {
  const double now = now_ms();
  return std::max({std::pair(m_wal.wait_ms(now), std::string("kept to max_wal_rate")),
                   std::pair(m_rows.wait_ms(now), std::string("kept to max_rows_rate")),
                   std::pair(m_throttle.wait_ms(now), m_throttled)});
}

double Pacer::paused_percent() const {
  const double paused = m_paused_ms + (m_paused_since_ms ? now_ms() - *m_paused_since_ms : 0);
  return 100 * paused / std::max(1.0, now_ms() - m_begin_ms);
}

void Pacer::batch_done(double rows, double wal_bytes, double took_ms) {
  m_rows.spend(now_ms(), rows);
  m_wal.spend(now_ms(), wal_bytes);
  m_throttle.batch_took(now_ms(), took_ms);
}

}  // namespace ecmigrate
