#pragma once

#include <span>
#include <string_view>
#include <vector>

#include "ecmigrate/model/field.hpp"
#include "ecmigrate/model/plan.hpp"

namespace ecmigrate {

struct Catalog;
class Draft;

/// What one kind of operation means. Each kind is one file in src/op/kinds/ that defines and registers one of these;
/// the plan reader, `ecmigrate schema`, the docs and the tests walk the registry.
struct OperationKind {
  std::string_view name;
  std::string_view summary;  ///< one line, for docs and the JSON Schema
  std::string_view example;  ///< a YAML operation (the list item's content) that the tests execute on `example_table`
  std::vector<Field> fields;
  /// Adds to `draft` what the operation changes. Pure: reads the catalog facts, never a connection. Complaints about
  /// the plan or the catalog go to the draft (so that all are reported at once).
  void (*contribute)(const PlannedOperation& operation, const Plan& plan, const Catalog& catalog, Draft& draft);
};

/// All kinds, sorted by name.
std::span<const OperationKind* const> operation_kinds();

/// The kind of that name, or nullptr.
const OperationKind* find_operation_kind(std::string_view name);

/// A kind's file registers itself with one static object of this type.
class KindRegistration {
 public:
  explicit KindRegistration(const OperationKind& kind);
};

}  // namespace ecmigrate
