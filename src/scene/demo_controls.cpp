#include "demo_controls.hpp"

#include <algorithm>

namespace ecmigrate::scene {

namespace {

/// Why it is not a phase's turn; empty: it is.
std::string not_yet(State state, State first, State last, const std::string& after) {
  if (state == State::rolling_back) {
    return "after Roll back";
  }
  if (state == State::rolled_back || state < first) {
    return after;
  }
  return state > last ? "done" : "";
}

std::string why_not_contract(const Standing& standing) {
  const std::string reason = not_yet(standing.state, State::verified, State::contracting, "after Run verify");
  return reason.empty() && standing.state == State::verified && standing.old_version ? "after Stop the old version"
                                                                                     : reason;
}

std::string why_not_rollback(State state) {
  if (state == State::planned || state == State::rolled_back) {
    return "nothing to roll back";
  }
  return state == State::contracting || state == State::contracted ? "contract has begun: there is no way back" : "";
}

std::string why_not_write_old(const Standing& standing) {
  if (standing.state >= State::contracting && standing.state <= State::contracted) {
    return "full_name is gone";
  }
  return standing.old_version ? "" : "the old version was stopped";
}

std::string why_not_write_new(State state) {
  return state < State::expanded || state > State::contracted ? "first_name and last_name come with expand" : "";
}

}  // namespace

std::vector<Control> controls_of(const Standing& standing) {
  const State state = standing.state;
  const bool begins = state == State::planned || state == State::expanding || state == State::rolled_back;
  const std::string expand = begins ? "" : state == State::rolling_back ? "after Roll back" : "done";
  const std::string stop_old =
      standing.old_version ? not_yet(state, State::verified, State::verified, "after Run verify") : "stopped";
  const std::string not_backfilling = "while the backfill runs";
  std::vector<Control> controls{
      {.name = "expand", .label = "Run expand", .under = "expand", .reason = expand},
      {.name = "backfill",
       .label = "Run backfill",
       .under = "backfill",
       .reason = not_yet(state, State::expanded, State::backfilling, "after Run expand")},
      {.name = "pause",
       .label = "Pause",
       .under = "backfill",
       .alone = false,
       .reason = !standing.backfilling ? not_backfilling
                 : standing.paused     ? "paused"
                                       : ""},
      {.name = "resume",
       .label = "Resume",
       .under = "backfill",
       .alone = false,
       .reason = !standing.backfilling ? not_backfilling
                 : standing.paused     ? ""
                                       : "not paused"},
      {.name = "verify",
       .label = "Run verify",
       .under = "verify",
       .reason = not_yet(state, State::backfilled, State::backfilled, "after Run backfill")},
      {.name = "stop_old", .label = "Stop the old version", .under = "release", .reason = stop_old},
      {.name = "contract", .label = "Run contract", .under = "contract", .reason = why_not_contract(standing)},
      {.name = "write_old",
       .label = "Old version",
       .under = "write",
       .alone = false,
       .reason = why_not_write_old(standing)},
      {.name = "write_new",
       .label = "New version",
       .under = "write",
       .alone = false,
       .reason = why_not_write_new(state)},
      {.name = "report",
       .label = "Open a 5 s report",
       .under = "way",
       .alone = false,
       .reason = standing.report ? "a report is open" : ""},
      {.name = "naive", .label = "Run the naive way", .under = "naive"},
      {.name = "rollback", .label = "Roll back", .under = "end", .reason = why_not_rollback(state)},
      {.name = "reset", .label = "Reset", .under = "end"},
  };
  const bool resetting = standing.running == "reset";
  for (Control& control : controls) {
    if (!standing.database_up) {
      control.reason = "the database does not answer";
    } else if (control.reason.empty() && !standing.running.empty() && (control.alone || resetting)) {
      control.reason = "after what runs now";
    }
    control.enabled = control.reason.empty();
  }
  // What comes next: the migration's next step, then the comparison with the naive way.
  for (const char* name : {"resume", "expand", "backfill", "verify", "stop_old", "contract", "rollback", "naive"}) {
    const auto control = std::ranges::find(controls, name, &Control::name);
    const bool in_turn = control->name == "rollback"
                             ? state == State::rolling_back
                             : control->name != "naive" || (state == State::contracted && !standing.naive_seen);
    if (control->enabled && in_turn) {
      control->primary = true;
      break;
    }
  }
  return controls;
}

}  // namespace ecmigrate::scene
