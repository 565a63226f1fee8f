#include "ecmigrate/store/recipe_json.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "ecmigrate/base/error.hpp"
#include "ecmigrate/model/fixed_settings.hpp"

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
  if (lock.sequence) {
    out["sequence"] = true;
  }
}
static void from_json(const json& in, LockRequest& lock) {
  in.at("relation").get_to(lock.relation);
  lock.mode = static_cast<LockMode>(in.at("mode").get<int>());
  lock.sequence = in.value("sequence", false);
}

static void to_json(json& out, const Action& action) {
  out = {{"kind", static_cast<int>(action.kind)},
         {"title", action.title},
         {"locks", action.locks},
         {"sql", action.sql},
         {"cost", action.cost}};
  if (action.index) {
    out["index"] = *action.index;
  }
}
static void from_json(const json& in, Action& action) {
  action.kind = static_cast<Action::Kind>(in.at("kind").get<int>());
  in.at("title").get_to(action.title);
  in.at("locks").get_to(action.locks);
  in.at("sql").get_to(action.sql);
  in.at("cost").get_to(action.cost);
  if (in.contains("index")) {
    action.index = in.at("index").get<QualifiedName>();
  }
}

static void to_json(json& out, const Step& step) {
  to_json(out, static_cast<const Action&>(step));
  out["id"] = step.id;
  if (step.undo) {
    out["undo"] = *step.undo;
  }
}
static void from_json(const json& in, Step& step) {
  from_json(in, static_cast<Action&>(step));
  in.at("id").get_to(step.id);
  if (in.contains("undo")) {
    step.undo = in.at("undo").get<Action>();
  }
}

NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(SyncedMapping, label, old_columns, new_columns, pending, inconsistent, fill,
                                   fill_if_pending, old_from_new)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(SyncedTable, table, mappings, key, spread, user_update_triggers)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE_WITH_DEFAULT(ColumnDrop, table, column, replaced, type_change, successor,
                                                default_planned, comment_planned, interim_default)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE_WITH_DEFAULT(SyncTrigger, table, names, make)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(AddedObjects, table, columns, constraints, indexes)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(OldShape, table, columns, last_write)

/// What an older program's recipe says of old shapes: their columns, whose writes its trigger does not note.
static std::vector<OldShape> unnoted(const Recipe& recipe) {
  std::vector<OldShape> shapes;
  for (const ColumnDrop& drop : recipe.drops) {
    // Of a rename it is the second name's column that is dropped.
    const bool is_second_name = std::ranges::any_of(recipe.added, [&](const AddedObjects& added) {
      return added.table == drop.table && std::ranges::find(added.columns, drop.column) != added.columns.end();
    });
    if (!drop.type_change) {
      shapes.push_back({drop.table, {is_second_name ? drop.successor : drop.column}});
    }
  }
  return shapes;
}

NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(Recipe, tables, expand, synced, after_fill, validate, before_contract, contract,
                                   drops, triggers, added, old_shapes)

/// Format 1 kept the undos in a list of their own, joined to the steps by equal ids; and the user's SQL ran in sessions
/// that had the settings it was written for.
static json from_format_1(json recipe) {
  for (const char* phase : {"expand", "contract", "rollback"}) {
    for (json& step : recipe.at(phase)) {
      if (step.at("id").get<std::string>().starts_with("sql ")) {
        step["sql"].insert(step["sql"].begin(), users_settings_for_now());
        step["sql"].push_back(no_longer_users_settings());
      }
    }
  }
  for (const json& undo : recipe.at("rollback")) {
    bool joined = false;
    for (const char* phase : {"expand", "after_fill"}) {
      for (json& step : recipe.at(phase)) {
        if (step.at("id") == undo.at("id")) {
          step["undo"] = undo;
          joined = true;
        }
      }
    }
    if (!joined) {
      throw Error(Outcome::refused,
                  "the recipe undoes \"" + undo.at("id").get<std::string>() + "\", which it never does");
    }
  }
  recipe["added"] = json::array();
  recipe["before_contract"] = json::array();
  return recipe;
}

std::string recipe_to_json(const Recipe& recipe) {
  return json(recipe).dump();
}

Recipe recipe_from_json(std::string_view text, int format) {
  json parsed = json::parse(text);
  const bool knows_old_shapes = parsed.contains("old_shapes");
  if (!knows_old_shapes) {
    parsed["old_shapes"] = json::array();
  }
  Recipe recipe = (format == 1 ? from_format_1(std::move(parsed)) : std::move(parsed)).get<Recipe>();
  if (!knows_old_shapes) {
    recipe.old_shapes = unnoted(recipe);
  }
  return recipe;
}

}  // namespace ecmigrate
