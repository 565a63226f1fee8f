#include "ecmigrate/store/recipe_json.hpp"

#include <nlohmann/json.hpp>

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

static void to_json(json& out, const LockRequest& lock) {
  out = {{"relation", lock.relation}, {"mode", static_cast<int>(lock.mode)}};
}
static void from_json(const json& in, LockRequest& lock) {
  in.at("relation").get_to(lock.relation);
  lock.mode = static_cast<LockMode>(in.at("mode").get<int>());
}

static void to_json(json& out, const Step& step) {
  out = {{"kind", static_cast<int>(step.kind)},
         {"id", step.id},
         {"title", step.title},
         {"locks", step.locks},
         {"sql", step.sql},
         {"cost", step.cost}};
  if (step.index) {
    out["index"] = *step.index;
  }
}
static void from_json(const json& in, Step& step) {
  step.kind = static_cast<Step::Kind>(in.at("kind").get<int>());
  in.at("id").get_to(step.id);
  in.at("title").get_to(step.title);
  in.at("locks").get_to(step.locks);
  in.at("sql").get_to(step.sql);
  in.at("cost").get_to(step.cost);
  if (in.contains("index")) {
    step.index = in.at("index").get<QualifiedName>();
  }
}

NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(SyncedMapping, label, old_columns, new_columns, pending, inconsistent, fill,
                                   fill_if_pending, old_from_new)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(SyncedTable, table, mappings, key, spread, user_update_triggers)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(ColumnDrop, table, column, replaced, type_change)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(SyncTrigger, table, names)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(Recipe, tables, expand, synced, after_fill, validate, contract, rollback, drops,
                                   triggers)

std::string recipe_to_json(const Recipe& recipe) {
  return json(recipe).dump();
}

Recipe recipe_from_json(std::string_view text) {
  return json::parse(text).get<Recipe>();
}

}  // namespace ecmigrate
