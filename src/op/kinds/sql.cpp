#include <fmt/format.h>

#include "ecmigrate/model/fixed_settings.hpp"
#include "ecmigrate/op/draft.hpp"
#include "ecmigrate/op/kind.hpp"

namespace ecmigrate {

namespace {

/// The server refuses a COMMIT inside EXECUTE; sent bare it would end the transaction that the journal's row is in, and
/// a crash could then run the rest twice or never.
std::string in_one_transaction(const std::string& sql) {
  std::string word = "ecmigrate";
  for (int i = 1; sql.find(word) != std::string::npos; ++i) {
    word = fmt::format("ecmigrate{}", i);
  }
  return fmt::format("do ${0}_do$ begin execute ${0}$\n{1}\n${0}$; end ${0}_do$", word, sql);
}

Action action_of(const PlannedOperation& operation, const std::string& sql) {
  Action action;
  action.title = fmt::format("sql of operation {}", operation.number);
  action.sql = {users_settings_for_now(), in_one_transaction(sql), no_longer_users_settings()};
  action.cost = "yours: not analysed";
  return action;
}

/// The field `key` runs in `phase`, `undo_key` at rollback if that was begun.
void add(Draft& draft, const PlannedOperation& operation, const std::string& phase, const std::string& key,
         const std::string& undo_key = {}) {
  const std::string sql = operation.fields.text(key);
  if (sql.empty()) {
    return;
  }
  const std::string undo = undo_key.empty() ? std::string() : operation.fields.text(undo_key);
  for (const std::string& one : {key, undo_key}) {
    if (!one.empty() && operation.fields.has(one)) {
      draft.add_plans_sql({operation.fields.text(one), one + " of sql", operation.fields.find(one)->at});
    }
  }
  Step step{action_of(operation, sql), fmt::format("sql {}", operation.number), std::nullopt};
  if (!undo.empty()) {
    step.undo = action_of(operation, undo);
  }
  draft.add_step(phase, operation.number, std::move(step));
}

void contribute(const PlannedOperation& operation, const Plan&, const Catalog&, Draft& draft) {
  const Value& fields = operation.fields;
  const bool short_form = fields.has("up");
  const bool parts = fields.has("expand") || fields.has("contract") || fields.has("rollback");
  if (short_form == parts) {
    draft.complain(operation.at,
                   "give either `up` (with `down` or `onComplete`), or any of `expand`, `contract` and `rollback`");
    return;
  }
  if (fields.has("rollback") && !fields.has("expand")) {
    draft.complain(fields.find("rollback")->at, "`rollback` without `expand` would never run",
                   "What contract does cannot be rolled back.");
    return;
  }
  if (parts) {
    add(draft, operation, "expand", "expand", "rollback");
    add(draft, operation, "contract", "contract");
  } else if (fields.flag("onComplete", false)) {
    if (fields.has("down")) {
      draft.complain(operation.at, "`down` and `onComplete` exclude each other",
                     "What runs at contract cannot be rolled back.");
    }
    add(draft, operation, "contract", "up");
  } else {
    add(draft, operation, "expand", "up", "down");
  }
}

const OperationKind k_kind{"sql",
                           "Runs your own SQL in a transaction of its own, once.",
                           R"yaml(sql:
  expand: "create table audit_note (id bigint, note text)"
  rollback: "drop table audit_note"
)yaml",
                           {{"up", FieldType::sql, false, "What expand runs (or contract, with onComplete)."},
                            {"down", FieldType::sql, false, "What rollback runs."},
                            {"onComplete", FieldType::boolean, false, "Run `up` at contract."},
                            {"expand", FieldType::sql, false, "What expand runs."},
                            {"contract", FieldType::sql, false, "What contract runs."},
                            {"rollback", FieldType::sql, false, "What rollback runs."}},
                           contribute};

const KindRegistration k_registration{k_kind};

}  // namespace

}  // namespace ecmigrate
