#include <fmt/format.h>

#include "../column_fields.hpp"
#include "ecmigrate/op/kind.hpp"

namespace ecmigrate {

namespace {

void contribute(const PlannedOperation& operation, const Plan&, const Catalog&, Draft& draft) {
  TableDraft* table = draft.table(operation);
  if (table == nullptr) {
    return;
  }
  const Value& fields = operation.fields;
  const Column* old = draft.column(*table, fields.text("column"), fields.find("column")->at, true);
  if (old == nullptr || !draft.take_column(*table, *old, operation.at)) {
    return;
  }
  if (fields.has("down") && old->generated) {
    draft.complain(fields.find("down")->at, fmt::format("\"{}\" is generated: nobody writes it", old->name),
                   "Leave `down` out.");
    return;
  }
  if (fields.has("down") && old->default_sql) {
    // An INSERT that leaves it out gets the default; a null was meant, and `down` would change it.
    draft.warn(fmt::format("\"{}\" has a default, which rows that are inserted without it get; `down` is not used",
                           old->name));
  } else if (fields.has("down")) {
    Mapping& mapping = table->mappings.emplace_back();
    mapping.label = old->name;
    mapping.olds.push_back({old, expression_field(fields, "down", "down of " + old->name, old->type)});
  } else if (old->not_null && !old->default_sql && !old->identity && !old->generated) {
    draft.complain(operation.at,
                   fmt::format("\"{}\" is NOT NULL without a default: the new application could not insert", old->name),
                   "Give `down`, the value for rows that leave it out.");
    return;
  }
  table->contract_titles.push_back("drop " + old->name);
  drop_at_contract(*table, *old);
}

const OperationKind k_kind{
    "drop_column",
    "Drops a column at contract; until then the new application may leave it out.",
    R"yaml(drop_column:
  table: users
  column: street
  down: "'unknown'"
)yaml",
    {{"table", FieldType::text, true, "The table."},
     {"column", FieldType::text, true, "The column."},
     {"down", FieldType::sql, false, "Its value for rows that are inserted without it, where it has no default."}},
    contribute};

const KindRegistration k_registration{k_kind};

}  // namespace

}  // namespace ecmigrate
