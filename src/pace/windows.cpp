#include "ecmigrate/pace/windows.hpp"

#include <nlohmann/json.hpp>

#include "ecmigrate/pg/sqlstate.hpp"

namespace ecmigrate {

namespace {

// A window is a time on the wall: the server knows what that is on the days when the clocks change.
constexpr const char* k_query = R"(
with clock as (select $2::timestamptz as now),
days as (select coalesce(nullif(w ->> 'zone', ''), current_setting('TimeZone')) as zone, w, d, now
  from clock, jsonb_array_elements($1::jsonb) w, generate_series(-1, 8) d),
local as (select zone, w, now, date_trunc('day', now at time zone zone) + make_interval(days => d) as midnight from days),
turns as (select zone, now, midnight + make_interval(mins => (w ->> 'from')::int) as begins, midnight + make_interval(mins => (w ->> 'to')::int) as ends
  from local where (w ->> 'days')::int & (1 << (extract(isodow from midnight)::int - 1)) <> 0)
select bool_or(begins at time zone zone <= now and now < ends at time zone zone),
  (select to_char(begins, 'Dy HH24:MI ') || zone from turns where begins at time zone zone > now order by begins at time zone zone limit 1)
from turns)";

}  // namespace

std::optional<std::string> next_window(pg::Connection& connection, const std::vector<Window>& windows,
                                       const std::string& at) {
  if (windows.empty()) {
    return std::nullopt;
  }
  nlohmann::json list = nlohmann::json::array();
  for (const Window& window : windows) {
    list.push_back({{"days", window.days}, {"from", window.from}, {"to", window.to}, {"zone", window.zone}});
  }
  const pg::Rows rows = connection.query(k_query, {list.dump(), at});
  return rows.boolean(0, 0) ? std::nullopt : std::optional(rows.text(0, 1));
}

std::optional<std::string> unknown_zone(pg::Connection& connection, const std::vector<Window>& windows) {
  for (const Window& window : windows) {
    if (window.zone.empty()) {
      continue;
    }
    try {
      connection.query("select now() at time zone $1", {window.zone});
    } catch (const pg::SqlError& error) {
      if (error.sqlstate() != pg::sqlstate::k_invalid_parameter_value) {
        throw;
      }
      return window.zone;
    }
  }
  return std::nullopt;
}

}  // namespace ecmigrate
