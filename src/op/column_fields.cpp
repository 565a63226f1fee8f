#include "column_fields.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "ecmigrate/base/text.hpp"

namespace ecmigrate {

std::vector<Field> check_fields() {
  return {{"name", FieldType::text, true, "Name of the constraint."},
          {"constraint", FieldType::sql, true, "The condition, for example `age >= 18`."}};
}

std::vector<Field> reference_fields() {
  static const std::vector<std::string_view> k_actions{"NO ACTION", "RESTRICT", "CASCADE", "SET NULL", "SET DEFAULT"};
  return {{"name", FieldType::text, true, "Name of the constraint."},
          {"table", FieldType::text, true, "The table that is pointed to."},
          {"column", FieldType::text, true, "Its column; it needs a unique constraint."},
          {"on_delete", FieldType::text, false, "What happens when the row pointed to is deleted.", {}, k_actions},
          {"on_update", FieldType::text, false, "What happens when its key changes.", {}, k_actions}};
}

std::vector<Field> new_column_fields(bool with_up) {
  std::vector<Field> fields{{"name", FieldType::text, true, "Name of the new column."},
                            {"type", FieldType::text, true, "Its type, as in SQL."}};
  if (with_up) {
    fields.push_back({"up", FieldType::sql, true, "Its value, made from the old columns of the row."});
  }
  fields.push_back({"nullable", FieldType::boolean, false, "Whether it may be null; default false."});
  fields.push_back({"default", FieldType::sql, false, "Its default, in force from contract on."});
  fields.push_back({"comment", FieldType::text, false, "A comment on it."});
  return fields;
}

Expression expression_field(const Value& fields, std::string_view key, const std::string& what,
                            const std::string& target_type) {
  Expression expression;
  expression.text = fields.text(key);
  expression.what = what;
  expression.at = fields.find(key)->at;
  expression.target_type = target_type;
  return expression;
}

NewColumn new_column(Draft& draft, TableDraft& table, const Value& fields, const std::string& physical_name) {
  NewColumn column;
  draft.claim_column(table, physical_name, fields.find("name")->at);
  column.name = physical_name;
  const TypeFacts type = draft.type(fields.text("type"), fields.find("type")->at);
  column.type = type.type;
  column.domain = type.domain;
  column.equality_is_identity = type.equality_is_identity;
  column.nullable = fields.flag("nullable", false);
  if (fields.has("comment")) {
    column.comment = fields.text("comment");
  }
  if (!column.nullable) {
    column.not_null_check = draft.object_name(table.table->name, "not_null", physical_name);
  }
  if (fields.has("default")) {
    column.default_sql = fields.text("default");
  }
  return column;
}

void read_default(TableDraft& table, NewColumn& column, Location at) {
  if (!column.default_sql) {
    return;
  }
  Expression& expression = table.expressions.emplace_back();
  expression.text = *column.default_sql;
  expression.what = "default of " + column.name;
  expression.at = at;
  expression.target_type = column.type;
  column.default_read = &expression;
}

NewColumn copy_of(const Draft& draft, const TableDraft& table, const Column& old, const std::string& physical_name) {
  NewColumn column;
  column.name = physical_name;
  column.type = old.type;
  column.domain = old.domain;
  column.collation = old.collation;
  column.comment = old.comment;
  column.equality_is_identity = old.equality_is_identity;
  column.nullable = !old.not_null;
  if (old.not_null) {
    column.not_null_check = draft.object_name(table.table->name, "not_null", physical_name);
  }
  return column;
}

std::string alter_table(const TableDraft& table, const std::string& action) {
  return fmt::format("alter table {} {}", table.table->name.sql(), action);
}

void add_unique(Draft& draft, TableDraft& table, const std::string& constraint, const std::string& column,
                bool after_fill) {
  const std::string index = draft.object_name(table.table->name, "unique", constraint);
  IndexBuild& build = table.indexes.emplace_back();
  build.name = {table.table->name.schema, index};
  build.unique = true;
  build.definition.kind = Expression::Kind::index;
  build.definition.sql = fmt::format(" using btree ({})", quote_identifier(column));
  build.shown = constraint;
  build.keys = {quote_identifier(column)};
  build.may_be_violated = true;
  build.after_fill = after_fill;
  build.drop_on_rollback = !after_fill;
  table.contract.push_back(alter_table(table, fmt::format("add constraint {} unique using index {}",
                                                          quote_identifier(constraint), quote_identifier(index))));
}

namespace {

/// As the server names it; where it would have to be cut, names with the same beginning are kept apart.
std::string usual_key_name(const std::string& words) {
  const std::string whole = words + "_key";
  const std::string tail = "_" + short_hash(words) + "_key";
  return whole.size() <= k_max_identifier_bytes ? whole
                                                : truncate_utf8(words, k_max_identifier_bytes - tail.size()) + tail;
}

/// What the server would say of it only at ADD CONSTRAINT, after the columns are there.
void check_referenced(Draft& draft, const Value& references, const QualifiedName& name) {
  const std::string column = references.text("column");
  const CatalogThing key{CatalogThing::What::key, name, column};
  const Table* other = draft.catalog().find_table(name);
  if (other == nullptr) {
    draft.complain_of_missing_table(key, references.at, name);
    return;
  }
  if (other->find_column(column) == nullptr) {
    draft.complain_of_missing_column(key, references.at, *other, column);
    return;
  }
  const bool unique = std::ranges::any_of(other->indexes, [&](const Index& index) {
    return index.unique && index.columns == std::vector<std::string>{column} &&
           index.tail.find(" WHERE ") == std::string::npos;
  });
  if (!unique) {
    draft.complain_of_absent(key, references.at,
                             fmt::format("{} ({}) has no unique constraint to point at", name.display(), column));
  }
}

}  // namespace

void add_column_constraints(Draft& draft, TableDraft& table, const Value& fields, const std::string& visible,
                            const std::string& physical,
                            const std::vector<std::pair<std::string, std::string>>& renamed, bool filled_by_plan) {
  const auto free = [&](const Value& named) {
    return draft.claim_constraint(table, named.text("name"), named.find("name")->at);
  };
  if (const Value* check = fields.find("check"); check != nullptr && free(*check)) {
    ConstraintAdd& constraint = table.constraints.emplace_back();
    constraint.name = constraint.shown = check->text("name");
    constraint.check = expression_field(*check, "constraint", "check " + constraint.name, "boolean");
    constraint.check.kind = Expression::Kind::check;
    constraint.check.renamed = renamed;
  }
  if (const Value* references = fields.find("references"); references != nullptr && free(*references)) {
    ConstraintAdd& constraint = table.constraints.emplace_back();
    constraint.name = constraint.shown = references->text("name");
    constraint.references = QualifiedName{draft.plan().schema, references->text("table")};
    constraint.columns = {physical};
    constraint.referenced_columns = {references->text("column")};
    constraint.at = references->at;
    constraint.foreign_key = fmt::format("foreign key ({}) references {} ({})", quote_identifier(physical),
                                         constraint.references->sql(), quote_identifier(references->text("column")));
    if (const std::string action = references->text("on_delete"); !action.empty()) {
      constraint.foreign_key += " on delete " + action;
    }
    if (const std::string action = references->text("on_update"); !action.empty()) {
      constraint.foreign_key += " on update " + action;
    }
    check_referenced(draft, *references, *constraint.references);
  }
  const Value* unique = fields.find("unique");
  if (unique != nullptr && (unique->kind == Value::Kind::map || unique->scalar == "true")) {
    const std::string given = unique->kind == Value::Kind::map ? unique->text("name") : std::string();
    const std::string name = given.empty() ? usual_key_name(table.table->name.name + "_" + visible) : given;
    const Value* named = unique->find("name");
    if (const Location at = named == nullptr ? unique->at : named->at;
        draft.claim_index(table, name, at) && draft.claim_constraint(table, name, at)) {
      add_unique(draft, table, name, physical, filled_by_plan);
    }
  }
}

void drop_at_contract(TableDraft& table, const Column& column, std::vector<std::string> replaced) {
  table.contract.push_back(alter_table(table, "drop column " + quote_identifier(column.name)));
  table.drops.push_back({table.table->name, column.name, std::move(replaced)});
  std::ranges::copy(column.sequences, std::back_inserter(table.sequences_at_contract));
  for (const Constraint& constraint : table.table->constraints) {
    if (constraint.type == 'f' && std::ranges::find(constraint.columns, column.name) != constraint.columns.end()) {
      table.locked_at_contract.push_back(constraint.references);
    }
  }
}

std::string carry_privileges(const TableDraft& table, const std::string& from, const std::string& to) {
  return "do " + quote_literal(fmt::format(
                     R"(declare one record; begin
for one in select x.privilege_type, x.is_grantable, case x.grantee when 0 then 'public' else pg_catalog.quote_ident(r.rolname) end as grantee
  from pg_catalog.pg_attribute a, pg_catalog.aclexplode(a.attacl) x left join pg_catalog.pg_roles r on r.oid = x.grantee
  where a.attrelid = {0}::pg_catalog.regclass and a.attname = {1}
loop
  execute pg_catalog.format('grant %s (%I) on %s to %s%s', one.privilege_type, {2}, {0}, one.grantee, case when one.is_grantable then ' with grant option' end);
end loop; end)",
                     quote_literal(table.table->name.sql()), quote_literal(from), quote_literal(to)));
}

std::string mapping_label(const std::vector<std::string>& olds, const std::vector<std::string>& news) {
  if (olds.empty()) {
    return join(news, ", ");
  }
  return join(olds, ", ") + " → " + join(news, ", ");
}

}  // namespace ecmigrate
