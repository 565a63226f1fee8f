#pragma once

#include <array>
#include <memory>
#include <mutex>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "ecmigrate/report/answers.hpp"
#include "ecmigrate/scene/traffic.hpp"

namespace ecmigrate::scene {

/// Of both scenes, and what makes them comparable.
inline constexpr double k_demo_rate = 200;

/// The application of the demo, whose versions come and go. Safe from any thread.
class DemoTraffic {
 public:
  explicit DemoTraffic(std::string table) : m_table(std::move(table)) {}

  /// These versions answer from now on; connects if there is no application yet. Throws Error{cannot_connect}.
  void serve(const std::string& conninfo, const std::vector<Shape>& shapes);
  /// The same, and no request of any other version is under way any more.
  void serve_alone(const std::string& conninfo, Shape shape);
  /// Ends it, and keeps its figures until it begins again.
  void stop();
  [[nodiscard]] bool running() const;

  [[nodiscard]] TrafficStats stats() const;
  [[nodiscard]] TrafficStats stats(Shape shape) const;

 private:
  [[nodiscard]] std::shared_ptr<Traffic> current() const;

  std::string m_table;
  mutable std::mutex m_mutex;
  std::shared_ptr<Traffic> m_traffic;
  std::vector<Shape> m_shapes;
  bool m_running = false;
};

/// What the strip shows at a moment of it.
struct Mark {
  Instant at = 0;
  std::string text;
};

/// The traffic strip: two lanes, oldest bar first.
struct Strip {
  Instant at = 0;
  bool naive = false;
  std::array<TrafficStats, 2> lanes;  ///< by Shape
  std::vector<Mark> marks;
  std::optional<std::pair<Instant, Instant>> gap;  ///< without an answer
};
/// At this moment, without marks.
Strip strip_of(const DemoTraffic& traffic);
nlohmann::ordered_json strip_json(const Strip& strip);

/// "0 failed of 11,982 requests".
std::string failed_of(const TrafficStats& stats);
/// Whether the application is fine, from what its requests felt.
Answer answer_of(const TrafficStats& stats);

Instant wall_clock();
/// Of a message of libpq, which may have several.
std::string first_line(const std::string& text);

}  // namespace ecmigrate::scene
