#include "compile_plan.hpp"

#include "ecmigrate/op/draft.hpp"
#include "ecmigrate/store/catalog_reader.hpp"
#include "ecmigrate/store/probe.hpp"

namespace ecmigrate {

Recipe compile_plan(pg::Connection& connection, const Plan& plan, const Catalog& catalog) {
  Draft draft = draft_plan(plan, catalog);
  probe_expressions(connection, draft);
  return compile(draft);
}

Recipe compile_plan_for(pg::Connection& connection, const Plan& plan, const Tables& tables) {
  Catalog catalog = read_catalog(connection, plan);
  std::erase_if(catalog.table_of_index, [&](const auto& entry) { return tables.contains(entry.second); });
  for (const auto& [name, table] : tables) {
    catalog.tables[name] = table;
    for (const Index& index : table.indexes) {
      catalog.table_of_index[{name.schema, index.name}] = name;
    }
  }
  return compile_plan(connection, plan, catalog);
}

}  // namespace ecmigrate
