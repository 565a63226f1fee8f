#include <fmt/format.h>

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
  const Value& down = *fields.find("down");
  Mapping mapping;
  std::vector<std::string> names;
  for (const Value& name : fields.find("columns")->items) {
    const Column* old = draft.column(*table, name.scalar, name.at);
    if (old == nullptr || !draft.take_column(*table, *old, name.at)) {
      continue;
    }
    if (!down.has(old->name)) {
      draft.complain(down.at, fmt::format("down has no expression for \"{}\"", old->name),
                     "Every merged column needs one, or the old application would not see what the new one writes.");
      continue;
    }
    names.push_back(old->name);
    mapping.olds.push_back({old, expression_field(down, old->name, "down of " + old->name, old->type)});
  }
  for (const auto& [name, value] : down.members) {
    if (table->table->find_column(name) != nullptr && std::find(names.begin(), names.end(), name) == names.end()) {
      draft.complain(value.at, fmt::format("down names \"{}\", which is not one of the merged columns", name));
    }
  }
  const Value& into = *fields.find("into");
  NewColumn column = new_column(draft, *table, into, into.text("name"));
  column.up = expression_field(into, "up", "up of " + column.name, column.type);
  read_default(*table, column, into.at);
  mapping.label = mapping_label(names, {column.name});
  table->expand_titles.push_back(column.name);
  table->contract_titles.push_back("drop " + join(names, ", "));
  mapping.news.push_back(std::move(column));
  for (const OldColumn& old : mapping.olds) {
    drop_at_contract(*table, *old.column);
  }
  if (mapping.olds.empty()) {
    return;
  }
  table->mappings.push_back(std::move(mapping));
}

const OperationKind k_kind{
    "merge_columns",
    "Merges several columns into one.",
    R"yaml(merge_columns:
  table: users
  columns: [street, city]
  into: { name: address, type: text, nullable: true, up: "street || ', ' || city" }
  down:
    street: "split_part(address, ', ', 1)"
    city: "split_part(address, ', ', 2)"
)yaml",
    {{"table", FieldType::text, true, "The table."},
     {"columns", FieldType::text_list, true, "The columns to merge; dropped at contract."},
     {"into", FieldType::object, true, "The new column.", new_column_fields(true)},
     {"down", FieldType::sql_per_column, true, "For each old column its value, made from the new one."}},
    contribute};

const KindRegistration k_registration{k_kind};

}  // namespace

}  // namespace ecmigrate
