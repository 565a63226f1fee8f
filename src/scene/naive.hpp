#pragma once

#include <functional>
#include <stop_token>
#include <string>
#include <vector>

#include "ecmigrate/base/quote.hpp"
#include "ecmigrate/model/plan.hpp"
#include "ecmigrate/model/recipe.hpp"
#include "ecmigrate/op/draft.hpp"
#include "ecmigrate/scene/compare.hpp"

namespace ecmigrate::scene {

struct NaiveStatement {
  std::string title;
  std::string sql;
  bool fills = false;
};

/// The migration as one transaction.
struct NaiveWay {
  std::vector<QualifiedName> tables;
  bool stops_reads = true;  ///< false where only indexes are built
  std::vector<NaiveStatement> statements;
  std::string why_not;  ///< why it cannot be derived from the plan, or empty
};

/// From what the plan's operations contribute, without what expand-contract needs beside them (triggers, markers). A
/// rename is a rename and a change of type alone ALTER TYPE: the naive way is as good as it can be. `draft` has been
/// compiled to `recipe`.
NaiveWay naive_way(const Draft& draft, const Recipe& recipe);

struct NaiveRun {
  std::vector<LockTime> locks;
  std::vector<StatementTime> statements;
  double duration_ms = 0;
  double fill_ms = 0;  ///< 0: nothing was filled
};

/// Runs it. `before_commit` is called in the last moment before COMMIT is sent: a request that waits since then is made
/// by the new version, and finds what that expects. Throws pg::Stopped.
NaiveRun run_naive(const std::string& conninfo, const NaiveWay& way, const std::function<void()>& before_commit,
                   std::stop_token stop);

}  // namespace ecmigrate::scene
