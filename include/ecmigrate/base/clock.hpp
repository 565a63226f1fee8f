#pragma once

#include <chrono>
#include <stop_token>

namespace ecmigrate {

/// The runner's own time: a seam, so that tests need not wait. Lock and batch times never come from here; they are
/// taken on the server's clock. Implementations are safe to call from several threads.
class Clock {
 public:
  virtual ~Clock() = default;
  /// Monotonic.
  [[nodiscard]] virtual std::chrono::milliseconds now() const = 0;
  /// Returns early when a stop is requested.
  virtual void sleep(std::chrono::milliseconds duration, std::stop_token stop) = 0;
};

/// The real one; lives as long as the program.
Clock& system_clock();

}  // namespace ecmigrate
