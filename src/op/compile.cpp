#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <functional>
#include <numeric>

#include "carried_default.hpp"
#include "ecmigrate/base/error.hpp"
#include "ecmigrate/base/text.hpp"
#include "ecmigrate/model/fixed_settings.hpp"
#include "ecmigrate/op/draft.hpp"
#include "ecmigrate/op/spread.hpp"
#include "mapping_sql.hpp"
#include "sql_text.hpp"

namespace ecmigrate {

std::string_view lock_mode_name(LockMode mode) {
  switch (mode) {
    case LockMode::access_exclusive:
      return "ACCESS EXCLUSIVE";
    case LockMode::share_row_exclusive:
      return "SHARE ROW EXCLUSIVE";
    case LockMode::share_update_exclusive:
      return "SHARE UPDATE EXCLUSIVE";
    case LockMode::none:
      break;
  }
  return "";
}

namespace {

std::string drop_column(const TableDraft& draft, const std::string& name, bool if_exists) {
  return fmt::format("alter table {} drop column {}{}", draft.table->name.sql(), if_exists ? "if exists " : "",
                     quote_identifier(name));
}

/// Every table in one order everywhere, so that two runners or two steps cannot wait for each other.
std::vector<LockRequest> exclusive_locks(const QualifiedName& table, std::vector<QualifiedName> others) {
  others.push_back(table);
  std::ranges::sort(others);
  others.erase(std::unique(others.begin(), others.end()), others.end());
  std::vector<LockRequest> locks;
  for (const QualifiedName& name : others) {
    locks.push_back({name, LockMode::access_exclusive});
  }
  return locks;
}

/// Puts together the steps of one table.
class TableCompiler {
 public:
  TableCompiler(const Draft& draft, TableDraft& table, Recipe& recipe)
      : m_draft(draft), m_table(table), m_recipe(recipe) {}

  void compile() {
    m_recipe.tables.push_back(m_table.table->name);
    if (!m_table.mappings.empty()) {
      m_sync = sync_trigger(m_draft, m_table);
      std::vector<std::string> make = m_sync->drop;
      std::ranges::copy(m_sync->create, std::back_inserter(make));
      m_recipe.triggers.push_back({m_table.table->name, m_sync->trigger_names, std::move(make)});
    }
    expand_step();
    foreign_keys();
    walk();
    indexes();
    validate();
    contract_step();
    list_added();
    list_old_shape();
    std::ranges::copy(m_table.drops, std::back_inserter(m_recipe.drops));
  }

 private:
  [[nodiscard]] std::string id(std::string_view role) const {
    return fmt::format("{}.{}", m_table.table->name.display(), role);
  }

  [[nodiscard]] std::string alter(const std::string& action) const {
    return fmt::format("alter table {} {}", m_table.table->name.sql(), action);
  }

  void add_columns(std::vector<std::string>& sql) const {
    std::vector<std::string> actions;
    for (const Mapping& mapping : m_table.mappings) {
      for (const NewColumn& column : mapping.news) {
        // The default of a domain would be the value of the rows that exist, and of every INSERT.
        actions.push_back(fmt::format("add column {} {}{}{}", quote_identifier(column.name), column.type,
                                      column.collation.empty() ? "" : " collate " + column.collation,
                                      column.domain.has_default ? " default null" : ""));
        if (!column.not_null_check.empty()) {
          actions.push_back(fmt::format("add constraint {} check ({} is not null) not valid",
                                        quote_identifier(column.not_null_check), quote_identifier(column.name)));
        }
      }
      if (mapping.marker) {
        actions.push_back(fmt::format("add column {} boolean", quote_identifier(*mapping.marker)));
      }
    }
    if (!actions.empty()) {
      sql.push_back(alter(join(actions, ", ")));
    }
    // In a statement of their own: given with ADD COLUMN they would be the value of the rows that exist.
    std::vector<std::string> defaults;
    for (const Mapping& mapping : m_table.mappings) {
      for (const NewColumn& column : mapping.news) {
        if (column.interim_default) {
          defaults.push_back(
              fmt::format("alter column {} set default {}", quote_identifier(column.name), *column.interim_default));
        }
      }
    }
    if (!defaults.empty()) {
      sql.push_back(alter(join(defaults, ", ")));
    }
  }

  void describe_columns(std::vector<std::string>& sql) const {
    for (const Mapping& mapping : m_table.mappings) {
      for (const NewColumn& column : mapping.news) {
        const std::string name = quote_identifier(column.name);
        if (column.comment) {
          sql.push_back(fmt::format("comment on column {}.{} is {}", m_table.table->name.sql(), name,
                                    quote_literal(*column.comment)));
        }
        for (const OldColumn& old : mapping.olds) {
          for (const Column::Grant& grant : old.column->grants) {
            sql.push_back(fmt::format("grant {} ({}) on {} to {}{}", grant.privilege, name, m_table.table->name.sql(),
                                      grant.grantee, grant.grantable ? " with grant option" : ""));
          }
        }
      }
    }
  }

  void expand_step() {
    Step step;
    step.id = id("shape");
    add_columns(step.sql);
    describe_columns(step.sql);
    std::ranges::copy(m_table.expand, std::back_inserter(step.sql));
    for (const ConstraintAdd& constraint : m_table.constraints) {
      if (constraint.foreign_key.empty()) {
        step.sql.push_back(alter(fmt::format("add constraint {} {}{} not valid", quote_identifier(constraint.name),
                                             constraint.check.sql, constraint.no_inherit ? " no inherit" : "")));
      }
    }
    // A trigger alone can be made while others read.
    const LockMode mode = step.sql.empty() ? LockMode::share_row_exclusive : LockMode::access_exclusive;
    if (m_sync) {
      std::ranges::copy(m_sync->create, std::back_inserter(step.sql));
    }
    if (step.sql.empty()) {
      return;
    }
    std::vector<std::string> words = m_table.expand_titles;
    if (m_sync) {
      words.emplace_back("sync trigger");
    }
    step.title = words.empty() ? "add constraints" : "add " + join(words, ", ");
    step.locks = {{m_table.table->name, mode}};
    step.cost = "catalogue only";
    step.undo = undo_of_shape();
    m_recipe.expand.push_back(step);
  }

  void foreign_keys() {
    for (const ConstraintAdd& constraint : m_table.constraints) {
      if (constraint.foreign_key.empty()) {
        continue;
      }
      Step step;
      step.id = id("foreign key " + constraint.name);
      step.title = "add foreign key " + constraint.name;
      for (LockRequest& lock : step.locks = exclusive_locks(m_table.table->name, {*constraint.references})) {
        lock.mode = LockMode::share_row_exclusive;
      }
      step.sql.push_back(alter(
          fmt::format("add constraint {} {} not valid", quote_identifier(constraint.name), constraint.foreign_key)));
      step.cost = "catalogue only";
      Action& undo = step.undo.emplace();
      undo.title = "drop foreign key " + constraint.name;
      undo.locks = exclusive_locks(m_table.table->name, {*constraint.references});
      undo.sql = {alter("drop constraint if exists " + quote_identifier(constraint.name))};
      undo.cost = "catalogue only";
      m_recipe.expand.push_back(step);
    }
  }

  void walk() {
    SyncedTable synced;
    for (const Mapping& mapping : m_table.mappings) {
      if (mapping.news.empty()) {
        continue;
      }
      const bool repeatable =
          std::ranges::all_of(mapping.news, [](const NewColumn& column) { return column.up.repeatable; }) &&
          std::ranges::all_of(mapping.olds, [](const OldColumn& old) { return !old.down || old.down->repeatable; });
      synced.mappings.push_back(compile_mapping(m_table, mapping, repeatable));
      m_recipe.trials.push_back(compile_trial(m_table, mapping));
    }
    for (const ConstraintAdd& constraint : m_table.constraints) {
      // A foreign key is asked whenever its columns change, so at every fill, validated or not.
      const bool key = !constraint.foreign_key.empty();
      if (key ? constraint.enforced && !constraint.operators.empty() : constraint.validate) {
        m_recipe.trials.push_back(compile_constraint_trial(m_table, constraint));
      }
    }
    for (const IndexBuild& index : m_table.indexes) {
      if (index.may_be_violated && !has_volatile_values()) {
        m_recipe.trials.push_back(compile_unique_trial(m_table, index));
      }
    }
    for (Trial& trial : m_recipe.trials) {
      if (trial.table == m_table.table->name) {
        trial.prelude = m_table.prelude;
      }
    }
    if (synced.mappings.empty()) {
      return;
    }
    synced.table = m_table.table->name;
    synced.key = primary_key(*m_table.table);
    // By the row's place on its page, times 2^32 divided by the golden ratio, whose multiples gather nowhere (Knuth,
    // The Art of Computer Programming 6.4): as even as can be on every page, whatever the key.
    synced.spread = "pg_catalog.get_byte(pg_catalog.tidsend(this.ctid), 5) * 2654435769";
    if (synced.key.size() == 1) {
      const std::string& type = m_table.table->find_column(synced.key.front())->type;
      if (type == "integer" || type == "bigint") {
        // Neighbours on a page have neighbouring numbers, and multiples of these are as even, whatever the step
        // between them. Every scan computes this for every row, where it costs less than the place does; no more than
        // keeps the product from overflowing.
        const std::string column = "this." + quote_identifier(synced.key.front());
        synced.spread = fmt::format("{} * {}", type == "integer" ? column : fmt::format("({} & 1073741823)", column),
                                    spread_multiplier(m_draft.plan().name));
      }
    }
    synced.user_update_triggers =
        std::ranges::any_of(m_table.table->triggers, [](const Trigger& trigger) { return trigger.on_update; });
    m_recipe.synced.push_back(std::move(synced));
  }

  /// What `up` gives is another value each time: then it cannot be said today whether values will be unique.
  [[nodiscard]] bool has_volatile_values() const {
    return std::ranges::any_of(m_table.mappings, [](const Mapping& mapping) {
      return std::ranges::any_of(mapping.news, [](const NewColumn& column) { return column.up.volatile_value; });
    });
  }

  void indexes() {
    for (const IndexBuild& index : m_table.indexes) {
      Step step;
      step.kind = Step::Kind::index_build;
      step.id = id("index " + index.name.name);
      step.title = "build index " + index.name.name;
      step.index = index.name;
      step.sql.push_back(fmt::format("create {}index concurrently {} on {}{}", index.unique ? "unique " : "",
                                     quote_identifier(index.name.name), m_table.table->name.sql(),
                                     with_tablespace(index.definition.sql, index.tablespace)));
      step.cost = "builds the index beside reads and writes";
      if (index.drop_on_rollback) {
        Action& undo = step.undo.emplace();
        undo.kind = Action::Kind::index_drop;
        undo.title = "drop index " + index.name.name;
        undo.index = index.name;
        undo.sql = {fmt::format("drop index concurrently if exists {}", index.name.sql())};
        undo.cost = "waits for transactions that use it, beside reads and writes";
      }
      (index.before_contract ? m_recipe.before_contract
       : index.after_fill    ? m_recipe.after_fill
                             : m_recipe.expand)
          .push_back(step);
    }
  }

  void validate() {
    const auto add = [&](const std::string& name) {
      Step step;
      step.kind = Step::Kind::validate;
      step.id = id("validate " + name);
      step.title = "validate " + name;
      step.locks = {{m_table.table->name, LockMode::share_update_exclusive}};
      step.sql.push_back(alter("validate constraint " + quote_identifier(name)));
      step.cost = "reads the table beside reads and writes";
      m_recipe.validate.push_back(step);
    };
    for (const Mapping& mapping : m_table.mappings) {
      for (const NewColumn& column : mapping.news) {
        if (!column.not_null_check.empty()) {
          add(column.not_null_check);
        }
      }
    }
    for (const ConstraintAdd& constraint : m_table.constraints) {
      if (constraint.validate) {
        add(constraint.name);
      }
    }
  }

  void contract_step() {
    Step step;
    step.id = id("shape");
    if (m_sync) {
      std::ranges::copy(m_sync->drop, std::back_inserter(step.sql));
    }
    // SET NOT NULL is proved by the validated check, which therefore goes in a later statement: in one ALTER TABLE the
    // drop would come first, and the table would be scanned under the lock.
    for (const Mapping& mapping : m_table.mappings) {
      finish_columns(mapping, step.sql);
    }
    std::ranges::copy(m_table.contract, std::back_inserter(step.sql));
    for (const Mapping& mapping : m_table.mappings) {
      if (mapping.marker) {
        step.sql.push_back(drop_column(m_table, *mapping.marker, false));
      }
    }
    if (step.sql.empty()) {
      return;
    }
    step.title = m_table.contract_titles.empty() ? "drop sync trigger" : join(m_table.contract_titles, ", ");
    step.locks = exclusive_locks(m_table.table->name, m_table.locked_at_contract);
    // Sequences last, as an INSERT takes them after the table: the other way round the two would wait for each other.
    for (const QualifiedName& sequence : m_table.sequences_at_contract) {
      step.locks.push_back({sequence, LockMode::access_exclusive, true});
    }
    step.cost = "catalogue only";
    m_recipe.contract.push_back(step);
  }

  void finish_columns(const Mapping& mapping, std::vector<std::string>& sql) const {
    std::vector<std::string> set;
    std::vector<std::string> planned;
    std::vector<std::string> drop;
    for (const NewColumn& column : mapping.news) {
      const std::string name = quote_identifier(column.name);
      if (!column.not_null_check.empty()) {
        set.push_back(column.not_null_name.empty()
                          ? fmt::format("alter column {} set not null", name)
                          : fmt::format("add constraint {} not null {}", quote_identifier(column.not_null_name), name));
        drop.push_back("drop constraint " + quote_identifier(column.not_null_check));
      }
      if (column.default_sql) {
        // In the plan's own words and settings, so that the catalog shows them as it would after plain DDL; the line
        // break ends a comment.
        if (column.default_read != nullptr) {
          planned.push_back(fmt::format("alter column {} set default ({}\n)", name, column.default_read->text));
        } else {
          set.push_back(fmt::format("alter column {} set default {}", name, *column.default_sql));
        }
      } else if (column.interim_default || column.domain.has_default) {
        set.push_back(fmt::format("alter column {} drop default", name));
      }
    }
    if (!set.empty()) {
      sql.push_back(alter(join(set, ", ")));
    }
    if (!planned.empty()) {
      sql.push_back(users_settings_for_now());
      sql.push_back(alter(join(planned, ", ")));
      sql.push_back(no_longer_users_settings());
    }
    if (!drop.empty()) {
      sql.push_back(alter(join(drop, ", ")));
    }
  }

  [[nodiscard]] Action undo_of_shape() const {
    Action step;
    if (m_sync) {
      step.sql = m_sync->drop;
    }
    std::ranges::copy(m_table.rollback, std::back_inserter(step.sql));
    for (const ConstraintAdd& constraint : m_table.constraints) {
      if (constraint.foreign_key.empty()) {
        step.sql.push_back(alter("drop constraint if exists " + quote_identifier(constraint.name)));
      }
    }
    for (const Mapping& mapping : m_table.mappings) {
      for (const NewColumn& column : mapping.news) {
        step.sql.push_back(drop_column(m_table, column.name, true));
      }
      if (mapping.marker) {
        step.sql.push_back(drop_column(m_table, *mapping.marker, true));
      }
    }
    step.title = "drop what expand added to " + m_table.table->name.display();
    step.locks = exclusive_locks(m_table.table->name, {});
    step.cost = "catalogue only";
    return step;
  }

  void list_added() {
    AddedObjects added;
    added.table = m_table.table->name;
    added.columns = m_table.new_names;
    for (const Mapping& mapping : m_table.mappings) {
      for (const NewColumn& column : mapping.news) {
        if (!column.not_null_check.empty()) {
          added.constraints.push_back(column.not_null_check);
        }
      }
      if (mapping.marker) {
        added.columns.push_back(*mapping.marker);
      }
    }
    for (const ConstraintAdd& constraint : m_table.constraints) {
      added.constraints.push_back(constraint.name);
    }
    for (const IndexBuild& index : m_table.indexes) {
      added.indexes.push_back(index.name.name);
    }
    m_recipe.added.push_back(std::move(added));
  }

  void list_old_shape() {
    OldShape noted{m_table.table->name, {}, m_sync ? m_sync->last_write : QualifiedName{}};
    OldShape unnoted{m_table.table->name, {}};
    for (const Mapping& mapping : m_table.mappings) {
      if (loses_names(mapping)) {
        for (const OldColumn& column : mapping.olds) {
          (notes_writes(mapping) ? noted : unnoted).columns.push_back(column.column->name);
        }
      }
    }
    for (const ColumnDrop& drop : m_table.drops) {
      const bool mapped = std::ranges::any_of(m_table.mappings, [&](const Mapping& mapping) {
        return std::ranges::any_of(mapping.olds, [&](const OldColumn& old) { return old.column->name == drop.column; });
      });
      if (!mapped && !drop.type_change && m_table.table->find_column(drop.column) != nullptr) {
        unnoted.columns.push_back(drop.column);
      }
    }
    for (OldShape& shape : {std::ref(noted), std::ref(unnoted)}) {
      if (!shape.columns.empty()) {
        m_recipe.old_shapes.push_back(std::move(shape));
      }
    }
  }

  const Draft& m_draft;
  TableDraft& m_table;
  Recipe& m_recipe;
  std::optional<SyncTriggerSql> m_sync;
};

void check_repeatable(Draft& draft, const Expression& expression, bool has_way_back, bool is_up) {
  if (expression.volatile_value && is_up && draft.plan().deterministic) {
    draft.warn(fmt::format("{} gives another value each time it is asked: verify can tell only whether rows are filled",
                           expression.what));
  } else if (!expression.repeatable && has_way_back && draft.plan().deterministic) {
    draft.complain(
        expression.at,
        fmt::format("{} gives another value each time it is asked, so verify could not compare", expression.what),
        "Use an expression that depends on the row alone, or say `deterministic: false` at the top of the plan: "
        "then verify checks only that every row is filled.");
  }
}

/// An `up` sees the columns of the operations before its own.
void complain_of_later_columns(Draft& draft, const TableDraft& table) {
  for (auto mapping = table.mappings.begin(); mapping != table.mappings.end(); ++mapping) {
    for (const NewColumn& column : mapping->news) {
      for (const std::string& name : column.up.reads) {
        const auto later = std::find_if(std::next(mapping), table.mappings.end(), [&](const Mapping& other) {
          return std::ranges::find(other.news, name, &NewColumn::name) != other.news.end();
        });
        if (later != table.mappings.end()) {
          draft.complain(
              column.up.at,
              fmt::format("{} reads \"{}\", which operation {} adds", column.up.what, name, later->operation),
              "Operations are done in the plan's order: put that one before.");
        }
      }
    }
  }
}

/// One statement fills all the columns of a row, and asks each expression by itself.
void complain_of_unsteady_columns(Draft& draft, const TableDraft& table) {
  for (const Mapping& mapping : table.mappings) {
    for (const NewColumn& column : mapping.news) {
      for (const Mapping& other : table.mappings) {
        for (const NewColumn& read : other.news) {
          if (&read != &column && !read.up.repeatable &&
              std::ranges::find(column.up.reads, read.name) != column.up.reads.end()) {
            draft.complain(column.up.at,
                           fmt::format("{} reads \"{}\", whose value is another one each time it is made",
                                       column.up.what, read.name),
                           "Fill it by a plan of its own, after this one.");
          }
        }
      }
    }
  }
}

/// From here on the server's reading of a default stands for the plan's text, which may end in a comment.
void take_read_defaults(TableDraft& table) {
  for (Mapping& mapping : table.mappings) {
    for (NewColumn& column : mapping.news) {
      if (column.default_sql && column.default_read != nullptr) {
        column.default_sql = column.default_read->sql;
      }
    }
  }
}

/// A comparison takes its collation from either side: one that takes different values for the same would reach the new
/// columns through `up`.
void distrust_collations(TableDraft& table) {
  for (Mapping& mapping : table.mappings) {
    for (NewColumn& column : mapping.news) {
      column.equality_is_identity =
          column.equality_is_identity && std::ranges::all_of(column.up.reads, [&](const std::string& name) {
            const Column* read = table.table->find_column(name);
            return read == nullptr || read->collation.empty() || read->equality_is_identity;
          });
    }
  }
}

/// Whether a null in every new column can only mean "not filled yet"; if not, a marker column says it.
void choose_markers(Draft& draft, TableDraft& table) {
  for (Mapping& mapping : table.mappings) {
    const bool by_value = std::ranges::any_of(mapping.news, [](const NewColumn& column) { return !column.nullable; });
    // Without O, only a marker tells what `up` gave from what the application wrote, so that verify can compare.
    const bool told_by_marker = mapping.olds.empty() && !mapping.news.empty() && mapping.news.front().up.repeatable;
    if (!mapping.news.empty() && (told_by_marker || (!by_value && !mapping.null_means_pending))) {
      mapping.marker = draft.object_name(table.table->name, "filled", mapping.news.front().name);
    }
  }
}

/// Brings the steps of a recipe into the order of the operations that they come from.
class Order {
 public:
  explicit Order(Recipe& recipe) : m_lists{{{&recipe.expand, {}}, {&recipe.contract, {}}}} {}

  /// The steps that were added since the last call come from this operation.
  void take_in(int operation) {
    for (auto& [steps, places] : m_lists) {
      places.resize(steps->size(), operation);
    }
  }

  void settle() {
    for (auto& [steps, places] : m_lists) {
      std::vector<std::size_t> order(steps->size());
      std::iota(order.begin(), order.end(), 0);
      std::ranges::stable_sort(order, {}, [&places = places](std::size_t at) { return places[at]; });
      std::vector<Step> sorted;
      for (const std::size_t at : order) {
        sorted.push_back(std::move((*steps)[at]));
      }
      *steps = std::move(sorted);
    }
  }

 private:
  std::array<std::pair<std::vector<Step>*, std::vector<int>>, 2> m_lists;
};

}  // namespace

Recipe compile(Draft& draft) {
  for (TableDraft& table : draft.tables()) {
    for (const auto& decide : table.after_probe) {
      decide();
    }
    take_read_defaults(table);
    carry_defaults(draft, table);
    distrust_collations(table);
    // A default that turned out to need filling came last, and a later operation may read its column.
    std::ranges::stable_sort(table.mappings, {}, &Mapping::operation);
    complain_of_later_columns(draft, table);
    complain_of_unsteady_columns(draft, table);
    for (const Mapping& mapping : table.mappings) {
      for (const NewColumn& column : mapping.news) {
        check_repeatable(draft, column.up, !mapping.olds.empty(), true);
      }
      for (const OldColumn& old : mapping.olds) {
        if (old.down) {
          check_repeatable(draft, *old.down, !mapping.news.empty(), false);
        }
      }
    }
    choose_markers(draft, table);
  }
  draft.throw_complaints();
  Recipe recipe;
  Order order(recipe);
  for (TableDraft& table : draft.tables()) {
    TableCompiler(draft, table, recipe).compile();
    order.take_in(table.first_operation);
  }
  for (const Draft::PlannedStep& planned : draft.steps()) {
    (planned.phase == "expand" ? recipe.expand : recipe.contract).push_back(planned.step);
    order.take_in(planned.operation);
  }
  order.settle();
  recipe.warnings = draft.warnings();
  return recipe;
}

}  // namespace ecmigrate
