#pragma once

#include <exception>
#include <functional>
#include <string>

#include "ecmigrate/base/clock.hpp"
#include "ecmigrate/base/error.hpp"
#include "support/server.hpp"

namespace ecmigrate::test {

/// Real time, but nobody sleeps for longer than a millisecond.
class ImpatientClock final : public Clock {
 public:
  [[nodiscard]] std::chrono::milliseconds now() const override { return system_clock().now(); }
  void sleep(std::chrono::milliseconds duration, std::stop_token stop) override {
    system_clock().sleep(std::min(duration, std::chrono::milliseconds(1)), std::move(stop));
  }
};

/// The runner ends here as if it had been killed. Not an Error, so that nothing in the runner handles it.
class Killed : public std::exception {
 public:
  [[nodiscard]] const char* what() const noexcept override { return "killed"; }
};

enum class Fault {
  killed_before,  ///< dead before the call was sent
  killed_after,   ///< dead after its answer came
  cut_before,     ///< the network goes away before the call is sent
  answer_lost,    ///< the server did it, and the network goes away with the answer
};

/// Counts the calls of a run and lets one of them go wrong.
class FaultyWire {
 public:
  FaultyWire() = default;
  FaultyWire(Fault fault, int at) : m_fault(fault), m_at(at) {}

  [[nodiscard]] pg::CallHook hook();
  [[nodiscard]] int calls() const { return m_calls; }
  /// The call that made the journal; everything before it only reads.
  [[nodiscard]] int first_change() const { return m_first_change; }

 private:
  void on(pg::CallMoment moment, int socket);

  Fault m_fault = Fault::killed_before;
  int m_at = 0;  ///< from 1; 0: never
  int m_calls = 0;
  int m_first_change = 0;
  bool m_dead = false;
};

/// As migrate(), with a clock and a stop request of the caller's.
void migrate_with(const Database& database, const std::string& yaml, const std::string& phases, Clock& clock,
                  Observer& observer, const RunOptions& options = {}, const pg::CallHook& hook = nullptr,
                  const std::stop_token& stop = {});

/// The error that the work ends with; another exception where it ends without.
Error error_of(const std::function<void()>& work);

}  // namespace ecmigrate::test
