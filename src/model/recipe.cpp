#include "ecmigrate/model/recipe.hpp"

#include <ranges>

namespace ecmigrate {

std::vector<Step> undo_steps(const Recipe& recipe) {
  std::vector<Step> undos;
  for (const std::vector<Step>* phase : {&recipe.before_contract, &recipe.after_fill, &recipe.expand}) {
    for (const Step& step : *phase | std::views::reverse) {
      if (step.undo) {
        undos.push_back({*step.undo, step.id, std::nullopt});
      }
    }
  }
  return undos;
}

}  // namespace ecmigrate
