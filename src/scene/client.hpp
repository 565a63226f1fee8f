#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include "ecmigrate/base/error.hpp"
#include "ecmigrate/scene/traffic.hpp"

namespace ecmigrate::scene {

using SteadyClock = std::chrono::steady_clock;

/// What reading back found.
struct ReadBack {
  std::int64_t checked = 0;
  std::int64_t lost = 0;
  std::vector<std::string> losses;  ///< what is wrong with the first few
};

/// The application's side of one connection. Used by one thread at a time.
class Client {
 public:
  virtual ~Client() = default;
  /// One request, as that version makes it, which the application gives up at the deadline. Throws Error when it
  /// failed.
  virtual void request(Shape shape, SteadyClock::time_point deadline) = 0;
  /// Reads back what was acknowledged. Throws Error when it cannot.
  virtual ReadBack read_back() = 0;
};

/// A request that was not answered in time.
class GivenUp : public Error {
 public:
  explicit GivenUp(const std::string& message) : Error(Outcome::failed, message) {}
};

}  // namespace ecmigrate::scene
