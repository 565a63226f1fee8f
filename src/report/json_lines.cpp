#include <fmt/chrono.h>
#include <fmt/format.h>

#include <chrono>
#include <map>
#include <mutex>

#include "ecmigrate/store/event_json.hpp"
#include "paced_reports.hpp"

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
  JsonReport(std::FILE* out, const Clock& clock) : m_out(out), m_clock(clock) {}

  void on(const Event& event) override {
    try {
      const std::lock_guard lock(m_mutex);
      if (const auto* progress = std::get_if<event::Progress>(&event); progress != nullptr && !is_due(*progress)) {
        return;
      }
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
  /// Once a second of each walk, its end in any case.
  bool is_due(const event::Progress& progress) {
    const std::chrono::milliseconds now = m_clock.now();
    const auto [last, first] = m_told.try_emplace(progress.phase + '\n' + progress.relation, now);
    if (!first && now - last->second < std::chrono::seconds(1) && progress.percent < 100) {
      return false;
    }
    last->second = now;
    return true;
  }

  std::FILE* m_out;
  const Clock& m_clock;
  std::map<std::string, std::chrono::milliseconds> m_told;
  std::mutex m_mutex;
  std::int64_t m_last_seq = 0;
};

}  // namespace

std::unique_ptr<Observer> make_json_report(std::FILE* out, const Clock& clock) {
  return std::make_unique<JsonReport>(out, clock);
}

std::unique_ptr<Observer> make_json_report(std::FILE* out) {
  return make_json_report(out, system_clock());
}

}  // namespace ecmigrate
