#include "demo_traffic.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>

#include "ecmigrate/base/text.hpp"
#include "sides.hpp"

namespace ecmigrate::scene {

namespace {

using Json = nlohmann::ordered_json;

double rounded(double value) {
  return std::round(value * 10) / 10;
}

Json lane_json(Shape shape, const TrafficStats& stats) {
  const bool old = shape == Shape::old_shape;
  Json bars = Json::array();
  for (const Bar& bar : stats.bars) {
    bars.push_back({bar.t_ms, bar.ok, bar.slow, bar.failed, rounded(bar.slowest_ms)});
  }
  return {{"shape", old ? "old" : "new"},
          {"name", old ? "Old version" : "New version"},
          {"writes", old ? "full_name" : "first_name, last_name"},
          {"running", stats.running},
          {"rate", rounded(stats.rate)},
          {"requests", stats.requests},
          {"failed", stats.failed},
          {"p50_ms", rounded(stats.p50_ms)},
          {"p99_ms", rounded(stats.p99_ms)},
          {"slowest_ms", rounded(stats.slowest_ms)},
          {"bars", bars}};
}

}  // namespace

Instant wall_clock() {
  return std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::system_clock::now().time_since_epoch())
      .count();
}

std::shared_ptr<Traffic> DemoTraffic::current() const {
  const std::lock_guard lock(m_mutex);
  return m_traffic;
}

void DemoTraffic::serve(const std::string& conninfo, const std::vector<Shape>& shapes) {
  const std::lock_guard lock(m_mutex);
  if (m_running) {
    if (shapes != m_shapes) {
      m_traffic->serve(shapes);
      m_shapes = shapes;
    }
    return;
  }
  TrafficOptions options;
  options.shape = shapes.front() == Shape::new_shape ? "new" : "old";
  options.conninfo = conninfo;
  options.table = m_table;
  options.rate = k_demo_rate;
  options.timeout = k_application_timeout;
  auto traffic = std::make_shared<Traffic>(options);
  traffic->serve(shapes);
  traffic->start();
  m_traffic = std::move(traffic);
  m_shapes = shapes;
  m_running = true;
}

void DemoTraffic::serve_alone(const std::string& conninfo, Shape shape) {
  serve(conninfo, {shape});
  current()->drain(shape == Shape::old_shape ? Shape::new_shape : Shape::old_shape);
}

void DemoTraffic::stop() {
  std::shared_ptr<Traffic> traffic;
  {
    const std::lock_guard lock(m_mutex);
    m_running = false;
    traffic = m_traffic;
  }
  if (traffic) {
    traffic->stop();
  }
}

bool DemoTraffic::running() const {
  const std::lock_guard lock(m_mutex);
  return m_running;
}

TrafficStats DemoTraffic::stats() const {
  const auto traffic = current();
  return traffic ? traffic->stats() : TrafficStats();
}

TrafficStats DemoTraffic::stats(Shape shape) const {
  const auto traffic = current();
  return traffic ? traffic->stats(shape) : TrafficStats();
}

Strip strip_of(const DemoTraffic& traffic) {
  return {wall_clock(), false, {traffic.stats(Shape::old_shape), traffic.stats(Shape::new_shape)}, {}, std::nullopt};
}

Json strip_json(const Strip& strip) {
  Json marks = Json::array();
  for (const Mark& mark : strip.marks) {
    marks.push_back({{"t", mark.at}, {"text", mark.text}});
  }
  return {{"at", utc_time(strip.at)},
          {"scene", strip.naive ? "naive" : "live"},
          {"span_ms", static_cast<std::int64_t>(k_most_bars) * k_bar.count()},
          {"lanes", {lane_json(Shape::old_shape, strip.lanes[0]), lane_json(Shape::new_shape, strip.lanes[1])}},
          {"marks", marks},
          {"gap", strip.gap ? Json{{"from", strip.gap->first},
                                   {"to", strip.gap->second},
                                   {"ms", strip.gap->second - strip.gap->first}}
                            : Json(nullptr)}};
}

std::string first_line(const std::string& text) {
  return trim(text.substr(0, text.find('\n')));
}

std::string failed_of(const TrafficStats& stats) {
  return fmt::format("{} failed of {} requests", with_thousands(stats.failed), with_thousands(stats.requests));
}

Answer answer_of(const TrafficStats& stats) {
  if (stats.requests == 0) {
    return {"none", stats.running ? "No request was answered yet" : "The application does not run", ""};
  }
  std::int64_t failed = 0;
  double slowest = 0;
  for (const Bar& bar : stats.bars) {
    failed += bar.failed;
    slowest = std::max(slowest, bar.slowest_ms);
  }
  Answer answer{"ok", failed_of(stats),
                fmt::format("p50 {}, p99 {}. Slowest of the last 60 s: {}.", format_milliseconds(stats.p50_ms),
                            format_milliseconds(stats.p99_ms), format_milliseconds(slowest))};
  if (stats.failed > 0) {
    answer.level = failed > 0 ? "bad" : "warn";
    answer.more =
        (failed > 0 ? fmt::format("{} of them in the last 60 s.", with_thousands(failed))
                    : "None of them in the last 60 s.") +
        (stats.errors.empty() ? "" : " The first: " + abbreviate(first_line(stats.errors.front()), 160) + ".");
  }
  return answer;
}

}  // namespace ecmigrate::scene
