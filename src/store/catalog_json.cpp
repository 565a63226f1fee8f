#include "ecmigrate/store/catalog_json.hpp"

#include <nlohmann/json.hpp>
#include <optional>

namespace nlohmann {

template <>
struct adl_serializer<std::optional<std::string>> {
  static void to_json(json& out, const std::optional<std::string>& text) { out = text ? json(*text) : json(nullptr); }
  static void from_json(const json& in, std::optional<std::string>& text) {
    text = in.is_null() ? std::nullopt : std::optional(in.get<std::string>());
  }
};

}  // namespace nlohmann

namespace ecmigrate {

using nlohmann::json;

// Found by the library through their names.
static void to_json(json& out, const QualifiedName& name) {
  out = json::array({name.schema, name.name});
}
static void from_json(const json& in, QualifiedName& name) {
  in.at(0).get_to(name.schema);
  in.at(1).get_to(name.name);
}

NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE_WITH_DEFAULT(Column::Grant, grantee, privilege, grantable)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE_WITH_DEFAULT(DomainFacts, over, has_default)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE_WITH_DEFAULT(Column, name, type, base_type, type_modifier, collation, plain_type,
                                                plain_collation, costly_in_place, equality_is_identity, not_null,
                                                default_sql, identity, generated, comment, statistics_target, options,
                                                grants, owned_sequence, sequences, domain)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE_WITH_DEFAULT(Index, name, columns, tail, unique, primary, replica_identity,
                                                clustered, constraint, constraint_type, deferrable, initially_deferred,
                                                comment, valid, tablespace, tablespace_allowed, needed_by)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE_WITH_DEFAULT(Constraint, name, type, columns, definition, validated, references,
                                                no_inherit, comment, referenced_columns, matching, on_delete,
                                                set_columns, deferral, enforced)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE_WITH_DEFAULT(Trigger, name, before_row, on_insert_or_update, on_update,
                                                fires_as_replica, update_of, watched, language, source, arguments)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE_WITH_DEFAULT(Rule, name, columns, on_update, instead)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE_WITH_DEFAULT(Function, signature, source)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE_WITH_DEFAULT(IncomingForeignKey, from, name, columns)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE_WITH_DEFAULT(Table, name, partitioned, is_partition, columns, indexes, constraints,
                                                triggers, incoming, partition_key, rules, functions, leaves, inherits,
                                                foreign_partitions, row_security_applies, owned, subscribed, published,
                                                updates_refused, may_create_beside)

std::string tables_to_json(const Tables& tables) {
  json list = json::array();
  for (const auto& [name, table] : tables) {
    list.push_back(table);
  }
  return list.dump();
}

Tables tables_from_json(std::string_view text) {
  Tables tables;
  for (const json& item : json::parse(text)) {
    Table table = item.get<Table>();
    const QualifiedName name = table.name;
    tables.emplace(name, std::move(table));
  }
  return tables;
}

}  // namespace ecmigrate
