#include <fmt/format.h>

#include <algorithm>

#include "../column_fields.hpp"
#include "../rename.hpp"
#include "../type_change.hpp"
#include "ecmigrate/base/text.hpp"
#include "ecmigrate/op/kind.hpp"

namespace ecmigrate {

namespace {

/// NOT NULL without a scan under the lock: a check that is validated beside the traffic proves it.
void set_not_null_in_place(Draft& draft, TableDraft& table, const Column& column) {
  ConstraintAdd& constraint = table.constraints.emplace_back();
  constraint.name = draft.object_name(table.table->name, "not_null", column.name);
  constraint.shown = "not null of " + column.name;
  constraint.check.kind = Expression::Kind::check;
  constraint.check.sql = fmt::format("check ({} is not null)", quote_identifier(column.name));
  table.contract.push_back(
      alter_table(table, fmt::format("alter column {} set not null", quote_identifier(column.name))));
  table.contract.push_back(alter_table(table, "drop constraint " + quote_identifier(constraint.name)));
}

/// ALTER TYPE makes the foreign keys of both sides anew (without a scan where what is stored stays).
void change_type_in_place(TableDraft& table, const Column& column, const std::string& type) {
  table.contract.push_back(
      alter_table(table, fmt::format("alter column {} type {}", quote_identifier(column.name), type)));
  table.drops.push_back({table.table->name, column.name, {}, true});
  for (const Constraint& constraint : table.table->constraints) {
    if (constraint.type == 'f' && std::ranges::find(constraint.columns, column.name) != constraint.columns.end()) {
      table.locked_at_contract.push_back(constraint.references);
    }
  }
  for (const IncomingForeignKey& incoming : table.table->incoming) {
    if (std::ranges::find(incoming.columns, column.name) != incoming.columns.end()) {
      table.locked_at_contract.push_back(incoming.from);
    }
  }
}

void change_in_place(const Value& fields, Draft& draft, TableDraft& table, const Column& column) {
  const std::string name = quote_identifier(column.name);
  if (fields.has("type")) {
    const TypeFacts type = draft.type(fields.text("type"), fields.find("type")->at);
    if (type.type != column.type) {
      change_type_in_place(table, column, type.type);
    }
  }
  if (fields.has("nullable")) {
    if (fields.flag("nullable", true)) {
      table.contract.push_back(alter_table(table, fmt::format("alter column {} drop not null", name)));
    } else if (!column.not_null) {
      set_not_null_in_place(draft, table, column);
    }
  }
  if (const Value* given = fields.find("default")) {
    if (given->kind == Value::Kind::null) {
      table.contract.push_back(alter_table(table, fmt::format("alter column {} drop default", name)));
    } else {
      table.expressions.push_back(expression_field(fields, "default", "default of " + column.name, column.type));
      // The line break ends a comment.
      table.contract.push_back(
          alter_table(table, fmt::format("alter column {} set default ({}\n)", name, given->scalar)));
    }
  }
  if (const Value* comment = fields.find("comment")) {
    table.contract.push_back(fmt::format("comment on column {}.{} is {}", table.table->name.sql(), name,
                                         comment->kind == Value::Kind::null ? "null" : quote_literal(comment->scalar)));
  }
  add_column_constraints(draft, table, fields, column.name, column.name, {}, false);
  table.contract_titles.push_back("alter " + column.name);
}

/// Whether `up` only repeats the column, and `down` that or its new name.
bool say_nothing(const Value& fields, const Column& column) {
  const auto repeats = [&](const char* key, const std::string& name) {
    const std::string text = fields.text(key);
    return text.empty() || text == name || text == quote_identifier(name);
  };
  return repeats("up", column.name) && (repeats("down", column.name) || repeats("down", fields.text("name")));
}

void contribute(const PlannedOperation& operation, const Plan&, const Catalog&, Draft& draft) {
  TableDraft* table = draft.table(operation);
  if (table == nullptr) {
    return;
  }
  const Value& fields = operation.fields;
  const Column* column = draft.column(*table, fields.text("column"), fields.find("column")->at);
  if (column == nullptr || !draft.take_column(*table, *column, operation.at)) {
    return;
  }
  const TypeFacts type =
      fields.has("type") ? draft.type(fields.text("type"), fields.find("type")->at)
                         : TypeFacts{column->type, column->base_type, column->type_modifier, true, "", column->domain};
  if (type.error.empty() && (!keeps_stored_values(*table->table, *column, type) || !say_nothing(fields, *column))) {
    change_type_through_copy(fields, type, draft, *table, *column);
    return;
  }
  const std::string to = fields.text("name");
  if (!to.empty() && to != column->name) {
    change_in_place(fields, draft, *table, *column);
    rename_through_copy(draft, *table, *column, to, fields.find("name")->at);
  } else {
    change_in_place(fields, draft, *table, *column);
  }
}

const OperationKind k_kind{
    "alter_column",
    "Changes type, name, NOT NULL, default, comment or constraints of a column.",
    R"yaml(alter_column:
  table: users
  column: age
  type: bigint
)yaml",
    {{"table", FieldType::text, true, "The table."},
     {"column", FieldType::text, true, "The column."},
     {"name", FieldType::text, false, "A new name; both work until contract."},
     {"type", FieldType::text, false, "A new type."},
     {"nullable", FieldType::boolean, false, "false: SET NOT NULL; true: DROP NOT NULL at contract."},
     {"default", FieldType::text_or_null, false, "A new default in force from contract on; null removes it."},
     {"comment", FieldType::text_or_null, false, "A new comment; null removes it."},
     {"unique", FieldType::object, false, "A unique constraint.", {{"name", FieldType::text, true, "Its name."}}},
     {"check", FieldType::object, false, "A check constraint.", check_fields()},
     {"references", FieldType::object, false, "A foreign key.", reference_fields()},
     {"up", FieldType::sql, false, "The new value, made from the old one; default: a cast."},
     {"down", FieldType::sql, false, "The old value, made from the new one; default: a cast."}},
    contribute};

const KindRegistration k_registration{k_kind};

}  // namespace

}  // namespace ecmigrate
