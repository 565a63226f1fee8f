#pragma once

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "ecmigrate/report/answers.hpp"

namespace ecmigrate::serve {

using Document = nlohmann::ordered_json;

inline Document time_or_null(const std::optional<Instant>& at) {
  return at ? Document(utc_time(*at)) : Document(nullptr);
}

template <typename Value>
Document or_null(const std::optional<Value>& value) {
  return value ? Document(*value) : Document(nullptr);
}

inline Document text_or_null(const std::string& text) {
  return text.empty() ? Document(nullptr) : Document(text);
}

/// When the migration first came into a state.
inline std::optional<Instant> entered(const MigrationView& view, State state) {
  const auto at = std::ranges::find(view.states, state, &StateView::state);
  return at == view.states.end() ? std::nullopt : std::optional(at->at);
}

}  // namespace ecmigrate::serve
