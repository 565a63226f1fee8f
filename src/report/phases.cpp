#include "phases.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "ecmigrate/base/text.hpp"
#include "migration_facts.hpp"
#include "wording.hpp"

namespace ecmigrate::report {

namespace {

std::optional<Instant> entered(const MigrationView& migration, State state) {
  std::optional<Instant> at;
  for (const StateView& change : migration.states) {
    if (change.state == state) {
      at = change.at;
    }
  }
  return at;
}

/// The phase a run is in, by the state that it works from.
std::string_view phase_under_way(const MigrationView& migration) {
  switch (migration.state) {
    case State::expanding:
      return "expand";
    case State::backfilling:
      return "backfill";
    case State::contracting:
      return "contract";
    default:
      break;
  }
  if (!migration.run) {
    return {};
  }
  static constexpr std::array<std::string_view, 4> k_phases{"expand", "backfill", "verify", "contract"};
  const auto phase = std::ranges::find(k_phases, migration.run->command);
  if (phase != k_phases.end()) {
    return *phase;
  }
  return migration.run->command == "run" ? std::string_view(migration.state == State::expanded ? "backfill" : "verify")
                                         : std::string_view();
}

}  // namespace

std::vector<PhaseView> phases_of(const MigrationView& migration, Situation situation, Instant now,
                                 const std::vector<std::string>& dropped) {
  std::vector<PhaseView> phases{
      {"expand", "Expand", "todo", {"adds the new columns and the sync trigger"}},
      {"backfill", "Backfill", "todo", {"fills the rows that exist"}},
      {"verify", "Verify", "todo", {"every row, by value"}},
      {"release", "Your release", "you", {"new version out, then the old one stopped"}},
      {"contract", "Contract", "todo", {dropped.empty() ? "ends the migration" : "drops " + join(dropped, ", ")}}};
  if (migration.state == State::rolled_back || migration.state == State::rolling_back) {
    for (PhaseView& phase : phases) {
      phase.status = "skipped";
      phase.facts = {"undone"};
    }
    return phases;
  }
  const auto done = [&](std::size_t index, State state, std::vector<std::string> facts) {
    if (reached(migration, state)) {
      std::erase(facts, std::string());
      phases[index].status = "done";
      phases[index].facts = std::move(facts);
    }
  };
  const auto at = [&](State state) {
    return entered(migration, state) ? clock_time(*entered(migration, state), now) : std::string();
  };
  done(0, State::expanded, {at(State::expanded), held_fact(migration, "expand")});
  const auto began = entered(migration, State::backfilling);
  const auto ended = entered(migration, State::backfilled);
  done(1, State::backfilled,
       {with_thousands(rows_written(migration)) + " rows",
        began && ended && *ended >= *began ? span_time(static_cast<double>(*ended - *began)) : std::string()});
  done(2, State::verified, {count(differences(migration), "difference"), at(State::verified)});
  done(3, State::contracted, {});
  done(4, State::contracted, {at(State::contracted), held_fact(migration, "contract")});
  const std::string_view under_way = phase_under_way(migration);
  const auto now_at = std::ranges::find(phases, under_way, &PhaseView::name);
  if (now_at == phases.end() || now_at->status == "done") {
    return phases;
  }
  const auto percent = backfill_percent(migration);
  const std::string part = now_at->name == "backfill" && percent ? share_done(*percent) : std::string();
  const std::string since = migration.run ? "since " + clock_time(migration.run->since, now) : std::string();
  const auto set = [&](std::string status, std::vector<std::string> facts) {
    std::erase(facts, std::string());
    now_at->status = std::move(status);
    now_at->facts = std::move(facts);
  };
  switch (situation) {
    case Situation::running:
      set("now", {part, since});
      break;
    case Situation::paused: {
      const PauseView* pause = open_pause(migration);
      set("paused", {part.empty() ? "paused" : "paused at " + part,
                     pause != nullptr && !pause->reasons.empty() ? pause->reasons.front().text : std::string()});
      break;
    }
    case Situation::lost:
      set("paused", {part, "runner lost"});
      break;
    case Situation::failed:
      set(stopped_on_purpose(*migration.run->outcome) ? "paused" : "failed",
          {part, *migration.run->outcome == "lock_not_obtained" ? "no lock" : *migration.run->outcome});
      break;
    default:
      break;
  }
  return phases;
}

}  // namespace ecmigrate::report
