#include "ecmigrate/base/clock.hpp"

#include <condition_variable>
#include <mutex>

namespace ecmigrate {

namespace {

class SystemClock final : public Clock {
 public:
  [[nodiscard]] std::chrono::milliseconds now() const override {
    return std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now().time_since_epoch());
  }

  void sleep(std::chrono::milliseconds duration, std::stop_token stop) override {
    std::mutex mutex;
    std::condition_variable_any woken;
    std::unique_lock lock(mutex);
    woken.wait_for(lock, stop, duration, [] { return false; });
  }
};

}  // namespace

Clock& system_clock() {
  static SystemClock clock;
  return clock;
}

}  // namespace ecmigrate
