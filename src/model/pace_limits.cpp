#include "ecmigrate/model/pace_limits.hpp"

#include <fmt/format.h>

#include <charconv>
#include <vector>

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
    return fmt::format("\"{}\" is not a rate; write {}", value, example);
  }
  out = *rate;
  return {};
}

std::string set_count(int& out, const std::string& value) {
  int number = 0;
  const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), number);
  if (error != std::errc() || end != value.data() + value.size() || number < 0) {
    return fmt::format("\"{}\" is not a whole number from 0", value);
  }
  out = number;
  return {};
}

}  // namespace

std::string set_limit(PaceLimits& limits, std::string_view name, const std::string& value) {
  if (name == "workers") {
    return set_count(limits.workers, value);
  }
  if (name == "bad_rows") {
    if (value != "stop" && value != "quarantine") {
      return fmt::format("\"{}\" is neither stop nor quarantine", value);
    }
    limits.quarantine = value == "quarantine";
    return {};
  }
  if (name == "target_batch") {
    return set_duration(limits.target_batch, value, false);
  }
  if (name == "max_wal_rate") {
    return set_rate(limits.max_wal_rate, value, "64MB/s");
  }
  if (name == "max_rows_rate") {
    return set_rate(limits.max_rows_rate, value, "20000/s");
  }
  if (name == "max_replica_lag") {
    return set_duration(limits.max_replica_lag, value, true);
  }
  if (name == "replicas") {
    return set_count(limits.replicas, value);
  }
  if (name == "max_waiting_sessions") {
    return set_count(limits.max_waiting_sessions, value);
  }
  if (name == "pause_query") {
    limits.pause_query = value;
    return {};
  }
  std::vector<std::string_view> names;
  for (const PaceLimitName& limit : k_pace_limits) {
    names.push_back(limit.name);
  }
  const auto near = nearest_word(name, names);
  return fmt::format("there is no limit \"{}\"{}", name, near ? fmt::format(": did you mean \"{}\"?", *near) : std::string());
}

}  // namespace ecmigrate
