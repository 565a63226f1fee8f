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

static void to_json(json& out, const Recipe& recipe) {
  out = {{"tables", recipe.tables},         {"expand", recipe.expand},     {"synced", recipe.synced},
         {"after_fill", recipe.after_fill}, {"validate", recipe.validate}, {"before_contract", recipe.before_contract},
         {"contract", recipe.contract},     {"rollback", recipe.rollback}, {"drops", recipe.drops},
         {"triggers", recipe.triggers}};
}
static void from_json(const json& in, Recipe& recipe) {
  in.at("tables").get_to(recipe.tables);
  in.at("expand").get_to(recipe.expand);
  in.at("synced").get_to(recipe.synced);
  in.at("after_fill").get_to(recipe.after_fill);
  in.at("validate").get_to(recipe.validate);
  if (in.contains("before_contract")) {  // not in recipes of older programs
    in.at("before_contract").get_to(recipe.before_contract);
  }
  in.at("contract").get_to(recipe.contract);
  in.at("rollback").get_to(recipe.rollback);
  in.at("drops").get_to(recipe.drops);
  in.at("triggers").get_to(recipe.triggers);
}

std::string recipe_to_json(const Recipe& recipe) {
  return json(recipe).dump();
}

Recipe recipe_from_json(std::string_view text) {
  return json::parse(text).get<Recipe>();
}

}  // namespace ecmigrate
