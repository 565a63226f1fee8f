#include <fmt/format.h>

#include <algorithm>

#include "../column_fields.hpp"
#include "ecmigrate/base/text.hpp"
#include "ecmigrate/op/kind.hpp"

namespace ecmigrate {

namespace {

void contribute(const PlannedOperation& operation, const Plan& plan, const Catalog& catalog, Draft& draft) {
  const QualifiedName name{plan.schema, operation.fields.text("name")};
  const Location at = operation.fields.find("name")->at;
  const auto table = catalog.table_of_index.find(name);
  if (table == catalog.table_of_index.end()) {
    draft.complain_of_absent({CatalogThing::What::index, name, {}}, at,
                             fmt::format("index \"{}\" does not exist in schema \"{}\"", name.name, name.schema));
    return;
  }
  const Table* owner = catalog.find_table(table->second);
  const auto index = std::ranges::find(owner->indexes, name.name, &Index::name);
  if (index != owner->indexes.end() && !index->constraint.empty()) {
    draft.complain(at, fmt::format("index \"{}\" holds constraint \"{}\"", name.name, index->constraint),
                   "Drop the constraint instead.");
    return;
  }
  if (index != owner->indexes.end()) {
    if (owner->partitioned) {
      draft.refuse(at, fmt::format("{} is partitioned: index \"{}\" of it cannot be dropped beside the traffic",
                                   owner->name.display(), name.name));
    }
    if (index->replica_identity) {
      draft.refuse(
          at, fmt::format("index \"{}\" is the replica identity of {}", name.name, owner->name.display()),
          "Without it subscribers could not find the rows that change: give the table another identity first.");
    }
    if (!index->needed_by.empty()) {
      draft.refuse(at, fmt::format("index \"{}\" is needed by {}", name.name, join(index->needed_by, ", ")),
                   "Drop or change that first.");
    }
  }
  Step step;
  step.kind = Step::Kind::index_drop;
  step.id = "index " + name.name;
  step.title = "drop index " + name.name;
  step.index = name;
  step.sql = {fmt::format("drop index concurrently if exists {}", name.sql())};
  step.cost = "waits for transactions that use it, beside reads and writes";
  draft.add_step("contract", operation.number, std::move(step));
}

const OperationKind k_kind{"drop_index",
                           "Drops an index at contract, beside reads and writes.",
                           R"yaml(drop_index:
  name: users_created_idx
)yaml",
                           {{"name", FieldType::text, true, "Name of the index."}},
                           contribute};

const KindRegistration k_registration{k_kind};

}  // namespace

}  // namespace ecmigrate
