#pragma once

#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "demo_answers.hpp"
#include "demo_controls.hpp"
#include "demo_database.hpp"
#include "demo_traffic.hpp"
#include "ecmigrate/serve/hub.hpp"
#include "ecmigrate/serve/journal_content.hpp"

namespace ecmigrate::scene {

struct DemoMessage {
  std::string level;
  std::string text;
};

/// A control that is at work alone.
struct Busy {
  std::string control;
  Instant since = 0;
};

/// What is known of the demo and shown to who looks, who hear of changes at once. Safe from any thread.
class DemoView {
 public:
  /// What does not change.
  struct Shop {
    std::int64_t rows = 0;
    std::string where;  ///< "a throwaway PostgreSQL in /tmp/…"
    std::string plan_file;
    std::string target;  ///< as a command line has it
  };

  /// Both must outlive it.
  DemoView(serve::Hub& hub, const DemoTraffic& live) : m_hub(hub), m_live(live) {}

  void set_shop(Shop shop);
  [[nodiscard]] Shop shop() const;

  /// Where the migration stands; nothing: it was never begun.
  void see(std::optional<MigrationView> migration);
  void see_failure(const std::string& error);
  void set_old_version(bool runs);
  void set_report(bool open);

  [[nodiscard]] Standing standing() const;
  [[nodiscard]] std::optional<Busy> busy() const;
  [[nodiscard]] std::string error() const;  ///< why the database does not answer
  [[nodiscard]] Instant run_since() const;  ///< when the newest run began

  void begin(const std::string& control);
  void end(DemoMessage message);
  void say(DemoMessage message);
  void show(Shape shape, WrittenUser user);
  /// In the traffic strip.
  void mark(const std::string& text);

  /// The strip shows the traffic of the copy from now on, until another control begins.
  void begin_naive(std::shared_ptr<const DemoTraffic> copy);
  void naive_committed();
  void end_naive(Strip strip, double held_ms);
  void forget_naive();
  [[nodiscard]] std::optional<NaiveResult> naive() const;
  /// All that a visitor has made.
  void forget();

  [[nodiscard]] serve::DemoPart part() const;
  /// Tells the streams of the traffic, and what has changed.
  void tell();

 private:
  struct Written {
    Shape shape = Shape::old_shape;
    WrittenUser user;
    Instant at = 0;
  };

  // With the lock:
  [[nodiscard]] Standing standing_now() const;
  [[nodiscard]] std::optional<NaiveResult> naive_now() const;
  [[nodiscard]] Strip strip_now() const;
  [[nodiscard]] nlohmann::ordered_json document(bool with_traffic) const;
  void tell_changes();

  serve::Hub& m_hub;
  const DemoTraffic& m_live;
  mutable std::mutex m_mutex;
  Shop m_shop;
  bool m_up = true;
  std::string m_error;
  std::optional<MigrationView> m_migration;
  bool m_old_version = true;
  bool m_report = false;
  std::optional<Busy> m_busy;
  std::optional<DemoMessage> m_message;
  std::optional<Written> m_written;
  std::deque<Mark> m_marks;
  bool m_naive_scene = false;  ///< the strip shows it
  std::optional<NaiveResult> m_naive;
  std::shared_ptr<const DemoTraffic> m_copy;
  std::optional<Instant> m_committed;
  std::optional<Strip> m_strip;  ///< of the naive way, when it is over
  std::string m_told;
  std::string m_told_traffic;
};

}  // namespace ecmigrate::scene
