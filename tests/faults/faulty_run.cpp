#include "faults/faulty_run.hpp"

#include <sys/socket.h>

#include <map>
#include <sstream>

#include "ecmigrate/phases/migration.hpp"
#include "ecmigrate/planfile/planfile.hpp"

namespace ecmigrate::test {

pg::CallHook FaultyWire::hook() {
  return [this](pg::CallMoment moment, int socket, std::string_view sql) {
    if (moment == pg::CallMoment::before && m_first_change == 0 && sql.find("create schema ecmigrate") != sql.npos) {
      m_first_change = m_calls + 1;
    }
    on(moment, socket);
  };
}

void FaultyWire::on(pg::CallMoment moment, int socket) {
  if (m_dead) {
    throw Killed();
  }
  m_calls += moment == pg::CallMoment::before ? 1 : 0;
  if (m_calls != m_at) {
    return;
  }
  const bool before = m_fault == Fault::killed_before || m_fault == Fault::cut_before;
  if (before != (moment == pg::CallMoment::before)) {
    return;
  }
  if (m_fault == Fault::killed_before || m_fault == Fault::killed_after) {
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
