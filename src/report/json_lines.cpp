#include <fmt/chrono.h>
#include <fmt/format.h>

#include <chrono>
#include <mutex>

#include "ecmigrate/report/report.hpp"
#include "ecmigrate/store/event_json.hpp"

namespace ecmigrate {

namespace {

std::string utc_now() {
  const auto now = std::chrono::floor<std::chrono::milliseconds>(std::chrono::system_clock::now());
  const auto seconds = std::chrono::floor<std::chrono::seconds>(now);
  return fmt::format("{:%Y-%m-%dT%H:%M:%S}.{:03}Z", fmt::gmtime(std::chrono::system_clock::to_time_t(seconds)),
                     (now - seconds).count());
}

class JsonReport final : public Observer {
 public:
  explicit JsonReport(std::FILE* out) : m_out(out) {}

  void on(const Event& event) override {
    try {
      const std::lock_guard lock(m_mutex);
      const std::string line =
          event_object(fmt::format(R"({{"v":1,"seq":{},"ts":"{}"}})", ++m_last_seq, utc_now()), event) + '\n';
      // Failing writes are ignored: the migration goes on when the reader has gone.
      std::fwrite(line.data(), 1, line.size(), m_out);
      std::fflush(m_out);
    } catch (...) {
      // Only memory can run out here; a line less is better than a migration that stops half-way.
    }
  }

 private:
  std::FILE* m_out;
  std::mutex m_mutex;
  std::int64_t m_last_seq = 0;
};

}  // namespace

std::unique_ptr<Observer> make_json_report(std::FILE* out) {
  return std::make_unique<JsonReport>(out);
}

}  // namespace ecmigrate
