#include "ecmigrate/scene/demo.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <thread>

#include "demo_controls.hpp"
#include "demo_database.hpp"
#include "demo_look.hpp"
#include "demo_migration.hpp"
#include "demo_plan.hpp"
#include "demo_replies.hpp"
#include "demo_view.hpp"
#include "ecmigrate/base/clock.hpp"
#include "ecmigrate/base/error.hpp"
#include "ecmigrate/base/text.hpp"
#include "ecmigrate/planfile/planfile.hpp"
#include "ecmigrate/scene/embedded_server.hpp"

namespace ecmigrate::scene {

namespace {

using namespace std::chrono_literals;

constexpr const char* k_plan_file = "plans/split-full-name.yaml";
constexpr const char* k_database = "shop";
constexpr auto k_report = 5'000ms;

const std::vector<std::string> k_settings{"shared_buffers = 128MB", "max_wal_size = 2GB"};

/// As a shell's word it needs fewer quotes than with the quotes that any folder's name could need.
std::string short_conninfo(const EmbeddedServer& server) {
  const std::string folder = server.folder().string();
  const bool plain = std::ranges::all_of(
      folder, [](unsigned char c) { return std::isalnum(c) != 0 || c == '/' || c == '-' || c == '_' || c == '.'; });
  return plain ? fmt::format("host={} port=5432 user=postgres dbname={}", folder, k_database)
               : server.conninfo(k_database);
}

const Control& named(const std::vector<Control>& controls, const std::string& name) {
  return *std::ranges::find(controls, name, &Control::name);
}

/// Versions of the application that run at a state of the migration.
std::vector<Shape> versions_at(const Standing& standing) {
  if (standing.state == State::contracting || standing.state == State::contracted) {
    return {Shape::new_shape};
  }
  if (standing.state < State::expanded || standing.state > State::contracted) {
    return {Shape::old_shape};
  }
  return standing.old_version ? std::vector{Shape::old_shape, Shape::new_shape} : std::vector{Shape::new_shape};
}

}  // namespace

class Demo::Impl {
 public:
  Impl(DemoOptions options, serve::Hub& hub, std::stop_token stop)
      : m_view(hub, m_live), m_on_stop(std::move(stop), [this] { m_end.request_stop(); }) {
    try {
      open(options);
    } catch (...) {
      stop_server();
      throw;
    }
    m_look->refresh();
    follow();
    m_watcher = std::jthread([this](const std::stop_token& end) { watch(end); });
    m_ticker = std::jthread([this](const std::stop_token& end) {
      while (!end.stop_requested()) {
        m_view.tell();
        system_clock().sleep(k_bar, end);
      }
    });
  }

  ~Impl() { finish(); }
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;

  [[nodiscard]] const std::string& conninfo() const { return m_conninfo; }
  [[nodiscard]] const DemoView& view() const { return m_view; }
  [[nodiscard]] const Plan& plan() const { return m_migration->plan(); }

  Answer post(const std::string& name) {
    const std::vector<Control> all = controls_of({});
    if (std::ranges::find(all, name, &Control::name) == all.end()) {
      return refused(404, "not_found", fmt::format("there is no control \"{}\"", name), "");
    }
    // Two visitors who click at once are answered one after the other.
    const std::lock_guard turn(m_turn);
    const auto at_work = m_view.busy();
    if (at_work && (named(all, name).alone || at_work->control == "reset")) {
      return busy_with(fmt::format("\"{}\"", named(all, at_work->control).label), at_work->since);
    }
    m_look->refresh();
    const Standing standing = m_view.standing();
    if (!standing.database_up) {
      return refused(503, "database_down", "the database does not answer", m_view.error());
    }
    const std::vector<Control> controls = controls_of(standing);
    const Control& control = named(controls, name);
    if (!control.enabled) {
      if (!at_work && control.alone && !standing.running.empty()) {
        return busy_with("another ecmigrate " + standing.running, m_view.run_since());
      }
      const auto next = std::ranges::find(controls, true, &Control::primary);
      return refused(409, "not_now", fmt::format("{}: {}", control.label, control.reason),
                     next == controls.end() ? "" : fmt::format("What comes next is {}.", next->label));
    }
    if (!control.alone) {
      return act(name);
    }
    m_view.begin(name);
    m_worker = {};  // the one before is as good as over
    m_worker = std::jthread([this, control] { work(control); });
    return done(202, control.label + ": begun.");
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
    stop_server();
    return fmt::format("{}; {} rows that they wrote read back, {} lost", failed_of(stats),
                       with_thousands(stats.checked), with_thousands(stats.lost));
  }

 private:
  [[nodiscard]] pg::Connection connect() const { return pg::Connection({m_conninfo, "ecmigrate demo", nullptr}); }

  void open(const DemoOptions& options) {
    DemoView::Shop shop{
        .rows = 0, .where = {}, .plan_file = k_plan_file, .target = pg::without_password(options.dbname)};
    m_conninfo = options.dbname;
    if (options.dbname.empty()) {
      m_server = std::make_unique<EmbeddedServer>(options.folder, k_settings);
      m_server->start();
      m_conninfo = shop.target = short_conninfo(*m_server);
      shop.where = "a throwaway PostgreSQL in " + options.folder.string();
      pg::Connection connection({m_server->conninfo("postgres"), "ecmigrate demo", nullptr});
      bool exists =
          connection.query("select 1 from pg_catalog.pg_database where datname = $1", {k_database}).size() > 0;
      if (exists && !is_prepared(m_server->conninfo(k_database))) {
        // Of a program before the demo kept facts. Nothing on a throwaway server is worth a question.
        connection.query(fmt::format("drop database {} with (force)", k_database));
        exists = false;
      }
      if (!exists) {
        connection.query(fmt::format("create database {}", k_database));
      }
    }
    prepare_demo(m_conninfo, options.rows, m_end.get_token());
    pg::Connection connection = connect();
    drop_copy(connection);  // of a naive run that was interrupted
    const DemoFacts facts = read_facts(connection);
    shop.rows = facts.rows;
    shop.where = m_server ? shop.where : connection.description();
    m_view.set_old_version(!facts.old_version_ended);
    m_migration.emplace(parse_plan(k_demo_plan, k_plan_file), m_conninfo, shop.target, m_live, m_end.get_token());
    m_look.emplace(m_conninfo, plan().name, m_view);
    m_view.set_shop(std::move(shop));
  }

  void stop_server() {
    if (m_server) {
      m_server->stop();
    }
  }

  /// Has those versions of the application run that should, whoever brought the migration where it is. A control that
  /// is at work decides by itself.
  void follow() {
    const std::lock_guard serving(m_serving);
    const Standing standing = m_view.standing();
    if (m_view.busy() || !standing.database_up) {
      return;
    }
    try {
      m_live.serve(m_conninfo, versions_at(standing));
    } catch (const std::exception&) {
      // The next look tries again.
    }
  }

  void watch(const std::stop_token& end) {
    while (!end.stop_requested()) {
      m_look->refresh();
      follow();
      system_clock().sleep(1'000ms, end);
    }
  }

  void work(const Control& control) {
    DemoMessage message;
    try {
      message = run(control.name);
    } catch (const pg::Stopped&) {
      message = {"warn", fmt::format("{}: stopped at a checkpoint.", control.label)};
    } catch (const Error& error) {
      message = {"bad", trim(fmt::format("{} failed: {}. {}", control.label, first_line(error.what()), error.hint()))};
    } catch (const std::exception& error) {
      message = {"bad", fmt::format("{} failed: {}.", control.label, error.what())};
    }
    m_look->refresh();
    m_view.end(message);
    if (!m_end.stop_requested()) {
      follow();
    }
  }

  DemoMessage run(const std::string& name) {
    if (name == "stop_old") {
      m_view.mark("old version stops");
      serve_alone(Shape::new_shape);
      m_migration->note(event::Note::Level::info, "the old version of the application is stopped");
      return {"ok", "The old version is stopped: the new one answers every request."};
    }
    if (name == "naive") {
      return run_naive_way();
    }
    if (name == "reset") {
      return reset();
    }
    m_view.mark(name);
    if (name == "rollback") {
      serve_alone(Shape::old_shape);
      m_migration->note(event::Note::Level::info, "the new version of the application is stopped, the old one runs");
    }
    if (name == "backfill" && m_view.standing().paused) {
      m_migration->set_paused(false);  // who presses wants it to run
    }
    m_migration->run(name);
    return name == "expand" ? DemoMessage{"ok", "Expanded. The new version of the application has started: both write."}
           : name == "backfill" ? DemoMessage{"ok", "Backfilled. Every row has its new columns."}
           : name == "verify"   ? DemoMessage{"ok", "Verified: 0 differences."}
           : name == "contract"
               ? DemoMessage{"ok", "Contracted. full_name is gone, the new version writes on."}
               : DemoMessage{"ok", "Rolled back. The old version runs alone, first_name and last_name are gone."};
  }

  /// The other version ends, and stays ended when the demo is started again.
  void serve_alone(Shape shape) {
    {
      const std::lock_guard serving(m_serving);
      m_live.serve_alone(m_conninfo, shape);
    }
    pg::Connection connection = connect();
    write_old_version_ended(connection, shape == Shape::new_shape);
    m_view.set_old_version(shape == Shape::old_shape);
  }

  DemoMessage run_naive_way() {
    const auto copy = std::make_shared<DemoTraffic>(k_naive_table);
    m_view.begin_naive(copy);
    NaiveScene scene;
    try {
      const NaiveListener listener{[this] { m_view.mark("naive begins"); },
                                   [this] {
                                     m_view.mark("commit");
                                     m_view.naive_committed();
                                   }};
      scene = run_naive_scene(m_conninfo, k_demo_plan, *copy, listener, m_end.get_token());
    } catch (...) {
      m_view.forget_naive();
      throw;
    }
    const LockTime& lock = scene.side.locks.front();
    m_view.end_naive(scene.strip, lock.held_ms);
    const NaiveResult result = *m_view.naive();
    m_migration->note(
        event::Note::Level::warning,
        fmt::format("the naive way, on a copy: held {} on {} for {}, blocked {} sessions; {}", lock.mode, k_naive_table,
                    format_milliseconds(lock.held_ms), lock.blocked_sessions, failed_of(result.traffic)));
    m_migration->record_comparison(scene);
    return {answer_about_naive(result).level,
            fmt::format("The naive way: {}, {} without an answer.", failed_of(result.traffic),
                        format_milliseconds(result.traffic.longest_gap_ms))};
  }

  DemoMessage reset() {
    m_reporter = {};
    {
      const std::lock_guard serving(m_serving);
      m_live.stop();
    }
    reset_demo(m_conninfo, m_end.get_token());
    m_migration->forget();
    m_view.forget();
    return {"ok", "Reset: the users are as they were in the beginning."};
  }

  Answer act(const std::string& name) {
    try {
      if (name == "pause" || name == "resume") {
        m_migration->set_paused(name == "pause");
        m_look->refresh();
        m_view.say({"ok", name == "pause" ? "Paused. Resume lets the backfill go on where it is." : "Resumed."});
        return done(200, name == "pause" ? "Paused." : "Resumed.");
      }
      if (name == "report") {
        return open_report();
      }
      const Shape shape = name == "write_old" ? Shape::old_shape : Shape::new_shape;
      pg::Connection connection({m_conninfo, "shop, a visitor", nullptr});
      m_view.show(shape, write_user(connection, shape));
      return done(200, fmt::format("The {} version wrote a user.", shape == Shape::old_shape ? "old" : "new"));
    } catch (const Error& error) {
      return refused(503, "failed", first_line(error.what()), error.hint());
    }
  }

  Answer open_report() {
    auto connection = std::make_shared<pg::Connection>(pg::Target{m_conninfo, "report", nullptr});
    connection->script("begin; select from public.users limit 1");
    m_view.set_report(true);
    m_reporter = std::jthread([this, connection = std::move(connection)](const std::stop_token& end) mutable {
      system_clock().sleep(k_report, end);
      connection.reset();
      m_view.set_report(false);
    });
    m_view.say({"ok",
                "A report has read users and stays open for 5 s: a lock that would wait for it gives up and tries "
                "again, so that no request waits long behind it."});
    return done(200, "A report is open for 5 s.");
  }

  std::unique_ptr<EmbeddedServer> m_server;
  std::string m_conninfo;
  DemoTraffic m_live{"users"};
  DemoView m_view;
  std::optional<DemoMigration> m_migration;
  std::optional<DemoLook> m_look;

  std::mutex m_turn;     ///< of those who press
  std::mutex m_serving;  ///< of who says which versions run

  bool m_finished = false;
  std::stop_source m_end;
  std::stop_callback<std::function<void()>> m_on_stop;
  std::jthread m_worker;
  std::jthread m_reporter;
  std::jthread m_watcher;
  std::jthread m_ticker;
};

Demo::Demo(DemoOptions options, serve::Hub& hub, std::stop_token stop)
    : m_impl(std::make_unique<Impl>(std::move(options), hub, std::move(stop))) {}

Demo::~Demo() = default;

std::string Demo::conninfo() const {
  return m_impl->conninfo();
}

std::string Demo::description() const {
  const DemoView::Shop shop = m_impl->view().shop();
  return fmt::format("{} users in {}, {:g} requests/s", with_thousands(shop.rows), shop.where, k_demo_rate);
}

serve::PlannedMigration Demo::planned() const {
  return {m_impl->plan().name, m_impl->plan().description, k_plan_file, planned_shape()};
}

serve::DemoPart Demo::part() const {
  return m_impl->view().part();
}

serve::Controls::Answer Demo::post(const std::string& name, const std::string& /*body*/) {
  return m_impl->post(name);
}

std::string Demo::finish() {
  return m_impl->finish();
}

}  // namespace ecmigrate::scene
