#pragma once

#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "ecmigrate/model/recipe.hpp"
#include "ecmigrate/store/catalog_json.hpp"

namespace ecmigrate {

/// What somebody changed since expand on columns that contract replaces, so that contract would take it back.
struct Drift {
  /// Statements that keep it, by table and the column that goes.
  std::map<std::pair<QualifiedName, std::string>, std::vector<std::string>> carry;
  std::vector<std::string> lost;  ///< what cannot be kept, for people
};

/// `then`: the tables before expand; `now`: before contract. `accepted`: names of what may go. Interim defaults in the
/// recipe are as the server prints them (see printed_default).
Drift find_drift(const Recipe& recipe, const Tables& then, const Tables& now, const std::set<std::string>& accepted);

}  // namespace ecmigrate
