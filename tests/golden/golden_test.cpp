#include <fmt/format.h>

#include <cstdlib>
#include <fstream>
#include <sstream>

#include "ecmigrate/base/text.hpp"
#include "ecmigrate/op/draft.hpp"
#include "ecmigrate/op/kind.hpp"
#include "ecmigrate/planfile/planfile.hpp"
#include "support/catch.hpp"
#include "support/example_table.hpp"

namespace ecmigrate::test {

namespace {

Column column(const std::string& name, const std::string& type, bool not_null) {
  Column made;
  made.name = name;
  made.type = type;
  made.base_type = type.substr(0, type.find('('));
  made.not_null = not_null;
  return made;
}

/// What the catalog says of the example table (support/example_table.hpp).
Catalog example_catalog() {
  Table users;
  users.name = {"public", "users"};
  users.columns = {column("id", "bigint", true),
                   column("full_name", "character varying(255)", true),
                   column("email", "text", true),
                   column("city", "text", false),
                   column("street", "text", false),
                   column("age", "integer", false),
                   column("created", "timestamp with time zone", true)};
  users.columns.front().identity = true;
  users.columns[1].type_modifier = 259;
  users.columns.back().default_sql = "'2024-05-06 07:08:09+00'::timestamp with time zone";
  users.indexes = {
      {"users_created_idx", {"created"}, " USING btree (created)", false, false, false, false, "", 0, false},
      {"users_email_key", {"email"}, " USING btree (email)", true, false, false, false, "users_email_key", 'u', false},
      {"users_pkey", {"id"}, " USING btree (id)", true, true, false, false, "users_pkey", 'p', false}};
  users.constraints = {{"users_email_key", 'u', {"email"}, "UNIQUE (email)", true, {}},
                       {"users_pkey", 'p', {"id"}, "PRIMARY KEY (id)", true, {}}};
  users.leaves = {users.name};
  users.owned = true;
  Catalog catalog;
  catalog.server_version = 150000;
  for (const Index& index : users.indexes) {
    catalog.table_of_index[{"public", index.name}] = users.name;
  }
  catalog.tables_in_schema = {"users"};
  catalog.types = {{"text", {"text", "text", -1, true, ""}}, {"bigint", {"bigint", "bigint", -1, true, ""}}};
  catalog.tables.emplace(users.name, std::move(users));
  return catalog;
}

bool is_word(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_';
}

/// Stands for the server: every name that is a column of the row gets `this.` before it, string literals stay.
void read_value(const TableDraft& table, Expression& expression) {
  const std::string& text = expression.text;
  for (std::size_t at = 0; at < text.size();) {
    std::size_t end = at + 1;
    if (text[at] == '\'' || text[at] == '"') {
      end = text.find(text[at], end) + 1;
    } else {
      while (is_word(text[at]) && end < text.size() && is_word(text[end])) {
        ++end;
      }
    }
    std::string token = text.substr(at, end - at);
    std::string name = text[at] == '"' ? token.substr(1, token.size() - 2) : token;
    for (const auto& [visible, physical] : expression.renamed) {
      name = name == visible ? physical : name;
    }
    if (table.table->find_column(name) != nullptr || Draft::adds_column(table, name)) {
      expression.reads.push_back(name);
      token = "this." + quote_identifier(name);
    }
    expression.sql += token;
    at = end;
  }
}

void stand_in_for_probe(Draft& draft) {
  for (TableDraft& table : draft.tables()) {
    for (Mapping& mapping : table.mappings) {
      for (NewColumn& added : mapping.news) {
        read_value(table, added.up);
      }
      for (OldColumn& old : mapping.olds) {
        if (old.down) {
          read_value(table, *old.down);
        }
      }
      mapping.null_means_pending = !mapping.olds.empty();
    }
    for (IndexBuild& index : table.indexes) {
      if (index.definition.sql.empty()) {
        index.definition.sql = index.definition.text;
      }
    }
  }
}

std::string printed(const std::string& phase, const std::vector<Step>& steps) {
  std::string text;
  for (const Step& step : steps) {
    text += fmt::format("== {}: {} [{}]\n", phase, step.title, step.id);
    for (const LockRequest& lock : step.locks) {
      text += fmt::format("-- lock {} {}\n", lock.relation.display(), lock_mode_name(lock.mode));
    }
    text += fmt::format("-- {}\n{};\n", step.cost, join(step.sql, ";\n"));
  }
  return text;
}

std::string printed(const Recipe& recipe) {
  std::string text = printed("expand", recipe.expand);
  for (const SyncedTable& table : recipe.synced) {
    for (const SyncedMapping& mapping : table.mappings) {
      text += fmt::format(
          "== backfill: {} {}\n-- pending\n{}\n-- fill\n{}\n-- fill_if_pending\n{}\n-- inconsistent\n{}\n-- "
          "old_from_new\n{}\n-- spread\n{}\n",
          table.table.display(), mapping.label, mapping.pending, mapping.fill, mapping.fill_if_pending,
          mapping.inconsistent, mapping.old_from_new, table.spread);
    }
  }
  for (const Trial& trial : recipe.trials) {
    text += fmt::format("== trial: {}\n-- source\n{}\n-- null_in\n{}\n-- lossy\n{}\n", trial.label, trial.source,
                        trial.null_in, trial.lossy);
  }
  text += printed("after the backfill", recipe.after_fill) + printed("validate", recipe.validate) +
          printed("before contract", recipe.before_contract) + printed("contract", recipe.contract);
  for (const ColumnDrop& drop : recipe.drops) {
    text += fmt::format("== drops {}.{}\n", drop.table.display(), drop.column);
  }
  return text + printed("rollback", undo_steps(recipe));
}

std::string golden_path(std::string_view kind) {
  return fmt::format("{}/tests/golden/expected/{}.txt", ECMIGRATE_SOURCE_DIR, kind);
}

}  // namespace

// To accept what the code makes now: ECMIGRATE_UPDATE_GOLDEN=1 build/tests/unit_tests "[golden]", then read the diff.
TEST_CASE("the example of each kind compiles to the recorded SQL", "[golden]") {
  const Catalog catalog = example_catalog();
  int compared = 0;
  for (const OperationKind* kind : operation_kinds()) {
    if (kind->name.starts_with("test_")) {
      continue;  // registered by a test of the reader
    }
    INFO(kind->name);
    const Plan plan = parse_plan(plan_of(kind->example), "example.yaml");
    Draft draft = draft_plan(plan, catalog);
    stand_in_for_probe(draft);
    const std::string made = printed(compile(draft));
    if (std::getenv("ECMIGRATE_UPDATE_GOLDEN") != nullptr) {
      std::ofstream(golden_path(kind->name)) << made;
    }
    std::ifstream file(golden_path(kind->name));
    std::stringstream recorded;
    recorded << file.rdbuf();
    CHECK(made == recorded.str());
    ++compared;
  }
  CHECK(compared >= 9);
}

}  // namespace ecmigrate::test
