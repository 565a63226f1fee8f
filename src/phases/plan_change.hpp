#pragma once

#include <set>
#include <string>
#include <vector>

#include "ecmigrate/model/plan.hpp"
#include "ecmigrate/model/recipe.hpp"
#include "ecmigrate/model/state.hpp"
#include "ecmigrate/store/journal.hpp"

namespace ecmigrate {

/// Ids of the steps of each phase that a run has begun.
struct BegunSteps {
  std::set<std::string> expand;
  std::set<std::string> after_fill;
  std::set<std::string> validate;
  std::set<std::string> before_contract;
  std::set<std::string> contract;
  std::set<std::string> rollback;
};

/// What a changed plan makes of a migration that is under way.
struct PlanChange {
  Recipe recipe;                     ///< what has run as it ran, the rest as the changed plan says
  std::vector<std::string> texts;    ///< what is different, for people
  bool only_mends_rollback = false;  ///< nothing but statements of a rollback that is under way
  State state = State::planned;      ///< where the migration stands now: phases that are over may have new steps
};

/// `name` is the migration's, `kept` its recipe; `was` and `now` are what this program makes of the plan before and
/// after, from the same tables. Throws Error{refused} where a part that has run is different.
PlanChange change_plan(const std::string& name, const Recipe& kept, const Recipe& was, const Recipe& now,
                       const BegunSteps& begun, State state);

/// What the changed plan of a migration that is on record makes of it. Throws Error{refused}, with where the two plans
/// differ, where a part that has run is different.
PlanChange read_change(pg::Connection& connection, const Plan& plan, const MigrationRecord& record);

/// The first place where two texts differ, with what stands around it.
std::string first_difference(const std::string& before, const std::string& after);

}  // namespace ecmigrate
