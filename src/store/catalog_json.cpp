#include "ecmigrate/store/catalog_json.hpp"

#include <nlohmann/json.hpp>

namespace ecmigrate {

using nlohmann::json;

namespace {

json write(const QualifiedName& name) {
  return {name.schema, name.name};
}
json write(const std::optional<std::string>& text) {
  return text ? json(*text) : json(nullptr);
}

// Each struct is taken apart, so that one with a further member does not compile until it is written here.
json write(const Column::Grant& grant) {
  const auto& [grantee, privilege, grantable] = grant;
  return {{"grantee", grantee}, {"privilege", privilege}, {"grantable", grantable}};
}
json write(const Trigger& trigger) {
  const auto& [name, before_row, on_insert_or_update, on_update, fires_always, update_of, watched, language, source,
               arguments] = trigger;
  return {{"name", name},           {"before_row", before_row},     {"on_insert_or_update", on_insert_or_update},
          {"on_update", on_update}, {"fires_always", fires_always}, {"update_of", update_of},
          {"watched", watched},     {"language", language},         {"source", source},
          {"arguments", arguments}};
}
json write(const Rule& rule) {
  const auto& [name, columns] = rule;
  return {{"name", name}, {"columns", columns}};
}
json write(const Function& function) {
  const auto& [signature, source] = function;
  return {{"signature", signature}, {"source", source}};
}
json write(const IncomingForeignKey& key) {
  const auto& [from, name, columns] = key;
  return {{"from", write(from)}, {"name", name}, {"columns", columns}};
}
json write(const Constraint& constraint) {
  const auto& [name, type, columns, definition, validated, references, no_inherit, comment, referenced_columns,
               matching, on_delete, set_columns, deferral, enforced] = constraint;
  return {{"name", name},
          {"type", static_cast<int>(type)},
          {"columns", columns},
          {"definition", definition},
          {"validated", validated},
          {"references", write(references)},
          {"no_inherit", no_inherit},
          {"comment", write(comment)},
          {"referenced_columns", referenced_columns},
          {"matching", matching},
          {"on_delete", on_delete},
          {"set_columns", set_columns},
          {"deferral", deferral},
          {"enforced", enforced}};
}
json write(const Index& index) {
  const auto& [name, columns, tail, unique, primary, replica_identity, clustered, constraint, constraint_type,
               deferrable, initially_deferred, comment, valid, tablespace, tablespace_allowed, needed_by] = index;
  return {{"name", name},
          {"columns", columns},
          {"tail", tail},
          {"unique", unique},
          {"primary", primary},
          {"replica_identity", replica_identity},
          {"clustered", clustered},
          {"constraint", constraint},
          {"constraint_type", static_cast<int>(constraint_type)},
          {"deferrable", deferrable},
          {"initially_deferred", initially_deferred},
          {"comment", write(comment)},
          {"valid", valid},
          {"tablespace", tablespace},
          {"tablespace_allowed", tablespace_allowed},
          {"needed_by", needed_by}};
}

json write(const Column& column);

template <typename Item>
json write(const std::vector<Item>& items) {
  json list = json::array();
  for (const Item& item : items) {
    list.push_back(write(item));
  }
  return list;
}

json write(const Column& column) {
  const auto& [name, type, base_type, type_modifier, collation, plain_type, plain_collation, costly_in_place,
               equality_is_identity, not_null, default_sql, identity, generated, comment, statistics_target, options,
               grants, owned_sequence] = column;
  return {{"name", name},
          {"type", type},
          {"base_type", base_type},
          {"type_modifier", type_modifier},
          {"collation", collation},
          {"plain_type", plain_type},
          {"plain_collation", plain_collation},
          {"costly_in_place", costly_in_place},
          {"equality_is_identity", equality_is_identity},
          {"not_null", not_null},
          {"default_sql", write(default_sql)},
          {"identity", identity},
          {"generated", generated},
          {"comment", write(comment)},
          {"statistics_target", statistics_target},
          {"options", options},
          {"grants", write(grants)},
          {"owned_sequence", write(owned_sequence)}};
}

json write(const Table& table) {
  const auto& [name, partitioned, is_partition, columns, indexes, constraints, triggers, incoming, partition_key, rules,
               functions, leaves, inherits, foreign_partitions, row_security_applies, owned, subscribed, published,
               updates_refused, may_create_beside] = table;
  return {{"name", write(name)},
          {"partitioned", partitioned},
          {"is_partition", is_partition},
          {"columns", write(columns)},
          {"indexes", write(indexes)},
          {"constraints", write(constraints)},
          {"triggers", write(triggers)},
          {"incoming", write(incoming)},
          {"partition_key", partition_key},
          {"rules", write(rules)},
          {"functions", write(functions)},
          {"leaves", write(leaves)},
          {"inherits", inherits},
          {"foreign_partitions", foreign_partitions},
          {"row_security_applies", row_security_applies},
          {"owned", owned},
          {"subscribed", subscribed},
          {"published", published},
          {"updates_refused", updates_refused},
          {"may_create_beside", may_create_beside}};
}

void read(const json& in, QualifiedName& name) {
  in.at(0).get_to(name.schema);
  in.at(1).get_to(name.name);
}
void read(const json& in, std::optional<std::string>& text) {
  text = in.is_null() ? std::nullopt : std::optional(in.get<std::string>());
}
void read(const json& in, char& letter) {
  letter = static_cast<char>(in.get<int>());
}

template <typename Value>
void read(const json& in, Value& value) {
  in.get_to(value);
}
template <typename Value>
void take(const json& in, const char* name, Value& value) {
  if (const auto at = in.find(name); at != in.end()) {
    read(*at, value);
  }
}
template <typename Item>
void take(const json& in, const char* name, std::vector<Item>& items, void (*read_item)(const json&, Item&)) {
  if (const auto at = in.find(name); at != in.end()) {
    for (const json& item : *at) {
      read_item(item, items.emplace_back());
    }
  }
}

void read_grant(const json& in, Column::Grant& grant) {
  take(in, "grantee", grant.grantee);
  take(in, "privilege", grant.privilege);
  take(in, "grantable", grant.grantable);
}
void read_trigger(const json& in, Trigger& trigger) {
  take(in, "name", trigger.name);
  take(in, "before_row", trigger.before_row);
  take(in, "on_insert_or_update", trigger.on_insert_or_update);
  take(in, "on_update", trigger.on_update);
  take(in, "fires_always", trigger.fires_always);
  take(in, "update_of", trigger.update_of);
  take(in, "watched", trigger.watched);
  take(in, "language", trigger.language);
  take(in, "source", trigger.source);
  take(in, "arguments", trigger.arguments);
}
void read_rule(const json& in, Rule& rule) {
  take(in, "name", rule.name);
  take(in, "columns", rule.columns);
}
void read_function(const json& in, Function& function) {
  take(in, "signature", function.signature);
  take(in, "source", function.source);
}
void read_incoming(const json& in, IncomingForeignKey& key) {
  take(in, "from", key.from);
  take(in, "name", key.name);
  take(in, "columns", key.columns);
}
void read_constraint(const json& in, Constraint& constraint) {
  take(in, "name", constraint.name);
  take(in, "type", constraint.type);
  take(in, "columns", constraint.columns);
  take(in, "definition", constraint.definition);
  take(in, "validated", constraint.validated);
  take(in, "references", constraint.references);
  take(in, "no_inherit", constraint.no_inherit);
  take(in, "comment", constraint.comment);
  take(in, "referenced_columns", constraint.referenced_columns);
  take(in, "matching", constraint.matching);
  take(in, "on_delete", constraint.on_delete);
  take(in, "set_columns", constraint.set_columns);
  take(in, "deferral", constraint.deferral);
  take(in, "enforced", constraint.enforced);
}
void read_index(const json& in, Index& index) {
  take(in, "name", index.name);
  take(in, "columns", index.columns);
  take(in, "tail", index.tail);
  take(in, "unique", index.unique);
  take(in, "primary", index.primary);
  take(in, "replica_identity", index.replica_identity);
  take(in, "clustered", index.clustered);
  take(in, "constraint", index.constraint);
  take(in, "constraint_type", index.constraint_type);
  take(in, "deferrable", index.deferrable);
  take(in, "initially_deferred", index.initially_deferred);
  take(in, "comment", index.comment);
  take(in, "valid", index.valid);
  take(in, "tablespace", index.tablespace);
  take(in, "tablespace_allowed", index.tablespace_allowed);
  take(in, "needed_by", index.needed_by);
}
void read_column(const json& in, Column& column) {
  take(in, "name", column.name);
  take(in, "type", column.type);
  take(in, "base_type", column.base_type);
  take(in, "type_modifier", column.type_modifier);
  take(in, "collation", column.collation);
  take(in, "plain_type", column.plain_type);
  take(in, "plain_collation", column.plain_collation);
  take(in, "costly_in_place", column.costly_in_place);
  take(in, "equality_is_identity", column.equality_is_identity);
  take(in, "not_null", column.not_null);
  take(in, "default_sql", column.default_sql);
  take(in, "identity", column.identity);
  take(in, "generated", column.generated);
  take(in, "comment", column.comment);
  take(in, "statistics_target", column.statistics_target);
  take(in, "options", column.options);
  take(in, "grants", column.grants, read_grant);
  take(in, "owned_sequence", column.owned_sequence);
}
void read_leaf(const json& in, QualifiedName& leaf) {
  read(in, leaf);
}

Table read_table(const json& in) {
  Table table;
  take(in, "name", table.name);
  take(in, "partitioned", table.partitioned);
  take(in, "is_partition", table.is_partition);
  take(in, "columns", table.columns, read_column);
  take(in, "indexes", table.indexes, read_index);
  take(in, "constraints", table.constraints, read_constraint);
  take(in, "triggers", table.triggers, read_trigger);
  take(in, "incoming", table.incoming, read_incoming);
  take(in, "partition_key", table.partition_key);
  take(in, "rules", table.rules, read_rule);
  take(in, "functions", table.functions, read_function);
  take(in, "leaves", table.leaves, read_leaf);
  take(in, "inherits", table.inherits);
  take(in, "foreign_partitions", table.foreign_partitions);
  take(in, "row_security_applies", table.row_security_applies);
  take(in, "owned", table.owned);
  take(in, "subscribed", table.subscribed);
  take(in, "published", table.published);
  take(in, "updates_refused", table.updates_refused);
  take(in, "may_create_beside", table.may_create_beside);
  return table;
}

}  // namespace

std::string tables_to_json(const Tables& tables) {
  json list = json::array();
  for (const auto& [name, table] : tables) {
    list.push_back(write(table));
  }
  return list.dump();
}

Tables tables_from_json(std::string_view text) {
  Tables tables;
  for (const json& item : json::parse(text)) {
    Table table = read_table(item);
    const QualifiedName name = table.name;
    tables.emplace(name, std::move(table));
  }
  return tables;
}

}  // namespace ecmigrate
