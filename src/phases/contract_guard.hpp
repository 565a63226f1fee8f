#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "drift.hpp"
#include "ecmigrate/base/error.hpp"
#include "ecmigrate/model/plan.hpp"
#include "ecmigrate/model/recipe.hpp"
#include "ecmigrate/session/session.hpp"

namespace ecmigrate {

/// Relations that no finished walk of the backfill has been through: partitions that came later.
std::vector<std::string> unwalked_leaves(Session& session, const std::string& migration, const Recipe& recipe);

/// Why old and new data may differ although they were, or could be, seen to be equal: writes that passed the sync
/// trigger by, rows that were never filled. Nothing: no reason. `marks`: see trigger_marks(); empty: only whether the
/// triggers are in order now.
std::optional<Error> why_doubt(Session& session, const Plan& plan, const Recipe& recipe, const std::string& marks,
                               std::int64_t run);

/// Throws Error{refused} when something else needs, or would go with, a column that contract drops.
void refuse_if_columns_are_needed(Session& session, const Recipe& recipe);

/// Puts before the steps that lock a table a last look at its sync trigger.
void add_trigger_guards(std::vector<Step>& steps, const std::vector<SyncTrigger>& triggers, const std::string& marks,
                        const std::string& hint);

/// Contract's steps, each with a last look, under its lock, at the sync trigger and for partitions that came after the
/// last look before it.
/// `drift`: what somebody changed since expand is carried over before the column goes that it is said of.
std::vector<Step> guarded_contract(const Plan& plan, const Recipe& recipe, const std::string& marks,
                                   const Drift& drift);

}  // namespace ecmigrate
