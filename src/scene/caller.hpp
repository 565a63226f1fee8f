#pragma once

#include <string>

#include "client.hpp"
#include "ecmigrate/pg/connection.hpp"

namespace ecmigrate::scene {

/// A connection as an application uses it: a request is given up at its deadline, and a lost connection is made again
/// for the next one.
class Caller {
 public:
  /// Connects; throws Error{cannot_connect}.
  Caller(const std::string& conninfo, const std::string& application_name);

  /// What follows belongs to a request that is given up then; SteadyClock::time_point::max(): never.
  void begin(SteadyClock::time_point deadline) { m_deadline = deadline; }
  /// The rows of the last statement of the message that gives any, or changes any. Throws GivenUp, or what a connection
  /// throws.
  pg::Rows call(const std::string& sql);
  /// Whether the server did what the last failed call asked for cannot be known.
  [[nodiscard]] bool outcome_unknown() const { return m_lost; }
  [[nodiscard]] int backend_pid() const { return m_connection.backend_pid(); }

 private:
  pg::Connection m_connection;
  SteadyClock::time_point m_deadline = SteadyClock::time_point::max();
  bool m_lost = false;
};

}  // namespace ecmigrate::scene
