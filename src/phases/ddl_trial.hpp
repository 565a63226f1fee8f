#pragma once

#include <string>
#include <vector>

#include "ecmigrate/model/recipe.hpp"
#include "ecmigrate/session/session.hpp"

namespace ecmigrate {

/// Something that a step would do for as long as the table is large, while it holds a lock that stops writers.
struct LongWork {
  std::string phase;  ///< "contract"
  std::string step;   ///< its title
  std::string statement;
  std::string what;  ///< "rebuilds index users_city_idx"
};

/// Runs steps, one phase after the other, on empty copies of their tables in a transaction that is rolled back, with
/// what the server did to them as the answer: whether a rule that holds today holds in its next version, or for an
/// extension's index, only it knows. Triggers of the sync, and the plan's own `sql`, are not run. Throws
/// Error{plan_invalid} with the server's words when a step fails.
std::vector<LongWork> try_steps(Session& session, const Recipe& recipe, const std::vector<std::string>& phases);

/// Whether it is what changing the column's type in place costs.
bool changes_type(const LongWork& work, const ColumnDrop& change);

/// Throws Error{refused} that names all of it; nothing when there is none.
void refuse_long_work(const std::vector<LongWork>& work);

}  // namespace ecmigrate
