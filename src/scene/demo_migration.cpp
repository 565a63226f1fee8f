#include "demo_migration.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "ecmigrate/base/error.hpp"
#include "ecmigrate/store/journal.hpp"
#include "ecmigrate/store/recorder.hpp"
#include "side_observer.hpp"
#include "sides.hpp"

namespace ecmigrate::scene {

namespace {

using Phase = void (Migration::*)();
constexpr std::array<std::pair<std::string_view, Phase>, 5> k_phases{{{"expand", &Migration::expand},
                                                                      {"backfill", &Migration::backfill},
                                                                      {"verify", &Migration::verify},
                                                                      {"contract", &Migration::contract},
                                                                      {"rollback", &Migration::rollback}}};
constexpr std::size_t k_phases_to_contract = 4;

/// The longest lock of a phase that stops reads or writes.
double longest_held(const Side& side, const std::string& phase) {
  double longest = 0;
  for (const LockTime& lock : side.locks) {
    longest = std::max(longest, lock.phase == phase && stopped_by(lock.mode) != "nothing" ? lock.held_ms : 0);
  }
  return longest;
}

}  // namespace

DemoMigration::DemoMigration(Plan plan, std::string conninfo, std::string target, const DemoTraffic& live,
                             std::stop_token stop)
    : m_plan(std::move(plan)),
      m_conninfo(std::move(conninfo)),
      m_target(std::move(target)),
      m_live(live),
      m_stop(std::move(stop)) {}

RunOptions DemoMigration::options_of(const std::string& phase) const {
  RunOptions options;
  options.pace = m_plan.backfill;
  options.target = m_target;
  // A request that arrives behind a try at a lock is answered before it counts as slow.
  options.lock_timeout = std::chrono::milliseconds(200);
  if (phase == "backfill") {
    set_limit(options.pace, "max_rows_rate", fmt::format("{}/s", k_demo_rows_rate));
  }
  return options;
}

void DemoMigration::run_journaled(const std::string& phase, Observer& observer) const {
  const std::string name = fmt::format("ecmigrate {} {}", phase, m_plan.name);
  Migration* open = nullptr;
  JournalRecorder recorder(observer, {m_conninfo, name + " (journal)", nullptr}, m_plan.name,
                           [&open] { return open == nullptr ? 0 : open->run_id(); });
  Session session({m_conninfo, name, nullptr}, options_of(phase), recorder, system_clock(), m_stop);
  Migration migration(session, m_plan);
  open = &migration;
  const auto end = [&](Outcome outcome, const std::string& message, const std::string& hint) {
    // What was told before its end is in the journal before it. Where the journal cannot be written, how it ended is
    // told to the visitor all the same.
    constexpr std::chrono::milliseconds k_patience{3'000};
    recorder.finish(k_patience);
    try {
      migration.end({std::string(outcome_row(outcome).name), message, hint, ""});
    } catch (const std::exception&) {
    }
  };
  try {
    (migration.*std::ranges::find(k_phases, phase, &std::pair<std::string_view, Phase>::first)->second)();
    end(Outcome::done, "", "");
  } catch (const Error& error) {
    end(error.outcome(), error.what(), error.hint());
    throw;
  } catch (const pg::Stopped&) {
    session.connection().cancel_on_stop({});  // the journal has yet to hear of it
    end(Outcome::terminated, "stopped at a checkpoint", "Run the same command again to go on.");
    throw;
  }
}

/// A figure that cannot be had fails no phase: there is no comparison then.
template <typename Read>
void DemoMigration::measure(const Read& read) {
  try {
    pg::Connection connection = connect();
    read(connection);
  } catch (const Error&) {
    m_own.reset();
  }
}

void DemoMigration::run(const std::string& phase) {
  if (phase == "expand" || phase == "rollback") {
    m_own.reset();
  }
  if (phase == "expand" && m_live.stats().failed == 0) {
    m_own.emplace();
  }
  Side side = m_own ? m_own->side : Side();
  measure([&](pg::Connection& connection) {
    if (phase == "expand") {
      std::tie(side.table_bytes_before, side.index_bytes_before) = bytes_of(connection, "public.users");
    }
    side.wal_bytes -= wal_position(connection);
  });
  SideObserver observer(side);
  const auto begin = SteadyClock::now();
  run_journaled(phase, observer);
  side.duration_ms += std::chrono::duration<double, std::milli>(SteadyClock::now() - begin).count();
  measure([&](pg::Connection& connection) {
    side.wal_bytes += wal_position(connection);
    std::tie(side.table_bytes_after, side.index_bytes_after) = bytes_of(connection, "public.users");
  });
  if (!m_own) {
    return;
  }
  m_own->phases.insert(phase);
  if (phase == "contract" && m_own->phases.size() == k_phases_to_contract) {
    add_traffic(side, m_live.stats());
    m_own->complete = true;
  }
  m_own->side = std::move(side);
}

void DemoMigration::set_paused(bool paused) const {
  pg::Connection connection = connect();
  Journal journal(connection);
  journal.steer_pause(m_plan.name, paused);
  journal.record_event(
      m_plan.name, 0,
      event::Steered{paused ? "paused" : "resumed", connection.query("select current_user").text(0, 0)});
}

void DemoMigration::note(event::Note::Level level, const std::string& text) const {
  pg::Connection connection = connect();
  Journal journal(connection);
  if (journal.installed() && journal.find(m_plan.name)) {
    journal.record_event(m_plan.name, 0, event::Note{level, text});
  }
}

void DemoMigration::record_comparison(const NaiveScene& scene) const {
  if (!m_own || !m_own->complete) {
    return;
  }
  Comparison comparison;
  comparison.at = utc_time(wall_clock());
  comparison.server = scene.server;
  comparison.plan = m_plan.name;
  comparison.table = "users";
  comparison.rows = scene.rows;
  comparison.requests_per_second = k_demo_rate;
  comparison.application_timeout_ms = static_cast<double>(k_application_timeout.count());
  comparison.expand_contract = m_own->side;
  comparison.naive = scene.side;
  comparison.sizes.push_back({scene.rows, longest_held(m_own->side, "expand"), longest_held(m_own->side, "contract"),
                              longest_held(scene.side, "naive")});
  pg::Connection connection = connect();
  Journal(connection).record_comparison(m_plan.name, scene.rows, scene.server, comparison_json(comparison));
}

}  // namespace ecmigrate::scene
