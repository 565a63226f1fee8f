#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "ecmigrate/model/pace_limits.hpp"
#include "ecmigrate/op/kind.hpp"
#include "ecmigrate/planfile/planfile.hpp"
#include "support/catch.hpp"

using namespace ecmigrate;
using Json = nlohmann::ordered_json;

namespace {

void contribute_nothing(const PlannedOperation&, const Plan&, const Catalog&, Draft&) {}

/// Registered by the tests that need it, not before main, so that other tests see the real kinds only.
void register_widget() {
  static const std::vector<Field> item{{.name = "name", .type = FieldType::text, .required = true, .doc = "Its name."},
                                       {.name = "sort", .type = FieldType::text, .doc = "Order."}};
  static const OperationKind widget{
      .name = "test_widget",
      .summary = "Stands for every kind.",
      .example = "",
      .fields = {{.name = "table", .type = FieldType::text, .required = true, .doc = "The table."},
                 {.name = "action", .type = FieldType::text, .doc = "What happens.", .one_of = {"CASCADE", "RESTRICT"}},
                 {.name = "default", .type = FieldType::text_or_null, .doc = "The default."},
                 {.name = "storage", .type = FieldType::text_or_null, .doc = "Storage.", .one_of = {"PLAIN"}},
                 {.name = "unique", .type = FieldType::boolean, .doc = "Unique or not."},
                 {.name = "limit", .type = FieldType::integer, .doc = "How many."},
                 {.name = "pause", .type = FieldType::duration, .doc = "How long."},
                 {.name = "check", .type = FieldType::sql, .doc = "A condition."},
                 {.name = "up", .type = FieldType::sql_per_column, .doc = "Per column."},
                 {.name = "down", .type = FieldType::sql_or_per_column, .doc = "One or per column."},
                 {.name = "references", .type = FieldType::object, .doc = "The other table.", .fields = item},
                 {.name = "columns", .type = FieldType::object_list, .doc = "Columns.", .fields = item},
                 {.name = "into",
                  .type = FieldType::object_list,
                  .doc = "New columns.",
                  .fields = {{.name = "name", .type = FieldType::text, .required = true, .doc = "Its name."},
                             {.name = "type", .type = FieldType::text, .required = true, .doc = "Its type."}}},
                 {.name = "names", .type = FieldType::text_list, .doc = "Some names."},
                 {.name = "settings", .type = FieldType::text_map, .doc = "Some settings."}},
      .contribute = contribute_nothing};
  static const KindRegistration registration{widget};
}

Json schema() {
  register_widget();
  return Json::parse(plan_json_schema());
}

/// The schema of the widget's fields.
Json widget() {
  const Json plan = schema();
  for (const Json& kind : plan["properties"]["operations"]["items"]["oneOf"]) {
    if (kind["title"] == "test_widget") {
      return kind;
    }
  }
  FAIL("no such kind");
  return {};
}

Json field(const std::string& name) {
  return widget()["properties"]["test_widget"]["properties"][name];
}

const Json k_text = Json::parse(R"({"type": ["string", "number", "boolean"], "minLength": 1})");
const Json k_map = Json::parse(
    R"({"type": "object", "minProperties": 1, "propertyNames": {"minLength": 1},
        "additionalProperties": {"type": ["string", "number", "boolean"], "minLength": 1}})");

/// What `field` should be: the description, then the rest.
Json described(const std::string& description, const Json& rest) {
  Json out{{"description", description}};
  out.update(rest);
  return out;
}

/// Every schema with properties is closed, and names only properties it has as required.
void check_closed(const Json& part) {
  if (part.is_object() && part.contains("properties") && part["properties"].is_object() && part.contains("type")) {
    CHECK(part["additionalProperties"] == false);
    for (const Json& name : part.value("required", Json::array())) {
      CHECK(part["properties"].contains(name.get<std::string>()));
    }
  }
  if (part.is_structured()) {
    for (const Json& child : part) {
      check_closed(child);
    }
  }
}

}  // namespace

TEST_CASE("the JSON Schema's head") {
  register_widget();
  const std::string text = plan_json_schema();
  CHECK(text.back() == '\n');
  CHECK(text == plan_json_schema());
  const Json plan = schema();
  CHECK(plan["$schema"] == "http://json-schema.org/draft-07/schema#");
  CHECK(plan["title"] == "ecmigrate plan");
  CHECK(plan["type"] == "object");
  CHECK(plan["required"] == Json::array({"operations"}));
  std::string keys;
  for (const auto& [key, value] : plan["properties"].items()) {
    keys += key + " ";
    CHECK_FALSE(value["description"].get<std::string>().empty());
  }
  CHECK(keys == "name description schema version_schema deterministic operations backfill ");
  CHECK(plan["properties"]["backfill"]["properties"].size() == k_pace_limits.size());
  CHECK(plan["properties"]["operations"]["minItems"] == 1);
}

TEST_CASE("the JSON Schema allows no unknown key anywhere") {
  check_closed(schema());
}

TEST_CASE("the JSON Schema has every kind once, by name") {
  const Json plan = schema();
  const Json& kinds = plan["properties"]["operations"]["items"]["oneOf"];
  REQUIRE(kinds.size() == operation_kinds().size());
  for (std::size_t i = 0; i < kinds.size(); ++i) {
    const std::string name(operation_kinds()[i]->name);
    CHECK(kinds[i]["title"] == name);
    CHECK(kinds[i]["description"] == operation_kinds()[i]->summary);
    CHECK(kinds[i]["required"] == Json::array({name}));
    CHECK(kinds[i]["properties"].size() == 1);
    CHECK(kinds[i]["properties"][name]["properties"].size() == operation_kinds()[i]->fields.size());
  }
}

TEST_CASE("the JSON Schema of every field type") {
  CHECK(widget()["properties"]["test_widget"]["required"] == Json::array({"table"}));
  CHECK(field("table") == described("The table.", k_text));
  CHECK(field("action") == Json::parse(R"({"description": "What happens.", "enum": ["CASCADE", "RESTRICT"]})"));
  CHECK(field("default") ==
        Json::parse(R"({"description": "The default.", "type": ["string", "number", "boolean", "null"]})"));
  CHECK(field("storage") == Json::parse(R"({"description": "Storage.", "enum": ["PLAIN", null]})"));
  CHECK(field("unique") == Json::parse(R"({"description": "Unique or not.", "type": "boolean"})"));
  CHECK(field("limit") == Json::parse(R"({"description": "How many.", "type": "integer"})"));
  CHECK(field("pause")["type"] == "string");
  CHECK(field("check") == described("A condition.", k_text));
  CHECK(field("up") == described("Per column.", k_map));
  CHECK(field("down") == described("One or per column.", Json{{"oneOf", Json::array({k_text, k_map})}}));
  CHECK(field("references")["properties"]["name"] == described("Its name.", k_text));
  CHECK(field("references")["required"] == Json::array({"name"}));
  CHECK(field("names") == described("Some names.", Json{{"type", "array"}, {"minItems", 1}, {"items", k_text}}));
  CHECK(field("settings") == described("Some settings.", k_map));
}

TEST_CASE("the JSON Schema allows scalar items where the reader does") {
  const Json columns = field("columns");
  CHECK(columns["type"] == "array");
  CHECK(columns["minItems"] == 1);
  REQUIRE(columns["items"]["oneOf"].size() == 2);
  CHECK(columns["items"]["oneOf"][0]["type"] == "object");
  CHECK(columns["items"]["oneOf"][1] == described("Its name.", k_text));
  // Another field is required, so a scalar alone is never enough.
  CHECK(field("into")["items"]["type"] == "object");
}
