#include "demo_phase.hpp"

#include <fmt/format.h>

#include "ecmigrate/base/error.hpp"
#include "ecmigrate/store/recorder.hpp"

namespace ecmigrate::scene {

namespace {

RunOptions options_of(const DemoPhase& phase) {
  RunOptions options;
  options.pace = phase.plan.backfill;
  options.target = phase.target;
  // A request that arrives behind a try at a lock is answered before it counts as slow.
  options.lock_timeout = std::chrono::milliseconds(200);
  options.arguments = "--lock-timeout 200ms";
  if (phase.command == "backfill") {
    const std::string rate = fmt::format("{}/s", k_demo_rows_rate);
    set_limit(options.pace, "max_rows_rate", rate);
    options.arguments = "--max-rows-rate " + rate;
  }
  return options;
}

}  // namespace

void run_demo_phase(const DemoPhase& phase, Observer& observer, const std::stop_token& stop) {
  const std::string name = fmt::format("ecmigrate {} {}", phase.command, phase.plan.name);
  Migration* open = nullptr;
  JournalRecorder recorder(observer, {phase.conninfo, name + " (journal)", nullptr}, phase.plan.name, [&open] { return open == nullptr ? 0 : open->run_id(); });
  Session session({phase.conninfo, name, nullptr}, options_of(phase), recorder, system_clock(), stop);
  Migration migration(session, phase.plan);
  open = &migration;
  const auto end = [&](Outcome outcome, const std::string& message, const std::string& hint) {
    // What was told before its end is in the journal before it. Where the journal cannot be written, how it ended is told
    // to the visitor all the same.
    constexpr std::chrono::milliseconds k_patience{3'000};
    recorder.finish(k_patience);
    try {
      migration.end({std::string(outcome_row(outcome).name), message, hint, ""});
    } catch (const std::exception&) {
    }
  };
  try {
    (migration.*phase.run)();
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

}  // namespace ecmigrate::scene
