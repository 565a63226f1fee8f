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

Pacer::Pacer(Session& session, std::string migration, QualifiedName relation, std::function<void(const std::string&)> tell)
    : m_session(session),
      m_migration(std::move(migration)),
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
    const LoadReading reading = read_load(m_session, m_migration, m_relation, m_limits);
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

void Pacer::wait_for_turn() {
  const auto longest = m_session.options().max_duration;
  for (bool told = false;;) {
    m_session.check_stop();
    if (longest.count() > 0 && m_session.age() >= longest) {
      throw Error(Outcome::work_remains, fmt::format("stopped at a checkpoint after {}", format_milliseconds(static_cast<double>(longest.count()))),
                  "Run the same command again to go on.");
    }
    if (m_looked_ms >= 0 && now_ms() - m_looked_ms < k_look_every_ms) {
      break;
    }
    const std::vector<std::string> why = reasons();
    if (why.empty()) {
      if (told) {
        m_tell("");
      }
      break;
    }
    m_tell("paused: " + join(why, "; "));
    told = true;
    m_session.clock().sleep(k_pause, m_session.stop());
    m_looked_ms = -1;
  }
  keep_budgets();
}

void Pacer::keep_budgets() {
  const double wait = std::max(m_wal.wait_ms(now_ms()), m_rows.wait_ms(now_ms()));
  if (wait >= 1) {
    m_tell(m_wal.wait_ms(now_ms()) >= m_rows.wait_ms(now_ms()) ? "kept to max_wal_rate" : "kept to max_rows_rate");
    m_session.clock().sleep(std::chrono::milliseconds(static_cast<std::int64_t>(wait)), m_session.stop());
    m_session.check_stop();
  }
}

void Pacer::batch_done(double rows, double wal_bytes) {
  m_rows.spend(now_ms(), rows);
  m_wal.spend(now_ms(), wal_bytes);
}

}  // namespace ecmigrate
