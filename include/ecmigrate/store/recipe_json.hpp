#pragma once

#include <string>
#include <string_view>

#include "ecmigrate/model/recipe.hpp"

namespace ecmigrate {

/// The format of the recipe in the journal. A runner refuses one that it does not know rather than guess.
inline constexpr int k_recipe_format = 1;

/// A recipe as JSON, without its trials and warnings, and back.
std::string recipe_to_json(const Recipe& recipe);
Recipe recipe_from_json(std::string_view text);

}  // namespace ecmigrate
