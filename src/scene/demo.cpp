#include "ecmigrate/scene/demo.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <set>
#include <thread>

#include "demo_answers.hpp"
#include "demo_controls.hpp"
#include "demo_database.hpp"
#include "demo_naive.hpp"
#include "demo_phase.hpp"
#include "demo_plan.hpp"
#include "demo_traffic.hpp"
#include "ecmigrate/base/clock.hpp"
#include "ecmigrate/base/error.hpp"
#include "ecmigrate/base/text.hpp"
#include "ecmigrate/planfile/planfile.hpp"
#include "ecmigrate/scene/embedded_server.hpp"
#include "ecmigrate/store/journal.hpp"
#include "side_observer.hpp"
#include "sides.hpp"

namespace ecmigrate::scene {

namespace {

using namespace std::chrono_literals;
using Json = nlohmann::ordered_json;

constexpr const char* k_plan_file = "plans/split-full-name.yaml";
constexpr const char* k_database = "shop";
constexpr auto k_report = 5'000ms;

const std::vector<std::string> k_settings{"shared_buffers = 128MB", "max_wal_size = 2GB"};

/// As a shell's word it needs fewer quotes than with the quotes that any folder's name could need.
std::string short_conninfo(const EmbeddedServer& server) {
  const std::string folder = server.folder().string();
  const bool plain = std::ranges::all_of(folder, [](unsigned char c) { return std::isalnum(c) != 0 || c == '/' || c == '-' || c == '_' || c == '.'; });
  return plain ? fmt::format("host={} port=5432 user=postgres dbname={}", folder, k_database) : server.conninfo(k_database);
}

std::string dump(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

serve::Controls::Answer answer(int status, const std::string& text) {
  return {status, dump({{"ok", true}, {"text", text}})};
}

serve::Controls::Answer refusal(int status, const std::string& code, const std::string& message, const std::string& hint) {
  return {status, dump({{"error", {{"code", code}, {"message", message}, {"hint", hint}}}})};
}

/// Versions of the application that run at a state of the migration.
std::vector<Shape> versions_at(State state, bool old_version_ended) {
  if (state == State::contracting || state == State::contracted) {
    return {Shape::new_shape};
  }
  if (state < State::expanded || state > State::contracted) {
    return {Shape::old_shape};
  }
  return old_version_ended ? std::vector{Shape::new_shape} : std::vector{Shape::old_shape, Shape::new_shape};
}

/// The expand-contract side of the comparison: this demo's own run, if it saw all of it.
struct OwnRun {
  Side side;
  std::set<std::string> phases;
  bool complete = false;
};

}  // namespace

class Demo::Impl {
 public:
  Impl(DemoOptions options, serve::Hub& hub, std::stop_token stop)
      : m_options(std::move(options)), m_hub(hub), m_plan(parse_plan(k_demo_plan, k_plan_file)), m_on_stop(std::move(stop), [this] { m_end.request_stop(); }) {
    try {
      open_database();
      prepare_demo(m_conninfo, m_options.rows, m_end.get_token());
      pg::Connection connection({m_conninfo, "ecmigrate demo", nullptr});
      const DemoFacts facts = read_facts(connection);
      m_rows = facts.rows;
      m_old_ended = facts.old_version_ended;
      drop_copy(connection);  // of a naive run that was interrupted
      if (!m_server) {
        m_where = connection.description();
      }
    } catch (...) {
      if (m_server) {
        m_server->stop();
      }
      throw;
    }
    refresh();
    follow();
    m_watcher = std::jthread([this](const std::stop_token& end) { watch(end); });
    m_ticker = std::jthread([this](const std::stop_token& end) { tick(end); });
  }

  ~Impl() { finish(); }
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;

  [[nodiscard]] const std::string& conninfo() const { return m_conninfo; }

  [[nodiscard]] std::string description() const {
    return fmt::format("{} users in {}, {:g} requests/s", with_thousands(m_rows), m_where, k_demo_rate);
  }

  [[nodiscard]] serve::PlannedMigration planned() const { return {m_plan.name, m_plan.description, k_plan_file, planned_shape()}; }

  serve::DemoPart part() {
    const std::lock_guard lock(m_mutex);
    const Standing standing = standing_now();
    const std::optional<NaiveResult> naive = naive_now();
    serve::DemoPart part;
    part.json = dump(demo_json(true));
    part.application = m_naive_scene && naive && naive->traffic.requests > 0 ? answer_about_naive(*naive) : answer_of(m_live.stats());
    part.migration = migration_answer(standing, naive, m_live.stats());
    part.next = next_answer(standing, m_view, k_plan_file, m_target);
    return part;
  }

  Answer post(const std::string& name) {
    const std::vector<Control> all = controls_of({});
    if (std::ranges::find(all, name, &Control::name) == all.end()) {
      return refusal(404, "not_found", fmt::format("there is no control \"{}\"", name), "");
    }
    // Two visitors who click at once are answered one after the other.
    const std::lock_guard turn(m_turn);
    {
      const std::lock_guard lock(m_mutex);
      if (m_end.stop_requested()) {
        return refusal(503, "ending", "the demo ends", "");
      }
      const bool alone = std::ranges::find(all, name, &Control::name)->alone;
      if (m_busy && (alone || m_busy->control == "reset")) {
        return busy(fmt::format("\"{}\"", label_of(m_busy->control)), m_busy->since);
      }
    }
    refresh();
    std::unique_lock lock(m_mutex);
    if (!m_up) {
      return refusal(503, "database_down", "the database does not answer", m_error);
    }
    const Standing standing = standing_now();
    const std::vector<Control> controls = controls_of(standing);
    const Control& control = *std::ranges::find(controls, name, &Control::name);
    if (!control.enabled) {
      if (!m_busy && control.alone && !standing.running.empty()) {
        return busy("another ecmigrate " + standing.running, m_view->run->since);
      }
      const auto primary = std::ranges::find(controls, true, &Control::primary);
      return refusal(409, "not_now", fmt::format("{}: {}", control.label, control.reason),
                     primary == controls.end() ? "" : fmt::format("What comes next is {}.", primary->label));
    }
    if (control.alone) {
      return start(lock, control);
    }
    lock.unlock();
    return act(name);
  }

  std::string finish() {
    if (m_finished) {
      return {};
    }
    m_finished = true;
    m_end.request_stop();
    m_ticker = {};
    m_watcher = {};
    m_worker = {};
    m_reporter = {};
    m_live.stop();
    const TrafficStats stats = m_live.stats();
    if (m_server) {
      m_server->stop();
    }
    return fmt::format("{}; {} of its rows read back, {} lost", failed_of(stats), with_thousands(stats.checked), with_thousands(stats.lost));
  }

 private:
  struct Busy {
    std::string control;
    Instant since = 0;
  };
  struct Message {
    std::string level;
    std::string text;
  };
  struct Written {
    Shape shape;
    WrittenUser user;
    Instant at = 0;
  };

  void open_database() {
    if (!m_options.dbname.empty()) {
      m_conninfo = m_options.dbname;
      m_target = pg::without_password(m_options.dbname);
      return;
    }
    m_server = std::make_unique<EmbeddedServer>(m_options.folder, k_settings);
    m_server->start();
    m_where = "a throwaway PostgreSQL in " + m_options.folder.string();
    m_conninfo = m_target = short_conninfo(*m_server);
    pg::Connection connection({m_server->conninfo("postgres"), "ecmigrate demo", nullptr});
    if (connection.query("select 1 from pg_catalog.pg_database where datname = $1", {k_database}).size() == 0) {
      connection.query(fmt::format("create database {}", k_database));
    }
  }

  // ── what is known ──

  /// Reads where the migration stands.
  void refresh() {
    const std::lock_guard look(m_look);
    std::optional<MigrationView> view;
    std::string error;
    try {
      if (!m_connection) {
        m_connection = std::make_unique<pg::Connection>(pg::Target{m_conninfo, "ecmigrate demo", nullptr});
        m_connection->script("set statement_timeout = '2s'");
        m_format = 0;
      }
      m_format = m_format > 0 ? m_format : Journal(*m_connection).format();
      if (m_format > 0) {
        std::vector<MigrationView> found = ReadModel(*m_connection, m_format).look({m_plan.name}).migrations;
        if (!found.empty()) {
          view = std::move(found.front());
        }
      }
    } catch (const std::exception& failure) {
      error = failure.what();
      m_connection.reset();
    }
    const std::lock_guard lock(m_mutex);
    m_up = error.empty();
    m_error = error;
    if (m_up) {
      m_view = std::move(view);
    }
  }

  /// Has those versions of the application run that should, whoever brought the migration where it is. While a control is at
  /// work, that decides.
  void follow() {
    const std::lock_guard serving(m_serving);
    std::vector<Shape> versions;
    {
      const std::lock_guard lock(m_mutex);
      if (m_busy || !m_up) {
        return;
      }
      versions = versions_at(m_view ? m_view->state : State::planned, m_old_ended);
    }
    try {
      m_live.serve(m_conninfo, versions);
    } catch (const std::exception&) {
      // The next look tries again.
    }
  }

  /// With the lock.
  [[nodiscard]] Standing standing_now() const {
    Standing standing;
    standing.database_up = m_up;
    bool alive = false;
    if (m_view) {
      const Situation situation = situation_of(*m_view);
      alive = situation == Situation::running || situation == Situation::paused;
      standing.state = m_view->state;
      standing.backfilling = alive && m_view->state == State::backfilling;
      standing.paused = m_view->steering.paused;
    }
    standing.running = m_busy ? m_busy->control : alive ? m_view->run->command : std::string();
    standing.old_version = !m_old_ended && standing.state != State::contracted;
    standing.report = m_report_until.has_value();
    standing.naive_seen = m_naive.has_value();
    return standing;
  }

  [[nodiscard]] std::optional<NaiveResult> naive_now() const {
    std::optional<NaiveResult> naive = m_naive;
    if (naive && naive->running) {
      naive->traffic = m_copy->stats();
    }
    return naive;
  }

  [[nodiscard]] Strip strip_now() const {
    if (m_naive_scene && m_strip) {
      return *m_strip;
    }
    const DemoTraffic& traffic = m_naive_scene ? *m_copy : m_live;
    return {wall_clock(), m_naive_scene, {traffic.stats(Shape::old_shape), traffic.stats(Shape::new_shape)}, {m_marks.begin(), m_marks.end()}, std::nullopt};
  }

  [[nodiscard]] Json demo_json(bool with_traffic) const {
    Json controls = Json::array();
    for (const Control& control : controls_of(standing_now())) {
      controls.push_back({{"name", control.name},
                          {"label", control.label},
                          {"under", control.under},
                          {"enabled", control.enabled},
                          {"reason", control.reason.empty() ? Json(nullptr) : Json(control.reason)},
                          {"primary", control.primary}});
    }
    Json json{{"rows", m_rows}, {"max_rows_rate", k_demo_rows_rate}, {"server", m_where}, {"busy", nullptr}, {"controls", controls}, {"written", nullptr}, {"message", nullptr},
              {"naive_run", nullptr}};
    if (m_busy) {
      json["busy"] = {{"control", m_busy->control}, {"since", utc_time(m_busy->since)}};
    }
    if (m_written) {
      Json row = Json::object();
      for (const auto& [column, value] : m_written->user.row) {
        row[column] = value ? Json(*value) : Json(nullptr);
      }
      json["written"] = {{"shape", m_written->shape == Shape::old_shape ? "old" : "new"}, {"text", m_written->user.text}, {"row", row}, {"at", utc_time(m_written->at)}};
    }
    if (m_message) {
      json["message"] = {{"level", m_message->level}, {"text", m_message->text}};
    }
    if (const auto naive = naive_now()) {
      json["naive_run"] = {{"at", utc_time(naive->at)},
                           {"requests", naive->traffic.requests},
                           {"failed", naive->traffic.failed},
                           {"longest_gap_ms", naive->traffic.longest_gap_ms},
                           {"held_ms", naive->held_ms ? Json(*naive->held_ms) : Json(nullptr)},
                           {"running", naive->running}};
    }
    if (with_traffic) {
      json["traffic"] = strip_json(strip_now());
    }
    return json;
  }

  // ── threads that tell ──

  void watch(const std::stop_token& end) {
    while (!end.stop_requested()) {
      refresh();
      follow();
      system_clock().sleep(1'000ms, end);
    }
  }

  void tick(const std::stop_token& end) {
    std::string told;
    while (!end.stop_requested()) {
      {
        const std::lock_guard lock(m_mutex);
        const std::string traffic = dump(strip_json(strip_now()));
        if (traffic != told) {
          m_hub.publish({"traffic", "", false, traffic});
          told = traffic;
        }
        tell();
      }
      system_clock().sleep(k_bar, end);
    }
  }

  /// What has changed, to all who look. With the lock.
  void tell() {
    const std::string demo = dump(demo_json(false));
    if (demo != m_told) {
      m_hub.publish({"demo", "", false, demo});
      m_told = demo;
    }
  }

  void say(const std::string& level, const std::string& text) {
    const std::lock_guard lock(m_mutex);
    m_message = Message{level, text};
    tell();
  }

  void mark(const std::string& text) {
    const std::lock_guard lock(m_mutex);
    constexpr std::size_t k_most_marks = 20;
    m_marks.push_back({wall_clock(), text});
    if (m_marks.size() > k_most_marks) {
      m_marks.pop_front();
    }
  }

  // ── controls ──

  [[nodiscard]] static std::string label_of(const std::string& name) {
    const std::vector<Control> all = controls_of({});
    return std::ranges::find(all, name, &Control::name)->label;
  }

  [[nodiscard]] static Answer busy(const std::string& what, Instant since) {
    return refusal(409, "busy", fmt::format("{} is at work, since {}", what, clock_time(since, wall_clock())), "One thing at a time: wait until it is done.");
  }

  Answer start(std::unique_lock<std::mutex>& lock, const Control& control) {
    m_busy = Busy{control.name, wall_clock()};
    m_message.reset();
    m_naive_scene = false;
    tell();
    lock.unlock();
    m_worker = {};  // the one before is as good as over
    m_worker = std::jthread([this, control] { work(control); });
    return answer(202, control.label + ": begun.");
  }

  void work(const Control& control) {
    Message message{"ok", ""};
    try {
      message = run(control.name);
    } catch (const pg::Stopped&) {
      message = {"warn", fmt::format("{}: stopped at a checkpoint.", control.label)};
    } catch (const Error& error) {
      message = {"bad", trim(fmt::format("{} failed: {}. {}", control.label, first_line(error.what()), error.hint()))};
    } catch (const std::exception& error) {
      message = {"bad", fmt::format("{} failed: {}.", control.label, error.what())};
    }
    refresh();
    {
      const std::lock_guard lock(m_mutex);
      m_busy.reset();
      m_message = message;
    }
    if (!m_end.stop_requested()) {
      follow();
    }
    const std::lock_guard lock(m_mutex);
    tell();
  }

  Message run(const std::string& name) {
    if (name == "expand") {
      mark("expand");
      run_phase(name, &Migration::expand);
      return {"ok", "Expanded. The new version of the application has started: both write."};
    }
    if (name == "backfill") {
      mark("backfill");
      let_go_on();
      run_phase(name, &Migration::backfill);
      return {"ok", "Backfilled. Every row has its new columns."};
    }
    if (name == "verify") {
      mark("verify");
      run_phase(name, &Migration::verify);
      return {"ok", "Verified: 0 differences."};
    }
    if (name == "contract") {
      mark("contract");
      run_phase(name, &Migration::contract);
      return {"ok", "Contracted. full_name is gone, the new version writes on."};
    }
    if (name == "stop_old") {
      return stop_old_version();
    }
    if (name == "rollback") {
      return roll_back();
    }
    return name == "naive" ? run_naive_way() : reset();
  }

  void run_phase(const std::string& command, void (Migration::*phase)()) {
    if (command == "expand" || command == "rollback") {
      m_own_run.reset();
    }
    if (command == "expand" && m_live.stats().failed == 0) {
      m_own_run.emplace();
    }
    Side side = m_own_run ? m_own_run->side : Side();
    measure([&](pg::Connection& connection) {
      if (command == "expand") {
        std::tie(side.table_bytes_before, side.index_bytes_before) = bytes_of(connection, "public.users");
      }
      side.wal_bytes -= wal_position(connection);
    });
    SideObserver observer(side);
    const auto begin = SteadyClock::now();
    run_demo_phase({m_plan, m_conninfo, m_target, command, phase}, observer, m_end.get_token());
    side.duration_ms += std::chrono::duration<double, std::milli>(SteadyClock::now() - begin).count();
    measure([&](pg::Connection& connection) {
      side.wal_bytes += wal_position(connection);
      std::tie(side.table_bytes_after, side.index_bytes_after) = bytes_of(connection, "public.users");
    });
    if (m_own_run) {
      m_own_run->phases.insert(command);
      if (command == "contract" && m_own_run->phases.size() == 4) {
        add_traffic(side, m_live.stats());
        m_own_run->complete = true;
      }
      m_own_run->side = std::move(side);
    }
  }

  /// A figure that cannot be had fails no phase: there is no comparison then.
  template <typename Read>
  void measure(const Read& read) {
    try {
      pg::Connection connection({m_conninfo, "ecmigrate demo", nullptr});
      read(connection);
    } catch (const Error&) {
      m_own_run.reset();
    }
  }

  /// Who presses for a backfill wants it to run: a pause that an earlier one left is over.
  void let_go_on() {
    {
      const std::lock_guard lock(m_mutex);
      if (!m_view || !m_view->steering.paused) {
        return;
      }
    }
    set_paused(false);
  }

  void set_paused(bool paused) {
    pg::Connection connection({m_conninfo, "ecmigrate demo", nullptr});
    Journal journal(connection);
    journal.steer_pause(m_plan.name, paused);
    journal.record_event(m_plan.name, 0, event::Steered{paused ? "paused" : "resumed", connection.query("select current_user").text(0, 0)});
  }

  void note(pg::Connection& connection, event::Note::Level level, const std::string& text) {
    Journal journal(connection);
    if (journal.installed() && journal.find(m_plan.name)) {
      journal.record_event(m_plan.name, 0, event::Note{level, text});
    }
  }

  void serve_alone(Shape shape) {
    const std::lock_guard serving(m_serving);
    m_live.serve_alone(m_conninfo, shape);
  }

  Message stop_old_version() {
    mark("old version stops");
    pg::Connection connection({m_conninfo, "ecmigrate demo", nullptr});
    serve_alone(Shape::new_shape);
    write_old_version_ended(connection, true);
    set_old_ended(true);
    note(connection, event::Note::Level::info, "the old version of the application is stopped");
    return {"ok", "The old version is stopped: the new one answers every request."};
  }

  Message roll_back() {
    mark("rollback");
    pg::Connection connection({m_conninfo, "ecmigrate demo", nullptr});
    serve_alone(Shape::old_shape);
    write_old_version_ended(connection, false);
    set_old_ended(false);
    note(connection, event::Note::Level::info, "the new version of the application is stopped, the old one runs");
    run_phase("rollback", &Migration::rollback);
    return {"ok", "Rolled back. The old version runs alone, first_name and last_name are gone."};
  }

  void set_old_ended(bool ended) {
    const std::lock_guard lock(m_mutex);
    m_old_ended = ended;
  }

  Message run_naive_way() {
    {
      const std::lock_guard lock(m_mutex);
      m_copy = std::make_shared<DemoTraffic>(k_naive_table);
      m_naive = NaiveResult{.at = wall_clock(), .running = true};
      m_strip.reset();
      m_marks.clear();
      m_naive_scene = true;
      m_message = Message{"warn", "The naive way runs on users_naive, a copy. The kindest release there is: the old version stops and the new one starts at the instant of commit."};
      tell();
    }
    try {
      NaiveScene scene = run_naive_scene(m_conninfo, k_demo_plan, *m_copy, [this](const std::string& text) { mark(text); }, m_end.get_token());
      return tell_naive(scene);
    } catch (...) {
      const std::lock_guard lock(m_mutex);
      m_naive.reset();
      m_naive_scene = false;
      throw;
    }
  }

  Message tell_naive(NaiveScene& scene) {
    const LockTime& lock_of_all = scene.side.locks.front();
    NaiveResult result;
    {
      const std::lock_guard lock(m_mutex);
      scene.strip.marks.assign(m_marks.begin(), m_marks.end());
      m_marks.clear();
      m_naive->running = false;
      m_naive->traffic = m_copy->stats();
      m_naive->held_ms = lock_of_all.held_ms;
      m_strip = scene.strip;
      result = *m_naive;
    }
    pg::Connection connection({m_conninfo, "ecmigrate demo", nullptr});
    note(connection, event::Note::Level::warning, fmt::format("the naive way, on a copy: held {} on {} for {}, blocked {} sessions, {}", lock_of_all.mode, k_naive_table,
                                                              format_milliseconds(lock_of_all.held_ms), lock_of_all.blocked_sessions, failed_of(result.traffic)));
    if (m_own_run && m_own_run->complete) {
      record_comparison(connection, scene);
    }
    return {answer_about_naive(result).level, fmt::format("The naive way: {}, {} without an answer.", failed_of(result.traffic), format_milliseconds(result.traffic.longest_gap_ms))};
  }

  void record_comparison(pg::Connection& connection, const NaiveScene& scene) {
    const auto longest = [](const Side& side, const std::string& phase) {
      double held = 0;
      for (const LockTime& lock : side.locks) {
        held = std::max(held, lock.phase == phase && stopped_by(lock.mode) != "nothing" ? lock.held_ms : 0);
      }
      return held;
    };
    Comparison comparison;
    comparison.at = utc_time(wall_clock());
    comparison.server = scene.server;
    comparison.plan = m_plan.name;
    comparison.table = "users";
    comparison.rows = scene.rows;
    comparison.requests_per_second = k_demo_rate;
    comparison.application_timeout_ms = static_cast<double>(k_application_timeout.count());
    comparison.expand_contract = m_own_run->side;
    comparison.naive = scene.side;
    comparison.sizes.push_back({scene.rows, longest(m_own_run->side, "expand"), longest(m_own_run->side, "contract"), longest(scene.side, "naive")});
    Journal(connection).record_comparison(m_plan.name, scene.rows, scene.server, comparison_json(comparison));
  }

  Message reset() {
    m_reporter = {};
    {
      const std::lock_guard serving(m_serving);
      m_live.stop();
    }
    reset_demo(m_conninfo, m_end.get_token());
    m_own_run.reset();
    const std::lock_guard lock(m_mutex);
    m_old_ended = false;
    m_naive.reset();
    m_strip.reset();
    m_marks.clear();
    m_written.reset();
    return {"ok", "Reset: the users are as they were in the beginning."};
  }

  Answer act(const std::string& name) {
    try {
      if (name == "pause" || name == "resume") {
        return steer(name == "pause");
      }
      return name == "report" ? open_report() : write(name == "write_old" ? Shape::old_shape : Shape::new_shape);
    } catch (const Error& error) {
      return refusal(503, "failed", error.what(), error.hint());
    }
  }

  Answer steer(bool paused) {
    set_paused(paused);
    refresh();
    say("ok", paused ? "Paused. Resume lets the backfill go on where it is." : "Resumed.");
    return answer(200, paused ? "Paused." : "Resumed.");
  }

  Answer write(Shape shape) {
    pg::Connection connection({m_conninfo, "shop, a visitor", nullptr});
    const WrittenUser user = write_user(connection, shape);
    const std::lock_guard lock(m_mutex);
    m_written = Written{shape, user, wall_clock()};
    tell();
    return answer(200, fmt::format("The {} version wrote a user.", shape == Shape::old_shape ? "old" : "new"));
  }

  Answer open_report() {
    auto connection = std::make_shared<pg::Connection>(pg::Target{m_conninfo, "report", nullptr});
    connection->script("begin; select from public.users limit 1");
    {
      const std::lock_guard lock(m_mutex);
      m_report_until = wall_clock() + k_report.count();
    }
    m_reporter = std::jthread([this, connection](const std::stop_token& end) mutable {
      system_clock().sleep(k_report, end);
      connection.reset();
      const std::lock_guard lock(m_mutex);
      m_report_until.reset();
      tell();
    });
    say("ok", "A report has read users and stays open for 5 s: a lock that would wait for it gives up and tries again, so that no request waits behind it.");
    return answer(200, "A report is open for 5 s.");
  }

  DemoOptions m_options;
  serve::Hub& m_hub;
  Plan m_plan;
  std::unique_ptr<EmbeddedServer> m_server;
  std::string m_conninfo;
  std::string m_target;  ///< as a command line has it
  std::string m_where;
  std::int64_t m_rows = 0;
  DemoTraffic m_live{"users"};
  std::optional<OwnRun> m_own_run;  ///< of the worker alone

  std::mutex m_turn;     ///< of those who press
  std::mutex m_serving;  ///< of who says which versions run
  std::mutex m_look;  ///< of `m_connection` and `m_format`
  std::unique_ptr<pg::Connection> m_connection;
  int m_format = 0;

  mutable std::mutex m_mutex;  ///< of all from here to `m_told`
  bool m_up = true;
  std::string m_error;
  std::optional<MigrationView> m_view;
  bool m_old_ended = false;
  std::optional<Busy> m_busy;
  std::optional<Message> m_message;
  std::optional<Written> m_written;
  std::optional<Instant> m_report_until;
  std::deque<Mark> m_marks;
  bool m_naive_scene = false;  ///< the strip shows it
  std::optional<NaiveResult> m_naive;
  std::shared_ptr<DemoTraffic> m_copy;
  std::optional<Strip> m_strip;  ///< of the naive way, when it is over
  std::string m_told;

  bool m_finished = false;
  std::stop_source m_end;
  std::stop_callback<std::function<void()>> m_on_stop;
  std::jthread m_worker;
  std::jthread m_reporter;
  std::jthread m_watcher;
  std::jthread m_ticker;
};

Demo::Demo(DemoOptions options, serve::Hub& hub, std::stop_token stop) : m_impl(std::make_unique<Impl>(std::move(options), hub, std::move(stop))) {}

Demo::~Demo() = default;

std::string Demo::conninfo() const {
  return m_impl->conninfo();
}

std::string Demo::description() const {
  return m_impl->description();
}

serve::PlannedMigration Demo::planned() const {
  return m_impl->planned();
}

serve::DemoPart Demo::part() const {
  return m_impl->part();
}

serve::Controls::Answer Demo::post(const std::string& name, const std::string& /*body*/) {
  return m_impl->post(name);
}

std::string Demo::finish() {
  return m_impl->finish();
}

}  // namespace ecmigrate::scene
