#pragma once

#include <string>
#include <vector>

#include "ecmigrate/model/pace_limits.hpp"
#include "ecmigrate/model/value.hpp"

namespace ecmigrate {

/// One entry of `operations:`: the name of its kind and its fields, already checked against the kind's field table.
struct PlannedOperation {
  std::string kind;
  Value fields;
  Location at;
  int number = 0;  ///< its place in the plan, from 1
};

/// A plan file after reading. Names are literal, never quoted.
struct Plan {
  std::string name;
  std::string description;
  std::string schema;         ///< where unqualified tables live
  std::string file;           ///< as the user wrote it, for messages
  bool deterministic = true;  ///< false: `up` and `down` may be volatile, and verify checks only for pending rows
  std::vector<PlannedOperation> operations;
  PaceLimits backfill;
  /// The plan as compact JSON with keys in the file's order, without name, description, backfill settings, comments
  /// and layout: two plans with the same text here do the same.
  std::string canonical;
};

}  // namespace ecmigrate
