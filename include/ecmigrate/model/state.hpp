#pragma once

#include <array>
#include <optional>
#include <string>
#include <string_view>

namespace ecmigrate {

/// Where a migration stands. The order is the order of a migration's life; the words are in the journal.
enum class State {
  planned,
  expanding,
  expanded,
  backfilling,
  backfilled,
  verified,
  contracting,
  contracted,
  rolling_back,
  rolled_back,
};

inline constexpr std::array<std::string_view, 10> k_state_names{
    "planned",  "expanding",   "expanded",   "backfilling",  "backfilled",
    "verified", "contracting", "contracted", "rolling_back", "rolled_back"};

constexpr std::string_view state_name(State state) {
  return k_state_names[static_cast<std::size_t>(state)];
}

/// For people: "not begun", "rolled back".
std::string state_words(State state);

constexpr std::optional<State> state_from_name(std::string_view name) {
  for (std::size_t i = 0; i < k_state_names.size(); ++i) {
    if (k_state_names[i] == name) {
      return static_cast<State>(i);
    }
  }
  return std::nullopt;
}

}  // namespace ecmigrate
