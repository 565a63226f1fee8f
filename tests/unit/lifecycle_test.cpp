#include "ecmigrate/model/lifecycle.hpp"

#include <array>
#include <set>
#include <vector>

#include "support/catch.hpp"

namespace ecmigrate::test {

namespace {

constexpr std::array<Command, 6> k_commands{Command::expand,   Command::backfill, Command::verify,
                                            Command::contract, Command::rollback, Command::steer};

std::vector<State> all_states() {
  std::vector<State> states;
  for (std::size_t i = 0; i < k_state_names.size(); ++i) {
    states.push_back(static_cast<State>(i));
  }
  return states;
}

/// Where a migration stands when the command has done its work.
State after(Command command) {
  switch (command) {
    case Command::expand:
      return State::expanded;
    case Command::backfill:
      return State::backfilled;
    case Command::verify:
      return State::verified;
    case Command::contract:
      return State::contracted;
    default:
      return State::rolled_back;
  }
}

}  // namespace

TEST_CASE("lifecycle: nobody is sent to a command that refuses too") {
  for (const State state : all_states()) {
    for (const Command command : k_commands) {
      INFO(state_name(state) << " " << command_name(command));
      const Verdict verdict = verdict_on(state, command);
      if (verdict.turn != Turn::refused) {
        CHECK_FALSE(verdict.instead);
      } else if (verdict.instead) {
        CHECK(verdict.instead != command);
        CHECK(verdict_on(state, *verdict.instead).turn == Turn::runs);
      }
    }
  }
}

TEST_CASE("lifecycle: what comes next runs, and leads from every state to an end") {
  for (const State state : all_states()) {
    INFO(state_name(state));
    State at = state;
    std::set<State> seen;
    while (const auto next = next_command(at)) {
      CHECK(verdict_on(at, *next).turn == Turn::runs);
      at = after(*next);
      if (at == State::rolled_back) {
        break;  // whoever went back begins again when the plan is mended
      }
      REQUIRE(seen.insert(at).second);
    }
    CHECK((at == State::contracted || at == State::rolled_back));
  }
}

TEST_CASE("lifecycle: a command that has done its work is done already, and is no error") {
  for (const Command command : {Command::expand, Command::backfill, Command::contract, Command::rollback}) {
    INFO(command_name(command));
    CHECK(verdict_on(after(command), command).turn == Turn::already);
  }
  // Looking again finds what was written past the trigger since.
  CHECK(verdict_on(State::verified, Command::verify).turn == Turn::runs);
}

TEST_CASE("lifecycle: there is a way back until contract has begun, and none after") {
  for (const State state : all_states()) {
    INFO(state_name(state));
    const bool gone = state == State::contracting || state == State::contracted;
    CHECK((verdict_on(state, Command::rollback).turn == Turn::refused) == gone);
  }
}

}  // namespace ecmigrate::test
