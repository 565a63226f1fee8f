#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "ecmigrate/model/recipe.hpp"

namespace ecmigrate {

/// The format of the recipe in the journal. A runner refuses one that it does not know rather than guess.
///
/// 1: undos in a list of their own. 2: each in its step.
inline constexpr int k_recipe_format = 2;
constexpr bool is_known_recipe_format(std::int64_t format) {
  return format >= 1 && format <= k_recipe_format;
}

/// A recipe as JSON, without its trials and warnings, and back.
std::string recipe_to_json(const Recipe& recipe);
Recipe recipe_from_json(std::string_view text, int format = k_recipe_format);

}  // namespace ecmigrate
