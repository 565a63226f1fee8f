#pragma once

#include <exception>
#include <functional>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

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
  killed_before,  ///< dead before the call was sent, which to the server is the same as after the one before it
  cut_before,     ///< the network goes away before the call is sent
  answer_lost,    ///< the server did it, and the network goes away with the answer
};

/// One call of a run, told by what it says and what was said before it, numbers left out. Of several such the first: a
/// walk has hundreds of calls, and what can be half done at one batch is what can be half done at the next.
struct CallPoint {
  std::string after;
  std::string text;
  bool only_read_before = false;  ///< nothing was changed until then
};

/// Remembers the calls of a run, or lets one of them go wrong. Any thread may call.
class FaultyWire {
 public:
  FaultyWire() = default;
  /// `last`: the call before the first one, in a run that another one began.
  FaultyWire(Fault fault, CallPoint at, std::string last)
      : m_fault(fault), m_at(std::move(at)), m_last(std::move(last)) {}

  [[nodiscard]] pg::CallHook hook();
  [[nodiscard]] const std::vector<CallPoint>& points() const { return m_points; }
  /// The newest call.
  [[nodiscard]] const std::string& last() const { return m_last; }
  /// The run came to the call.
  [[nodiscard]] bool came_there() const { return m_came_there; }

 private:
  void on(pg::CallMoment moment, int socket, std::string_view sql);
  bool is_there(pg::CallMoment moment, const std::string& text);
  void fail(int socket);

  Fault m_fault = Fault::killed_before;
  std::optional<CallPoint> m_at;
  std::mutex m_mutex;
  std::vector<CallPoint> m_points;
  std::set<std::pair<std::string, std::string>> m_seen;
  std::string m_last;
  bool m_changed = false;                ///< the journal is made, which is the first change of all
  std::optional<std::string> m_awaited;  ///< the call has begun whose answer is to be lost
  bool m_came_there = false;
  bool m_dead = false;
};

/// As migrate(), with a clock and a stop request of the caller's.
void migrate_with(const Database& database, const std::string& yaml, const std::string& phases, Clock& clock,
                  Observer& observer, const RunOptions& options = {}, const pg::CallHook& hook = nullptr,
                  const std::stop_token& stop = {});

/// The error that the work ends with; another exception where it ends without.
Error error_of(const std::function<void()>& work);

}  // namespace ecmigrate::test
