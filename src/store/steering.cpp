#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "ecmigrate/store/journal.hpp"

namespace ecmigrate {

Journal::Steering Journal::steering(const std::string& name) {
  const pg::Rows rows = m_connection.query(
      "select paused, paused_by, case when throttle_until is null or throttle_until > clock_timestamp() then throttle "
      "else 0 end, "
      "throttled_by || coalesce(to_char(throttle_until, case when throttle_until < clock_timestamp() + interval '12 "
      "hours' then ' \"until\" HH24:MI TZ' "
      "else ' \"until\" YYYY-MM-DD HH24:MI TZ' end), ''), limits from ecmigrate.steering where migration = $1",
      {name});
  Steering steering;
  if (rows.size() == 1) {
    steering.paused = rows.boolean(0, 0);
    steering.paused_by = rows.text(0, 1);
    steering.throttle = rows.number(0, 2);
    if (steering.throttle > 0) {
      steering.throttled =
          fmt::format("rests {:.0f} % of the time, set by {}", 100 * steering.throttle, rows.text(0, 3));
    }
    const auto limits = nlohmann::json::parse(rows.text(0, 4));
    for (const auto& [limit, value] : limits.items()) {
      steering.limits.emplace_back(limit, value.get<std::string>());
    }
  }
  return steering;
}

void Journal::steer_pause(const std::string& name, bool paused) {
  m_connection.query(
      "insert into ecmigrate.steering (migration, paused, paused_by) values ($1, $2, current_user) "
      "on conflict (migration) do update set paused = excluded.paused, paused_by = excluded.paused_by, at = "
      "clock_timestamp()",
      {name, paused ? "true" : "false"});
}

void Journal::steer_throttle(const std::string& name, double ratio, std::optional<std::chrono::milliseconds> duration) {
  m_connection.query(
      "insert into ecmigrate.steering (migration, throttle, throttle_until, throttled_by) "
      "values ($1, $2, clock_timestamp() + $3 * interval '1 millisecond', current_user) on conflict (migration) do "
      "update set "
      "throttle = excluded.throttle, throttle_until = excluded.throttle_until, throttled_by = excluded.throttled_by, "
      "at = clock_timestamp()",
      {name, fmt::format("{}", ratio), duration ? std::optional(std::to_string(duration->count())) : std::nullopt});
}

void Journal::steer_limit(const std::string& name, const std::string& limit, const std::optional<std::string>& value) {
  if (!value) {
    m_connection.query(
        "update ecmigrate.steering set limits = limits - $2, at = clock_timestamp() where migration = $1",
        {name, limit});
    return;
  }
  m_connection.query(
      "insert into ecmigrate.steering as s (migration, limits) values ($1, jsonb_build_object($2::text, $3::text)) "
      "on conflict (migration) do update set limits = s.limits || excluded.limits, at = clock_timestamp()",
      {name, limit, value});
}

double Journal::heartbeat(std::int64_t run, bool durable) {
  // A synchronous replica that is gone would let the commit wait for ever.
  const auto results =
      m_connection.script(fmt::format("begin; set local synchronous_commit = {}; set local statement_timeout = '5s'; "
                                      "update ecmigrate.runs set seen_at = clock_timestamp() where id = {}; "
                                      "select extract(epoch from clock_timestamp()) * 1000; commit; select "
                                      "extract(epoch from clock_timestamp()) * 1000",
                                      durable ? "on" : "off", run));
  return results.at(2).number(0, 0) - results.at(1).number(0, 0);
}

}  // namespace ecmigrate
