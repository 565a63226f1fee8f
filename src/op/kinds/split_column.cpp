#include "../column_fields.hpp"
#include "ecmigrate/base/text.hpp"
#include "ecmigrate/op/kind.hpp"

namespace ecmigrate {

namespace {

void contribute(const PlannedOperation& operation, const Plan&, const Catalog&, Draft& draft) {
  TableDraft* table = draft.table(operation);
  if (table == nullptr) {
    return;
  }
  const Value& fields = operation.fields;
  const Column* old = draft.column(*table, fields.text("column"), fields.find("column")->at);
  if (old == nullptr || !draft.take_column(*table, *old, operation.at)) {
    return;
  }
  Mapping& mapping = table->mappings.emplace_back();
  std::vector<std::string> names;
  for (const Value& into : fields.find("into")->items) {
    NewColumn column = new_column(draft, *table, into, into.text("name"));
    column.up = expression_field(into, "up", "up of " + column.name, column.type);
    read_default(*table, column, into.at);
    names.push_back(column.name);
    mapping.news.push_back(std::move(column));
  }
  mapping.olds.push_back({old, expression_field(fields, "down", "down of " + old->name, old->type)});
  mapping.label = mapping_label({old->name}, names);
  table->expand_titles.push_back(join(names, ", "));
  table->contract_titles.push_back("drop " + old->name);
  drop_at_contract(*table, *old);
}

std::vector<Field> into_fields() {
  return new_column_fields(true);
}

const OperationKind k_kind{"split_column",
                           "Splits one column into several.",
                           R"yaml(split_column:
  table: users
  column: full_name
  into:
    - { name: first_name, type: text, nullable: false, up: "split_part(full_name, ' ', 1)" }
    - { name: last_name, type: text, nullable: false, up: "substr(full_name, length(split_part(full_name, ' ', 1)) + 2)" }
  down: "concat_ws(' ', first_name, nullif(last_name, ''))"
)yaml",
                           {{"table", FieldType::text, true, "The table."},
                            {"column", FieldType::text, true, "The column to split; dropped at contract."},
                            {"into", FieldType::object_list, true, "The new columns.", into_fields()},
                            {"down", FieldType::sql, true, "The old value, made from the new columns."}},
                           contribute};

const KindRegistration k_registration{k_kind};

}  // namespace

}  // namespace ecmigrate
