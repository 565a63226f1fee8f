#include "demo_view.hpp"

#include "demo_migration.hpp"

namespace ecmigrate::scene {

namespace {

using Json = nlohmann::ordered_json;

std::string dump(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

Json controls_json(const Standing& standing) {
  Json controls = Json::array();
  for (const Control& control : controls_of(standing)) {
    controls.push_back({{"name", control.name},
                        {"label", control.label},
                        {"under", control.under},
                        {"enabled", control.enabled},
                        {"reason", control.reason.empty() ? Json(nullptr) : Json(control.reason)},
                        {"primary", control.primary}});
  }
  return controls;
}

Json row_json(const WrittenUser& user) {
  Json row = Json::object();
  for (const auto& [column, value] : user.row) {
    row[column] = value ? Json(*value) : Json(nullptr);
  }
  return row;
}

Json naive_json(const NaiveResult& naive) {
  return {{"at", utc_time(naive.at)},
          {"requests", naive.traffic.requests},
          {"failed", naive.traffic.failed},
          {"longest_gap_ms", naive.traffic.longest_gap_ms},
          {"held_ms", naive.held_ms ? Json(*naive.held_ms) : Json(nullptr)},
          {"running", naive.running}};
}

}  // namespace

void DemoView::set_shop(Shop shop) {
  const std::lock_guard lock(m_mutex);
  m_shop = std::move(shop);
}

DemoView::Shop DemoView::shop() const {
  const std::lock_guard lock(m_mutex);
  return m_shop;
}

void DemoView::see(std::optional<MigrationView> migration) {
  const std::lock_guard lock(m_mutex);
  m_up = true;
  m_error.clear();
  m_migration = std::move(migration);
}

void DemoView::see_failure(const std::string& error) {
  const std::lock_guard lock(m_mutex);
  m_up = false;
  m_error = error;
}

void DemoView::set_old_version(bool runs) {
  const std::lock_guard lock(m_mutex);
  m_old_version = runs;
}

void DemoView::set_report(bool open) {
  const std::lock_guard lock(m_mutex);
  m_report = open;
  tell_changes();
}

Standing DemoView::standing() const {
  const std::lock_guard lock(m_mutex);
  return standing_now();
}

std::optional<Busy> DemoView::busy() const {
  const std::lock_guard lock(m_mutex);
  return m_busy;
}

std::string DemoView::error() const {
  const std::lock_guard lock(m_mutex);
  return m_error;
}

Instant DemoView::run_since() const {
  const std::lock_guard lock(m_mutex);
  return m_migration && m_migration->run ? m_migration->run->since : wall_clock();
}

void DemoView::begin(const std::string& control) {
  const std::lock_guard lock(m_mutex);
  m_busy = Busy{control, wall_clock()};
  m_message.reset();
  m_naive_scene = false;
  tell_changes();
}

void DemoView::end(DemoMessage message) {
  const std::lock_guard lock(m_mutex);
  m_busy.reset();
  m_message = std::move(message);
  tell_changes();
}

void DemoView::say(DemoMessage message) {
  const std::lock_guard lock(m_mutex);
  m_message = std::move(message);
  tell_changes();
}

void DemoView::show(Shape shape, WrittenUser user) {
  const std::lock_guard lock(m_mutex);
  m_written = Written{shape, std::move(user), wall_clock()};
  tell_changes();
}

void DemoView::mark(const std::string& text) {
  const std::lock_guard lock(m_mutex);
  constexpr std::size_t k_most_marks = 20;
  m_marks.push_back({wall_clock(), text});
  if (m_marks.size() > k_most_marks) {
    m_marks.pop_front();
  }
}

void DemoView::begin_naive(std::shared_ptr<const DemoTraffic> copy) {
  const std::lock_guard lock(m_mutex);
  m_copy = std::move(copy);
  m_naive = NaiveResult{.at = wall_clock(), .running = true};
  m_committed.reset();
  m_strip.reset();
  m_marks.clear();
  m_naive_scene = true;
  m_message = DemoMessage{"warn",
                          "The naive way runs on users_naive, a copy: one transaction that adds the columns, updates "
                          "every row and drops full_name."};
  tell_changes();
}

void DemoView::naive_committed() {
  const std::lock_guard lock(m_mutex);
  m_committed = wall_clock();
}

void DemoView::end_naive(Strip strip, double held_ms) {
  const std::lock_guard lock(m_mutex);
  strip.marks.assign(m_marks.begin(), m_marks.end());
  m_marks.clear();
  m_naive->running = false;
  m_naive->traffic = m_copy->stats();
  m_naive->held_ms = held_ms;
  m_strip = std::move(strip);
}

void DemoView::forget_naive() {
  const std::lock_guard lock(m_mutex);
  m_naive.reset();
  m_naive_scene = false;
}

std::optional<NaiveResult> DemoView::naive() const {
  const std::lock_guard lock(m_mutex);
  return naive_now();
}

void DemoView::forget() {
  const std::lock_guard lock(m_mutex);
  m_old_version = true;
  m_naive.reset();
  m_naive_scene = false;
  m_marks.clear();
  m_written.reset();
}

Standing DemoView::standing_now() const {
  Standing standing;
  standing.database_up = m_up;
  bool alive = false;
  if (m_migration) {
    const Situation situation = situation_of(*m_migration);
    alive = situation == Situation::running || situation == Situation::paused;
    standing.state = m_migration->state;
    standing.backfilling = alive && m_migration->state == State::backfilling;
    standing.paused = m_migration->steering.paused;
  }
  standing.running = m_busy ? m_busy->control : alive ? m_migration->run->command : std::string();
  standing.old_version = m_old_version;
  standing.report = m_report;
  standing.naive_seen = m_naive.has_value();
  return standing;
}

std::optional<NaiveResult> DemoView::naive_now() const {
  std::optional<NaiveResult> naive = m_naive;
  if (naive && naive->running) {
    naive->traffic = m_copy->stats();
  }
  return naive;
}

Strip DemoView::strip_now() const {
  if (m_naive_scene && m_strip) {
    return *m_strip;
  }
  Strip strip = m_naive_scene ? strip_of_naive(*m_copy, m_committed) : strip_of(m_live);
  strip.marks.assign(m_marks.begin(), m_marks.end());
  return strip;
}

Json DemoView::document(bool with_traffic) const {
  Json json{{"rows", m_shop.rows},
            {"max_rows_rate", k_demo_rows_rate},
            {"server", m_shop.where},
            {"busy", nullptr},
            {"controls", controls_json(standing_now())},
            {"written", nullptr},
            {"message", nullptr},
            {"naive_run", nullptr}};
  if (m_busy) {
    json["busy"] = {{"control", m_busy->control}, {"since", utc_time(m_busy->since)}};
  }
  if (m_written) {
    json["written"] = {{"shape", m_written->shape == Shape::old_shape ? "old" : "new"},
                       {"text", m_written->user.text},
                       {"row", row_json(m_written->user)},
                       {"at", utc_time(m_written->at)}};
  }
  if (m_message) {
    json["message"] = {{"level", m_message->level}, {"text", m_message->text}};
  }
  if (const auto naive = naive_now()) {
    json["naive_run"] = naive_json(*naive);
  }
  if (with_traffic) {
    json["traffic"] = strip_json(strip_now());
  }
  return json;
}

serve::DemoPart DemoView::part() const {
  const std::lock_guard lock(m_mutex);
  const Standing standing = standing_now();
  const std::optional<NaiveResult> naive = naive_now();
  const TrafficStats live = m_live.stats();
  serve::DemoPart part;
  part.json = dump(document(true));
  part.application =
      m_naive_scene && naive && naive->traffic.requests > 0 ? answer_about_naive(*naive) : answer_of(live);
  part.migration = migration_answer(standing, naive, live);
  part.next = next_answer(standing, m_migration, m_shop.plan_file, m_shop.target);
  return part;
}

void DemoView::tell() {
  const std::lock_guard lock(m_mutex);
  if (const std::string traffic = dump(strip_json(strip_now())); traffic != m_told_traffic) {
    m_hub.publish({"traffic", "", false, traffic});
    m_told_traffic = traffic;
  }
  tell_changes();
}

void DemoView::tell_changes() {
  if (const std::string demo = dump(document(false)); demo != m_told) {
    m_hub.publish({"demo", "", false, demo});
    m_told = demo;
  }
}

}  // namespace ecmigrate::scene
