#pragma once

#include <optional>
#include <string>
#include <vector>

#include "ecmigrate/model/state.hpp"

namespace ecmigrate::scene {

/// Everything that decides what a visitor can press.
struct Standing {
  bool database_up = true;
  State state = State::planned;
  std::string running;       ///< the control at work, or the command of another ecmigrate; one at a time
  bool backfilling = false;  ///< a backfill is alive, here or elsewhere
  bool paused = false;
  bool old_version = true;  ///< of the application runs
  bool report = false;      ///< is open
  bool naive_seen = false;  ///< the naive way was run
};

struct Control {
  std::string name;
  std::string label;
  std::string under;  ///< where the page has it
  bool alone = true;  ///< not while another runs that is alone
  bool enabled = false;
  std::string reason{};  ///< why it cannot be pressed
  bool primary = false;
};

/// All of them, in the order of their use.
std::vector<Control> controls_of(const Standing& standing);

}  // namespace ecmigrate::scene
