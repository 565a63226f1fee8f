#include <fmt/format.h>

#include "../column_fields.hpp"
#include "ecmigrate/op/kind.hpp"

namespace ecmigrate {

namespace {

/// With a default that is computed once (constants, now()), the server adds the column without touching the rows.
void add_with_stored_default(TableDraft& table, const NewColumn& column) {
  table.expand.insert(
      table.expand.begin(),
      alter_table(table, fmt::format("add column {} {} default {}{}", quote_identifier(column.name), column.type,
                                     *column.default_sql, column.nullable ? "" : " not null")));
  table.rollback.push_back(alter_table(table, "drop column if exists " + quote_identifier(column.name)));
}

void add_filled(TableDraft& table, NewColumn column, int operation) {
  Mapping& mapping = table.mappings.emplace_back();
  mapping.operation = operation;
  mapping.label = column.name;
  mapping.news.push_back(std::move(column));
}

/// A default such as gen_random_uuid() gives each row its own value: added at once it would rewrite the table under
/// the lock, so new rows take it from now on and the backfill gives it to the others.
void add_with_computed_default(TableDraft& table, NewColumn column, const Expression& value, int operation) {
  const std::string name = quote_identifier(column.name);
  // One statement: two would take the lock twice, and ADD COLUMN … DEFAULT would rewrite.
  table.expand.push_back(alter_table(table, fmt::format("alter column {} set default {}", name, *column.default_sql)));
  column.up = value;
  column.default_sql.reset();
  column.default_in_force = true;
  add_filled(table, std::move(column), operation);
}

void comment_on(TableDraft& table, const NewColumn& column) {
  if (column.comment) {
    table.expand.push_back(fmt::format("comment on column {}.{} is {}", table.table->name.sql(),
                                       quote_identifier(column.name), quote_literal(*column.comment)));
  }
}

void contribute_column(const PlannedOperation& operation, const Value& fields, Draft& draft, TableDraft& table) {
  NewColumn column = new_column(draft, table, fields, fields.text("name"));
  const bool filled = operation.fields.has("up");
  table.expand_titles.push_back(column.name);
  add_column_constraints(draft, table, fields, column.name, column.name, {}, filled);
  if (filled) {
    read_default(table, column, fields.at);
    column.up = expression_field(operation.fields, "up", "up of " + column.name, column.type);
    add_filled(table, std::move(column), operation.number);
  } else if (column.default_sql) {
    table.plain_columns[column.name] = {column.type, "null"};
    read_default(table, column, fields.find("default")->at);
    const Expression* value = column.default_read;
    table.after_probe.push_back([&table, column, value, number = operation.number]() mutable {
      column.default_sql = value->sql;
      table.plain_columns[column.name].second = value->sql;
      if (value->volatile_value) {
        add_with_computed_default(table, column, *value, number);
      } else {
        add_with_stored_default(table, column);
        comment_on(table, column);
      }
    });
  } else if (column.nullable) {
    table.plain_columns[column.name] = {column.type, "null"};
    table.expand.insert(
        table.expand.begin(),
        alter_table(table, fmt::format("add column {} {}", quote_identifier(column.name), column.type)));
    comment_on(table, column);
    table.rollback.push_back(alter_table(table, "drop column if exists " + quote_identifier(column.name)));
  } else {
    draft.complain(fields.at,
                   fmt::format("column \"{}\" is not nullable and has neither `up` nor `default`", column.name),
                   "The rows that exist need a value: give `up`, `default`, or `nullable: true`.");
  }
}

void contribute(const PlannedOperation& operation, const Plan&, const Catalog&, Draft& draft) {
  TableDraft* table = draft.table(operation);
  if (table == nullptr) {
    return;
  }
  const Value& fields = *operation.fields.find("column");
  for (const char* key : {"pk", "generated"}) {
    if (fields.has(key) && fields.text(key) != "false") {
      draft.complain(fields.find(key)->at, fmt::format("`{}` of a new column is not supported", key));
      return;
    }
  }
  contribute_column(operation, fields, draft, *table);
}

std::vector<Field> column_fields() {
  std::vector<Field> fields = new_column_fields(false);
  fields.push_back({"unique", FieldType::boolean, false, "Whether its values are unique."});
  fields.push_back({"check", FieldType::object, false, "A condition on it.", check_fields()});
  fields.push_back({"references", FieldType::object, false, "A foreign key.", reference_fields()});
  fields.push_back({"pk", FieldType::boolean, false, "Not supported."});
  return fields;
}

const OperationKind k_kind{
    "add_column",
    "Adds a column, filled from the row or by a default.",
    R"yaml(add_column:
  table: users
  up: "upper(email)"
  column: { name: email_upper, type: text, nullable: false }
)yaml",
    {{"table", FieldType::text, true, "The table."},
     {"column", FieldType::object, true, "The new column.", column_fields()},
     {"up", FieldType::sql, false, "Its value for rows that the new application has not written."}},
    contribute};

const KindRegistration k_registration{k_kind};

}  // namespace

}  // namespace ecmigrate
