#include "operations.hpp"

#include <algorithm>
#include <limits>

#include "ecmigrate/op/draft.hpp"

namespace ecmigrate::planfile {

namespace {

Table& table_of(Catalog& catalog, const QualifiedName& name) {
  Table& table = catalog.tables[name];
  if (table.name.name.empty()) {
    table.name = name;
    table.leaves = {name};
    table.owned = true;
    catalog.tables_in_schema.push_back(name.name);
  }
  return table;
}

/// False for what is there already.
bool add_column(Table& table, const std::string& name) {
  if (table.find_column(name) != nullptr) {
    return false;
  }
  table.columns.emplace_back().name = name;
  return true;
}

/// Adds what a plan was found to count on; false where the catalog has it, and the complaint is about something else.
bool add(Catalog& catalog, const CatalogThing& thing) {
  const bool has_table = catalog.find_table(thing.table) != nullptr;
  switch (thing.what) {
    case CatalogThing::What::table:
      table_of(catalog, thing.table);
      return !has_table;
    case CatalogThing::What::column:
      return add_column(table_of(catalog, thing.table), thing.name);
    case CatalogThing::What::key: {
      Table& table = table_of(catalog, thing.table);
      const bool has_key = std::ranges::any_of(
          table.indexes, [&](const Index& index) { return index.columns == std::vector<std::string>{thing.name}; });
      const bool added = add_column(table, thing.name);
      if (!has_key) {
        Index& key = table.indexes.emplace_back();
        key.name = "key of " + thing.name;
        key.columns = {thing.name};
        key.unique = true;
      }
      return added || !has_key;
    }
    case CatalogThing::What::constraint:
      break;
    case CatalogThing::What::index: {
      // Its table is anybody's guess; nothing that is asked without a server depends on it.
      const QualifiedName owner{thing.table.schema, "table of " + thing.table.name};
      catalog.tables[owner].name = owner;
      return catalog.table_of_index.try_emplace(thing.table, owner).second;
    }
  }
  return false;
}

using Kind = Draft::Complaint::Kind;

/// Adds whatever the draft misses; whether that was anything.
bool add_absent(Catalog& catalog, const Draft& draft) {
  bool grown = false;
  for (const Draft::Complaint& complaint : draft.complaints()) {
    grown = (complaint.kind == Kind::absent && add(catalog, complaint.thing)) || grown;
  }
  return grown;
}

std::vector<Draft::Complaint> complaints_of(const Plan& plan, Catalog& catalog) {
  for (;;) {
    Draft draft(plan, catalog);
    contribute_all(draft);
    if (!add_absent(catalog, draft)) {
      return draft.complaints();
    }
  }
}

/// Takes the columns out of the catalog that the plan wants to make; whether there were any.
bool remove_taken(Catalog& catalog, const std::vector<Draft::Complaint>& complaints) {
  bool removed = false;
  for (const Draft::Complaint& complaint : complaints) {
    if (complaint.kind == Kind::taken && complaint.thing.what == CatalogThing::What::column) {
      std::vector<Column>& columns = catalog.tables.at(complaint.thing.table).columns;
      removed = std::erase_if(columns, [&](const Column& column) { return column.name == complaint.thing.name; }) > 0 ||
                removed;
    }
  }
  return removed;
}

}  // namespace

void check_operations(const Plan& plan, Complaints& complaints) {
  // The kindest database there is: it has what the plan counts on, and nothing else. What is wrong even there is wrong
  // everywhere.
  Catalog catalog;
  catalog.server_version = std::numeric_limits<int>::max();
  std::vector<Draft::Complaint> found = complaints_of(plan, catalog);
  // An operation that missed its own column did not get to the one that it adds, which a later one missed then. Such a
  // column is not missed again.
  if (remove_taken(catalog, found)) {
    found = complaints_of(plan, catalog);
  }
  for (const Draft::Complaint& complaint : found) {
    if (complaint.kind == Kind::taken) {
      complaints.add(complaint.at, complaint.message + ", as the plan counts on it elsewhere",
                     "What a plan adds it can read in the operations after that, but not change: put both changes "
                     "into one operation, or into two plans, one after the other.");
    } else if (complaint.kind != Kind::refused) {
      complaints.add(complaint.at, complaint.message, complaint.hint);
    }
  }
}

}  // namespace ecmigrate::planfile
