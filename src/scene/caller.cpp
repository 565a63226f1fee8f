#include "caller.hpp"

#include <fmt/format.h>

#include "ecmigrate/pg/sqlstate.hpp"

namespace ecmigrate::scene {

Caller::Caller(const std::string& conninfo, const std::string& application_name)
    : m_connection({conninfo, application_name, nullptr}) {}

pg::Rows Caller::call(const std::string& sql) {
  if (m_lost) {
    m_connection.reconnect();
    m_lost = false;
  }
  std::string message = sql;
  if (m_deadline != SteadyClock::time_point::max()) {
    // By the server and not by a cancel request: that would be a connection of its own for each request of an outage.
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(m_deadline - SteadyClock::now()).count();
    if (left <= 0) {
      throw GivenUp("given up: not answered in time");
    }
    message = fmt::format("set local statement_timeout = {}; {}", left, sql);
  }
  try {
    return m_connection.script(message).back();
  } catch (const pg::SqlError& error) {
    m_lost = error.connection_lost();
    if (error.sqlstate() == pg::sqlstate::k_query_canceled) {
      throw GivenUp("given up: not answered in time");
    }
    throw;
  }
}

}  // namespace ecmigrate::scene
