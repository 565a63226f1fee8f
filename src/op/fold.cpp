#include "fold.hpp"

#include <algorithm>

namespace ecmigrate {

namespace {

bool names_the_column(const std::string& key) {
  return key == "table" || key == "column";
}

bool same_column(const PlannedOperation& a, const PlannedOperation& b) {
  return a.kind == "alter_column" && b.kind == "alter_column" && a.fields.text("table") == b.fields.text("table") &&
         a.fields.text("column") == b.fields.text("column");
}

bool contradict(const PlannedOperation& a, const PlannedOperation& b) {
  return std::ranges::any_of(b.fields.members, [&](const auto& member) {
    return !names_the_column(member.name) && a.fields.has(member.name);
  });
}

}  // namespace

std::vector<PlannedOperation> fold_alterations(const std::vector<PlannedOperation>& operations) {
  std::vector<PlannedOperation> folded;
  for (const PlannedOperation& operation : operations) {
    const auto first =
        std::ranges::find_if(folded, [&](const PlannedOperation& other) { return same_column(other, operation); });
    if (first == folded.end() || contradict(*first, operation)) {
      folded.push_back(operation);
      continue;
    }
    for (const auto& member : operation.fields.members) {
      if (!names_the_column(member.name)) {
        first->fields.members.push_back(member);
      }
    }
  }
  return folded;
}

}  // namespace ecmigrate
