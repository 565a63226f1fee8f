#include <nlohmann/json.hpp>
#include <span>

#include "ecmigrate/op/kind.hpp"
#include "ecmigrate/planfile/planfile.hpp"
#include "fields.hpp"

namespace ecmigrate {

namespace {

using Json = nlohmann::ordered_json;

Json object_schema(std::span<const Field> fields);

/// The reader takes numbers and booleans as the text they are written with.
Json text_schema() {
  return {{"type", {"string", "number", "boolean"}}, {"minLength", 1}};
}

Json map_schema() {
  return {{"type", "object"},
          {"minProperties", 1},
          {"propertyNames", {{"minLength", 1}}},
          {"additionalProperties", text_schema()}};
}

Json item_schema(std::span<const Field> fields);

Json type_schema(const Field& field) {
  switch (field.type) {
    case FieldType::text:
      return field.one_of.empty() ? text_schema() : Json{{"enum", field.one_of}};
    case FieldType::text_or_null:
      if (!field.one_of.empty()) {
        Json words = field.one_of;
        words.push_back(nullptr);
        return {{"enum", std::move(words)}};
      }
      return {{"type", {"string", "number", "boolean", "null"}}};
    case FieldType::boolean:
      return {{"type", "boolean"}};
    case FieldType::integer:
      return {{"type", "integer"}};
    case FieldType::duration:
      return {{"type", "string"}, {"pattern", "^([0-9]{1,12}(ms|s|m|h))+$"}};
    case FieldType::sql:
      return text_schema();
    case FieldType::sql_per_column:
    case FieldType::text_map:
      return map_schema();
    case FieldType::sql_or_per_column:
      return {{"oneOf", Json::array({text_schema(), map_schema()})}};
    case FieldType::object:
      return object_schema(field.fields);
    case FieldType::object_list:
      return {{"type", "array"}, {"minItems", 1}, {"items", item_schema(field.fields)}};
    case FieldType::text_list:
      return {{"type", "array"}, {"minItems", 1}, {"items", text_schema()}};
  }
  return Json::object();
}

Json field_schema(const Field& field) {
  Json out = Json::object();
  out["description"] = field.doc;
  out.update(type_schema(field));
  return out;
}

Json object_schema(std::span<const Field> fields) {
  Json properties = Json::object();
  Json required = Json::array();
  for (const Field& field : fields) {
    properties[std::string(field.name)] = field_schema(field);
    if (field.required) {
      required.push_back(field.name);
    }
  }
  Json out{{"type", "object"}, {"properties", std::move(properties)}};
  // Draft 4, which some editors still read schemas as, does not allow an empty list here.
  if (!required.empty()) {
    out["required"] = std::move(required);
  }
  out["additionalProperties"] = false;
  return out;
}

Json item_schema(std::span<const Field> fields) {
  if (!planfile::takes_scalar_items(fields)) {
    return object_schema(fields);
  }
  return {{"oneOf", Json::array({object_schema(fields), field_schema(fields.front())})}};
}

Json operations_schema() {
  Json kinds = Json::array();
  for (const OperationKind* kind : operation_kinds()) {
    const std::string name(kind->name);
    kinds.push_back({{"title", name},
                     {"description", kind->summary},
                     {"type", "object"},
                     {"properties", {{name, object_schema(kind->fields)}}},
                     {"required", Json::array({name})},
                     {"additionalProperties", false}});
  }
  return {{"type", "array"}, {"minItems", 1}, {"items", {{"oneOf", std::move(kinds)}}}};
}

}  // namespace

std::string plan_json_schema() {
  Json out{{"$schema", "http://json-schema.org/draft-07/schema#"},
           {"title", "ecmigrate plan"},
           {"description", "A zero-downtime migration of a PostgreSQL database."}};
  out.update(object_schema(planfile::plan_fields()));
  out["properties"][std::string(planfile::k_operations)].update(operations_schema());
  return out.dump(2) + "\n";
}

}  // namespace ecmigrate
