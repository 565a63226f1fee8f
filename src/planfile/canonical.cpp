#include "canonical.hpp"

#include <nlohmann/json.hpp>
#include <span>

#include "ecmigrate/model/field.hpp"
#include "ecmigrate/op/kind.hpp"
#include "fields.hpp"

namespace ecmigrate::planfile {

namespace {

using Json = nlohmann::ordered_json;

Json to_json(const Value& value, const Field& field);

Json to_object(const Value& value, std::span<const Field> fields) {
  Json out = Json::object();
  for (const auto& [name, member] : value.members) {
    out[name] = to_json(member, *find_field(fields, name));
  }
  return out;
}

Json to_json(const Value& value, const Field& field) {
  switch (value.kind) {
    case Value::Kind::null:
      return nullptr;
    case Value::Kind::scalar:
      if (field.type == FieldType::boolean) {
        return value.scalar == "true";
      }
      return field.type == FieldType::integer ? Json(std::stoll(value.scalar)) : Json(value.scalar);
    case Value::Kind::map: {
      if (field.type == FieldType::object) {
        return to_object(value, field.fields);
      }
      Json out = Json::object();
      for (const auto& [name, member] : value.members) {
        out[name] = member.scalar;
      }
      return out;
    }
    case Value::Kind::list: {
      Json out = Json::array();
      for (const Value& item : value.items) {
        out.push_back(field.type == FieldType::object_list ? to_object(item, field.fields) : Json(item.scalar));
      }
      return out;
    }
  }
  return nullptr;
}

}  // namespace

std::string canonical_text(const Plan& plan) {
  Json operations = Json::array();
  for (const PlannedOperation& operation : plan.operations) {
    const OperationKind* kind = find_operation_kind(operation.kind);
    operations.push_back({{operation.kind, to_object(operation.fields, kind->fields)}});
  }
  return Json{{"schema", plan.schema}, {"deterministic", plan.deterministic}, {"operations", std::move(operations)}}
      .dump();
}

}  // namespace ecmigrate::planfile
