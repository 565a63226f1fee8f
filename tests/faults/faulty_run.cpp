#include "faults/faulty_run.hpp"

#include <sys/socket.h>

#include <cctype>
#include <sstream>

#include "ecmigrate/phases/migration.hpp"
#include "ecmigrate/planfile/planfile.hpp"

namespace ecmigrate::test {

namespace {

std::string without_numbers(std::string_view sql) {
  std::string text;
  for (const char c : sql) {
    if (std::isdigit(static_cast<unsigned char>(c)) == 0) {
      text += c;
    }
  }
  return text;
}

}  // namespace

pg::CallHook FaultyWire::hook() {
  return [this](pg::CallMoment moment, int socket, std::string_view sql) { on(moment, socket, sql); };
}

void FaultyWire::on(pg::CallMoment moment, int socket, std::string_view sql) {
  const std::lock_guard lock(m_mutex);
  if (m_dead) {
    throw Killed();
  }
  // That call is the first of those that can be half done.
  m_changed = m_changed || sql.find("create schema ecmigrate") != sql.npos;
  if (is_there(moment, without_numbers(sql))) {
    fail(socket);
  }
}

/// Whether it is this call, at this moment, that is to go wrong.
bool FaultyWire::is_there(pg::CallMoment moment, const std::string& text) {
  if (moment == pg::CallMoment::after) {
    const bool here = m_awaited == text;
    m_awaited = here ? std::nullopt : m_awaited;
    return here;
  }
  const bool first = m_seen.emplace(m_last, text).second;
  if (first && !m_at) {
    m_points.push_back({m_last, text, !m_changed});
  }
  const bool here = first && m_at && m_at->after == m_last && m_at->text == text;
  m_last = text;
  if (here && m_fault == Fault::answer_lost) {
    m_awaited = text;
    return false;
  }
  return here;
}

void FaultyWire::fail(int socket) {
  m_came_there = true;
  if (m_fault == Fault::killed_before) {
    m_dead = true;
    throw Killed();
  }
  ::shutdown(socket, SHUT_RDWR);
  if (m_fault == Fault::answer_lost) {
    throw pg::SqlError("08006", "the answer was lost", "", 0);
  }
}

void migrate_with(const Database& database, const std::string& yaml, const std::string& phases, Clock& clock,
                  Observer& observer, const RunOptions& options, const pg::CallHook& hook,
                  const std::stop_token& stop) {
  static const std::map<std::string, void (Migration::*)()> k_phases{{"expand", &Migration::expand},
                                                                     {"backfill", &Migration::backfill},
                                                                     {"verify", &Migration::verify},
                                                                     {"contract", &Migration::contract},
                                                                     {"rollback", &Migration::rollback}};
  const Plan plan = parse_plan(yaml, "test.yaml");
  std::istringstream words(phases);
  for (std::string phase; words >> phase;) {
    Session session({database.conninfo(), "ecmigrate " + phase, hook}, options, observer, clock, stop);
    Migration migration(session, plan);
    (migration.*k_phases.at(phase))();
  }
}

Error error_of(const std::function<void()>& work) {
  try {
    work();
  } catch (const Error& error) {
    return error;
  }
  throw std::logic_error("nothing was thrown");
}

}  // namespace ecmigrate::test
