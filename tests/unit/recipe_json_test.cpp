#include "ecmigrate/store/recipe_json.hpp"

#include "ecmigrate/base/error.hpp"
#include "ecmigrate/model/fixed_settings.hpp"
#include "support/catch.hpp"

namespace ecmigrate::test {

namespace {

/// As programs wrote it that kept the undos in a list of their own.
std::string format_1(const std::string& undo_id) {
  const auto step = [](const std::string& id, const std::string& sql) {
    return R"({"kind":0,"id":")" + id + R"(","title":"t","locks":[],"sql":[")" + sql + R"("],"cost":"c"})";
  };
  return R"({"tables":[["public","t"]],"expand":[)" + step("t.shape", "add") + "," + step("sql 2", "make") +
         R"(],"synced":[],"after_fill":[)" + step("t.index i", "build") +
         R"(],"validate":[],"contract":[],"rollback":[)" + step(undo_id, "unmake") + "," +
         step("t.index i", "unbuild") + "," + step("t.shape", "drop") + R"(],"drops":[],"triggers":[]})";
}

}  // namespace

TEST_CASE("a recipe of an older program gets each undo into its step") {
  const Recipe recipe = recipe_from_json(format_1("sql 2"), 1);
  std::string undone;
  for (const Step& undo : undo_steps(recipe)) {
    undone += undo.id + ": " + undo.sql[undo.sql.size() / 2] + "; ";
  }
  CHECK(undone == "t.index i: unbuild; sql 2: unmake; t.shape: drop; ");
  CHECK(recipe_from_json(recipe_to_json(recipe)).expand == recipe.expand);
  // The user's SQL between its own settings and ours, both ways.
  for (const Step& step : {recipe.expand[1], undo_steps(recipe)[1]}) {
    CHECK(step.sql.size() == 3);
    CHECK(step.sql.front() == users_settings_for_now());
    CHECK(step.sql.back() == no_longer_users_settings());
  }
}

TEST_CASE("an undo of a step that a recipe never does is refused, not dropped") {
  CHECK_THROWS_AS(recipe_from_json(format_1("sql 3"), 1), Error);
}

}  // namespace ecmigrate::test
