#include "../rename.hpp"
#include "ecmigrate/op/kind.hpp"

namespace ecmigrate {

namespace {

void contribute(const PlannedOperation& operation, const Plan&, const Catalog&, Draft& draft) {
  TableDraft* table = draft.table(operation);
  if (table == nullptr) {
    return;
  }
  const Value& fields = operation.fields;
  const Column* old = draft.column(*table, fields.text("from"), fields.find("from")->at);
  if (old != nullptr && draft.take_column(*table, *old, operation.at)) {
    rename_through_copy(draft, *table, *old, fields.text("to"), fields.find("to")->at);
  }
}

const OperationKind k_kind{"rename_column",
                           "Renames a column; both names work until contract.",
                           R"yaml(rename_column:
  table: users
  from: email
  to: email_address
)yaml",
                           {{"table", FieldType::text, true, "The table."},
                            {"from", FieldType::text, true, "The old name."},
                            {"to", FieldType::text, true, "The new name."}},
                           contribute};

const KindRegistration k_registration{k_kind};

}  // namespace

}  // namespace ecmigrate
