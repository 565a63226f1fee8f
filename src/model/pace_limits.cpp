#include "ecmigrate/model/pace_limits.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <utility>

#include "ecmigrate/base/text.hpp"

namespace ecmigrate {

namespace {

std::string set_duration(std::chrono::milliseconds& out, const std::string& value, bool may_be_zero) {
  const auto duration = parse_duration(value);
  if (!duration || (!may_be_zero && duration->count() == 0)) {
    return fmt::format("\"{}\" is not a duration{}; write 50ms, 2s or 1m", value, may_be_zero ? "" : " above 0");
  }
  out = *duration;
  return {};
}

std::string set_rate(double& out, const std::string& value, const char* example) {
  const auto rate = parse_rate(value);
  if (!rate) {
    const bool has_unit = value.ends_with('B');
    const std::string a_second = value + "/s";
    return fmt::format("\"{}\" is not a rate; write {}", value, has_unit && parse_rate(a_second) ? a_second : example);
  }
  out = *rate;
  return {};
}

std::string set_count(int& out, const std::string& value, int least = 0) {
  int number = 0;
  const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), number);
  if (error != std::errc() || end != value.data() + value.size() || number < least) {
    return fmt::format("\"{}\" is not a whole number from {}", value, least);
  }
  out = number;
  return {};
}

std::string set_query(std::string& out, const std::string& value) {
  out = value;
  return {};
}

std::string set_bad_rows(bool& quarantine, const std::string& value) {
  if (value != "stop" && value != "quarantine") {
    return fmt::format("\"{}\" is neither stop nor quarantine", value);
  }
  quarantine = value == "quarantine";
  return {};
}

using Setter = std::string (*)(PaceLimits& limits, const std::string& value);

constexpr std::array<std::pair<std::string_view, Setter>, k_pace_limits.size()> k_setters{{
    {"workers", [](PaceLimits& limits, const std::string& value) { return set_count(limits.workers, value, 1); }},
    {"bad_rows", [](PaceLimits& limits, const std::string& value) { return set_bad_rows(limits.quarantine, value); }},
    {"target_batch",
     [](PaceLimits& limits, const std::string& value) { return set_duration(limits.target_batch, value, false); }},
    {"max_wal_rate",
     [](PaceLimits& limits, const std::string& value) { return set_rate(limits.max_wal_rate, value, "64MB/s"); }},
    {"max_rows_rate",
     [](PaceLimits& limits, const std::string& value) { return set_rate(limits.max_rows_rate, value, "20000/s"); }},
    {"max_replica_lag",
     [](PaceLimits& limits, const std::string& value) { return set_duration(limits.max_replica_lag, value, true); }},
    {"replicas", [](PaceLimits& limits, const std::string& value) { return set_count(limits.replicas, value); }},
    {"max_waiting_sessions",
     [](PaceLimits& limits, const std::string& value) { return set_count(limits.max_waiting_sessions, value); }},
    {"max_active_sessions",
     [](PaceLimits& limits, const std::string& value) { return set_count(limits.max_active_sessions, value); }},
    {"max_commit_latency",
     [](PaceLimits& limits, const std::string& value) { return set_duration(limits.max_commit_latency, value, true); }},
    {"max_snapshot_age",
     [](PaceLimits& limits, const std::string& value) { return set_duration(limits.max_snapshot_age, value, true); }},
    {"max_archive_queue",
     [](PaceLimits& limits, const std::string& value) { return set_count(limits.max_archive_queue, value); }},
    {"windows", [](PaceLimits& limits, const std::string& value) { return parse_windows(value, limits.windows); }},
    {"pause_query", [](PaceLimits& limits, const std::string& value) { return set_query(limits.pause_query, value); }},
    {"max_pause",
     [](PaceLimits& limits, const std::string& value) { return set_duration(limits.max_pause, value, true); }},
    {"abort_replica_lag",
     [](PaceLimits& limits, const std::string& value) { return set_duration(limits.abort_replica_lag, value, true); }},
    {"abort_active_sessions",
     [](PaceLimits& limits, const std::string& value) { return set_count(limits.abort_active_sessions, value); }},
    {"abort_commit_latency",
     [](PaceLimits& limits, const std::string& value) {
       return set_duration(limits.abort_commit_latency, value, true);
     }},
    {"abort_query", [](PaceLimits& limits, const std::string& value) { return set_query(limits.abort_query, value); }},
}};

}  // namespace

bool is_query(std::string_view name) {
  return name == "pause_query" || name == "abort_query";
}

std::string set_limit(PaceLimits& limits, std::string_view name, const std::string& value) {
  const auto setter = std::ranges::find(k_setters, name, &std::pair<std::string_view, Setter>::first);
  if (setter != k_setters.end()) {
    return setter->second(limits, value);
  }
  std::vector<std::string_view> names;
  for (const PaceLimitName& limit : k_pace_limits) {
    names.push_back(limit.name);
  }
  const auto near = nearest_word(name, names);
  return fmt::format("there is no limit \"{}\"{}", name,
                     near ? fmt::format(": did you mean \"{}\"?", *near) : std::string());
}

}  // namespace ecmigrate
