#include "ecmigrate/op/kind.hpp"

#include <algorithm>

namespace ecmigrate {

namespace {

std::vector<const OperationKind*>& registry() {
  static std::vector<const OperationKind*> kinds;
  return kinds;
}

}  // namespace

KindRegistration::KindRegistration(const OperationKind& kind) {
  auto& kinds = registry();
  const auto at =
      std::ranges::lower_bound(kinds, kind.name, {}, [](const OperationKind* other) { return other->name; });
  kinds.insert(at, &kind);
}

std::span<const OperationKind* const> operation_kinds() {
  return registry();
}

const OperationKind* find_operation_kind(std::string_view name) {
  for (const OperationKind* kind : registry()) {
    if (kind->name == name) {
      return kind;
    }
  }
  return nullptr;
}

}  // namespace ecmigrate
