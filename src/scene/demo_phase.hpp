#pragma once

#include <stop_token>
#include <string>

#include "ecmigrate/engine/migration.hpp"
#include "ecmigrate/model/plan.hpp"

namespace ecmigrate::scene {

/// "8000/s": so that the backfill of 200,000 rows can be watched.
inline constexpr int k_demo_rows_rate = 8'000;

struct DemoPhase {
  const Plan& plan;
  std::string conninfo;
  std::string target;   ///< the same, as a command line has it
  std::string command;  ///< "expand"
  void (Migration::*run)();
};

/// Runs a phase as the command of that name does, its events and how it ended in the journal. Throws what the phase throws.
void run_demo_phase(const DemoPhase& phase, Observer& observer, const std::stop_token& stop);

}  // namespace ecmigrate::scene
