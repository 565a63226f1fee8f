#include <fmt/chrono.h>
#include <fmt/format.h>

#include <chrono>
#include <mutex>
#include <nlohmann/json.hpp>

#include "ecmigrate/report/report.hpp"

namespace ecmigrate {

namespace {

using Json = nlohmann::ordered_json;

constexpr int k_format_version = 1;

Json optional_to_json(const std::optional<double>& number) { return number ? Json(*number) : Json(nullptr); }

Json blocker_to_json(const Blocker& blocker) {
  return {{"pid", blocker.pid},
          {"user", blocker.user},
          {"application", blocker.application},
          {"backend_type", blocker.backend_type},
          {"state", blocker.state},
          {"transaction_age_ms", blocker.transaction_age_ms},
          {"query", blocker.query}};
}

Json members(const event::Started& e) {
  return {{"type", "started"}, {"command", e.command}, {"migration", e.migration}, {"target", e.target}};
}

Json members(const event::Note& e) {
  const bool warning = e.level == event::Note::Level::warning;
  return {{"type", "note"}, {"level", warning ? "warning" : "info"}, {"text", e.text}};
}

Json members(const event::LockTryFailed& e) {
  Json blockers = Json::array();
  for (const Blocker& blocker : e.blockers) {
    blockers.push_back(blocker_to_json(blocker));
  }
  return {{"type", "lock_try_failed"},
          {"step", e.step},
          {"relation", e.relation},
          {"mode", e.mode},
          {"tries", e.tries},
          {"waited_ms", e.waited_ms},
          {"retry_in_ms", e.retry_in_ms},
          {"blockers", blockers}};
}

Json members(const event::StepFinished& e) {
  return {{"type", "step_finished"},
          {"phase", e.phase},
          {"step", e.step},
          {"index", e.index},
          {"of", e.of},
          {"relation", e.relation},
          {"mode", e.mode},
          {"tries", e.tries},
          {"waited_ms", e.waited_ms},
          {"held_ms", e.held_ms},
          {"blocked_sessions", e.blocked_sessions},
          {"blocked_longest_ms", e.blocked_longest_ms},
          {"duration_ms", e.duration_ms},
          {"already_done", e.already_done}};
}

Json members(const event::IndexProgress& e) {
  return {{"type", "index_progress"},
          {"index", e.index},
          {"phase", e.phase},
          {"percent", e.percent},
          {"waiting_for", e.waiting_for ? blocker_to_json(*e.waiting_for) : Json(nullptr)}};
}

Json members(const event::Progress& e) {
  return {{"type", "progress"},
          {"phase", e.phase},
          {"relation", e.relation},
          {"percent", e.percent},
          {"rows", e.rows},
          {"rows_estimated", e.rows_estimated},
          {"rows_per_second", e.rows_per_second},
          {"eta_ms", optional_to_json(e.eta_ms)},
          {"eta_low_ms", optional_to_json(e.eta_low_ms)},
          {"eta_high_ms", optional_to_json(e.eta_high_ms)},
          {"batch_rows", e.batch_rows},
          {"batch_ms", e.batch_ms},
          {"batch_p50_ms", e.batch_p50_ms},
          {"batch_p99_ms", e.batch_p99_ms},
          {"hot_percent", e.hot_percent},
          {"wal_bytes_per_second", e.wal_bytes_per_second},
          {"lag_ms", optional_to_json(e.lag_ms)},
          {"workers", e.workers},
          {"paused_percent", e.paused_percent},
          {"slow_because", e.slow_because}};
}

Json members(const event::WalkFinished& e) {
  return {{"type", "walk_finished"},
          {"phase", e.phase},
          {"relation", e.relation},
          {"rows", e.rows},
          {"batches", e.batches},
          {"duration_ms", e.duration_ms},
          {"batch_p50_ms", e.batch_p50_ms},
          {"batch_p99_ms", e.batch_p99_ms},
          {"hot_percent", e.hot_percent},
          {"wal_bytes", e.wal_bytes},
          {"quarantined", e.quarantined},
          {"already_done", e.already_done}};
}

Json members(const event::TrialFinished& e) {
  return {{"type", "trial_finished"},
          {"relation", e.relation},
          {"rows", e.rows},
          {"lossy", e.lossy},
          {"examples", e.examples}};
}

Json members(const event::Difference& e) {
  return {{"type", "difference"},
          {"relation", e.relation},
          {"key", e.key},
          {"kind", e.kind},
          {"old_values", e.old_values},
          {"new_values", e.new_values}};
}

Json members(const event::VerifyFinished& e) {
  return {{"type", "verify_finished"},
          {"relation", e.relation},
          {"rows", e.rows},
          {"pending", e.pending},
          {"inconsistent", e.inconsistent},
          {"repaired", e.repaired},
          {"duration_ms", e.duration_ms}};
}

Json members(const event::StateChanged& e) {
  return {{"type", "state_changed"}, {"migration", e.migration}, {"before", e.before}, {"after", e.after}};
}

Json members(const event::Result& e) {
  const bool ok = e.exit_code == 0;
  const Json error = {{"code", e.outcome}, {"message", e.message}, {"hint", e.hint}, {"sqlstate", e.sqlstate}};
  return {{"type", "result"},
          {"ok", ok},
          {"command", e.command},
          {"migration", e.migration},
          {"exit_code", e.exit_code},
          {"outcome", e.outcome},
          {"retryable", e.retryable},
          {"changed", e.changed},
          {"state", e.state},
          {"message", e.message},
          {"hint", e.hint},
          {"sqlstate", e.sqlstate},
          {"next", e.next},
          {"duration_ms", e.duration_ms},
          {"error", ok ? Json(nullptr) : error}};
}

/// `head` followed by the members of the event, on one line. Rows of SQL_ASCII databases can hold anything, so bytes
/// that are not UTF-8 become U+FFFD.
std::string object_line(Json head, const Event& event) {
  const Json rest = std::visit([](const auto& e) { return members(e); }, event);
  for (const auto& [key, value] : rest.items()) {
    head[key] = value;
  }
  return head.dump(-1, ' ', false, Json::error_handler_t::replace);
}

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
          object_line({{"v", k_format_version}, {"seq", ++m_last_seq}, {"ts", utc_now()}}, event) + '\n';
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

std::unique_ptr<Observer> make_json_report(std::FILE* out) { return std::make_unique<JsonReport>(out); }

std::string event_to_json(const Event& event) { return object_line({{"v", k_format_version}}, event); }

}  // namespace ecmigrate
