#include <fmt/format.h>

#include <algorithm>

#include "../column_fields.hpp"
#include "ecmigrate/base/text.hpp"
#include "ecmigrate/op/kind.hpp"

namespace ecmigrate {

namespace {

std::string parameters(const std::vector<Member>& members) {
  std::vector<std::string> terms;
  for (const auto& [name, value] : members) {
    terms.push_back(fmt::format("{} = {}", quote_identifier(name), quote_literal(value.scalar)));
  }
  return join(terms, ", ");
}

/// An operator class may be written with its schema.
std::string dotted(const std::string& name) {
  const std::size_t dot = name.find('.');
  return dot == std::string::npos
             ? quote_identifier(name)
             : quote_identifier(name.substr(0, dot)) + "." + quote_identifier(name.substr(dot + 1));
}

std::string index_column(const Value& column) {
  std::string sql = quote_identifier(column.text("column"));
  if (column.has("collate")) {
    sql += " collate " + dotted(column.text("collate"));
  }
  if (const Value* opclass = column.find("opclass")) {
    sql += " " + dotted(opclass->text("name"));
    if (const Value* given = opclass->find("params")) {
      sql += " (" + parameters(given->members) + ")";
    }
  }
  if (column.has("sort")) {
    sql += " " + column.text("sort");
  }
  if (column.has("nulls")) {
    sql += " nulls " + column.text("nulls");
  }
  return sql;
}

std::string index_tail(const Value& fields, const std::vector<std::string>& columns) {
  std::string tail =
      fmt::format(" using {} ({})", quote_identifier(fields.text("method", "btree")), join(columns, ", "));
  if (fields.has("storage_parameters")) {
    tail += " with (" + fields.text("storage_parameters") + "\n)";
  }
  if (fields.has("predicate")) {
    tail += " where " + fields.text("predicate");
  }
  return tail;
}

void contribute(const PlannedOperation& operation, const Plan&, const Catalog&, Draft& draft) {
  TableDraft* table = draft.table(operation);
  if (table == nullptr) {
    return;
  }
  const Value& fields = operation.fields;
  if (table->table->partitioned) {
    draft.complain(operation.at, "an index on a partitioned table cannot be built concurrently",
                   "Build it on each partition, then on the parent, with `sql`.");
    return;
  }
  std::vector<std::string> columns;
  bool on_new_column = false;
  for (const Value& item : fields.find("columns")->items) {
    const std::string name = item.text("column");
    if (Draft::adds_column(*table, name)) {
      on_new_column = true;
    } else if (table->table->find_column(name) == nullptr) {
      draft.column(*table, name, item.at);  // complains
      continue;
    }
    table->indexed.emplace_back(name, item.at);
    columns.push_back(index_column(item));
  }
  if (!draft.claim_index(*table, fields.text("name"), fields.find("name")->at)) {
    return;
  }
  IndexBuild& build = table->indexes.emplace_back();
  build.name = {table->table->name.schema, fields.text("name")};
  build.unique = fields.flag("unique", false);
  build.shown = build.name.name;
  build.may_be_violated = build.unique;
  build.definition.kind = Expression::Kind::index;
  build.definition.text = index_tail(fields, columns);
  build.definition.what = "index " + build.name.name;
  build.definition.at = operation.at;
  build.after_fill = on_new_column;
}

std::vector<Field> column_fields() {
  return {{"column", FieldType::text, true, "The column."},
          {"collate", FieldType::text, false, "A collation."},
          {"opclass",
           FieldType::object,
           false,
           "An operator class.",
           {{"name", FieldType::text, true, "Its name."}, {"params", FieldType::text_map, false, "Its parameters."}}},
          {"sort", FieldType::text, false, "The direction.", {}, {"ASC", "DESC", "asc", "desc"}},
          {"nulls", FieldType::text, false, "Where nulls stand.", {}, {"FIRST", "LAST", "first", "last"}}};
}

const OperationKind k_kind{
    "create_index",
    "Builds an index beside reads and writes.",
    R"yaml(create_index:
  table: users
  name: users_city_idx
  columns: [city]
)yaml",
    {{"table", FieldType::text, true, "The table."},
     {"name", FieldType::text, true, "Name of the index."},
     {"columns", FieldType::object_list, true, "Its columns.", column_fields()},
     {"method", FieldType::text, false, "btree (the default), hash, gin, gist, spgist, brin, or an extension's."},
     {"unique", FieldType::boolean, false, "Whether its values are unique."},
     {"predicate", FieldType::sql, false, "The condition of a partial index."},
     {"storage_parameters", FieldType::sql, false, "For example `fillfactor = 70`."}},
    contribute};

const KindRegistration k_registration{k_kind};

}  // namespace

}  // namespace ecmigrate
