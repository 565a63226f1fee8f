#pragma once

#include <optional>
#include <string>

#include "demo_controls.hpp"
#include "demo_traffic.hpp"
#include "ecmigrate/store/read_model.hpp"

namespace ecmigrate::scene {

/// What the naive way came to, so far while it runs.
struct NaiveResult {
  Instant at = 0;
  bool running = false;
  TrafficStats traffic{};
  std::optional<double> held_ms{};
};

Answer answer_about_naive(const NaiveResult& naive);
/// Nothing: what the journal says will do.
std::optional<Answer> migration_answer(const Standing& standing, const std::optional<NaiveResult>& naive,
                                       const TrafficStats& live);
std::optional<Answer> next_answer(const Standing& standing, const std::optional<MigrationView>& migration,
                                  const std::string& plan_file, const std::string& target);

}  // namespace ecmigrate::scene
