#pragma once

#include <atomic>
#include <stop_token>
#include <thread>

namespace ecmigrate {

/// Turns SIGINT, SIGTERM and SIGHUP into a stop request: the first ends the work at its next checkpoint, a second ends
/// the process at once. Create it before any other thread, so that all inherit the blocked signals.
class Interrupt {
 public:
  Interrupt();
  ~Interrupt();
  Interrupt(const Interrupt&) = delete;
  Interrupt& operator=(const Interrupt&) = delete;

  [[nodiscard]] std::stop_token token() const { return m_stop.get_token(); }
  /// For a command that only looks on: it stops nothing, and need not say so.
  void say_nothing() { m_silent = true; }
  /// The signal that asked for the stop, or 0.
  [[nodiscard]] int signal() const { return m_signal; }

 private:
  void listen();

  std::stop_source m_stop;
  std::atomic<int> m_signal{0};
  std::atomic<bool> m_ending{false};
  std::atomic<bool> m_silent{false};
  std::thread m_thread;
};

}  // namespace ecmigrate
