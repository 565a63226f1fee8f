#include "rename.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "column_fields.hpp"
#include "ecmigrate/base/text.hpp"
#include "sql_text.hpp"

namespace ecmigrate {

std::vector<std::pair<const Index*, std::string>> copy_indexes(Draft& draft, TableDraft& table, const Column& old,
                                                               const std::string& copy, CopyUse use) {
  std::vector<std::pair<const Index*, std::string>> copies;
  if (table.table->partitioned) {
    draft.warn(fmt::format("{} is partitioned: \"{}\" gets no indexes, as none can be built concurrently there",
                           table.table->name.display(), copy));
    return copies;
  }
  for (const Index& index : table.table->indexes) {
    if (std::ranges::find(index.columns, old.name) == index.columns.end()) {
      continue;
    }
    if (!index.valid) {
      draft.warn(
          fmt::format("index \"{}\" is invalid, as a CREATE INDEX CONCURRENTLY that failed leaves it: it is not "
                      "copied",
                      index.name));
      continue;
    }
    const std::string name = draft.object_name(table.table->name, "index", index.name);
    if (std::ranges::find(table.indexes, name, [](const IndexBuild& build) { return build.name.name; }) !=
        table.indexes.end()) {
      draft.refuse({}, fmt::format("this plan changes several columns of index \"{}\"", index.name),
                   "Change them in plans of their own, one after the other.");
      continue;
    }
    IndexBuild& build = table.indexes.emplace_back();
    build.name = {table.table->name.schema, draft.object_name(table.table->name, "index", index.name)};
    build.unique = index.unique && !(index.deferrable && use == CopyUse::passing);
    build.shown = index.name;
    build.tablespace = index.tablespace;
    build.definition.kind = Expression::Kind::index;
    build.definition.text = index.tail;
    build.definition.alternatives = {without_literal_types(index.tail)};
    build.definition.what = "index " + index.name;
    build.definition.renamed = {{old.name, copy}};
    build.after_fill = true;
    build.drop_on_rollback = false;  // it goes with the column
    copies.emplace_back(&index, build.name.name);
  }
  return copies;
}

void warn_of_conflicts(Draft& draft, const Index& index) {
  if (index.unique && index.valid && !index.deferrable) {
    draft.warn(fmt::format(
        "from the end of the backfill until contract, an INSERT with ON CONFLICT ({0}), or on the new column, "
        "may fail with \"duplicate key\" of the other column's copy of \"{1}\", where two sessions insert the "
        "same value at the same moment: let the application try again",
        join(index.columns, ", "), index.name));
  }
}

void rename_through_copy(Draft& draft, TableDraft& table, const Column& old, const std::string& to, Location at) {
  if (!draft.claim_column(table, to, at)) {
    return;
  }
  Mapping& mapping = table.mappings.emplace_back();
  NewColumn column = copy_of(draft, table, old, to);
  if (!old.plain_type.empty()) {
    // The domain still judges every value: the sync gives it to the old column, which is the one that stays.
    column.type = old.plain_type;
    column.domain = {};
    column.collation = old.plain_collation;
  }
  // The old column's own NOT NULL holds for both, as they are kept equal.
  column.nullable = true;
  column.held_by_old = old.not_null;
  column.not_null_check.clear();
  column.up.text = quote_identifier(old.name);
  column.up.what = "up of " + to;
  column.up.at = at;
  column.up.target_type = column.type;
  Expression down;
  down.text = quote_identifier(to);
  down.what = "down of " + old.name;
  down.at = at;
  down.target_type = old.type;
  mapping.olds.push_back({&old, down});
  mapping.news.push_back(std::move(column));
  mapping.label = mapping_label({old.name}, {to});

  table.indexed_as.emplace_back(to, old.name);
  std::vector<std::string> copies;
  for (const auto& [index, name] : copy_indexes(draft, table, old, to, CopyUse::passing)) {
    copies.push_back(name);
    warn_of_conflicts(draft, *index);
  }
  table.expand_titles.push_back(to);
  table.contract_titles.push_back(fmt::format("rename {} to {}", old.name, to));
  table.contract.push_back(carry_privileges(table, to, old.name));
  table.contract.push_back(alter_table(table, "drop column " + quote_identifier(to)));
  table.contract.push_back(
      alter_table(table, fmt::format("rename column {} to {}", quote_identifier(old.name), quote_identifier(to))));
  table.drops.push_back({table.table->name, to, copies});
  table.drops.back().successor = old.name;
}

}  // namespace ecmigrate
