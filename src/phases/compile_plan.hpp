#pragma once

#include "ecmigrate/model/catalog.hpp"
#include "ecmigrate/model/plan.hpp"
#include "ecmigrate/model/recipe.hpp"
#include "ecmigrate/pg/connection.hpp"
#include "ecmigrate/store/catalog_json.hpp"

namespace ecmigrate {

/// What a plan means for these facts. The server reads its expressions.
Recipe compile_plan(pg::Connection& connection, const Plan& plan, const Catalog& catalog);

/// The same, as if the tables were these.
Recipe compile_plan_for(pg::Connection& connection, const Plan& plan, const Tables& tables);

}  // namespace ecmigrate
