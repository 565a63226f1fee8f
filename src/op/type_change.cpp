#include "type_change.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "column_fields.hpp"
#include "ecmigrate/base/quote.hpp"
#include "ecmigrate/base/text.hpp"
#include "mapping_sql.hpp"
#include "rename.hpp"
#include "sql_text.hpp"

namespace ecmigrate {

namespace {

bool reads(const std::vector<std::string>& columns, const std::string& name) {
  return std::ranges::find(columns, name) != columns.end();
}

/// A numeric's modifier holds precision and scale (numeric.c: make_numeric_typmod).
int numeric_precision(int modifier) {
  return ((modifier - 4) >> 16) & 0xFFFF;
}
int numeric_scale(int modifier) {
  return (modifier - 4) & 0x7FF;
}

class TypeChange {
 public:
  TypeChange(const Value& fields, const TypeFacts& type, Draft& draft, TableDraft& table, const Column& column)
      : m_fields(fields), m_type(type), m_draft(draft), m_table(table), m_old(column) {
    const std::string wished = fields.text("name");
    m_visible = !wished.empty() && wished != column.name;
    m_final = m_visible ? wished : column.name;
    m_copy = m_visible ? wished : draft.object_name(table.table->name, "new", column.name);
  }

  void contribute() {
    if (!possible() || !m_draft.claim_column(m_table, m_copy, m_fields.find("column")->at)) {
      return;
    }
    add_mapping();
    m_table.expand_titles.push_back(m_final + " as " + m_type.type);
    m_table.contract_titles.push_back(fmt::format("replace {}", m_old.name));
    // At contract: what hangs on the old column is put on the new one before and after the old one goes.
    if (m_old.owned_sequence) {
      m_table.contract.push_back(fmt::format("alter sequence {} owned by {}.{}", *m_old.owned_sequence,
                                             m_table.table->name.sql(), quote_identifier(m_copy)));
    }
    m_table.contract.push_back(carry_privileges(m_table, m_old.name, m_copy));
    drop_at_contract(m_table, m_old);
    ColumnDrop& drop = m_table.drops.back();
    drop.successor = m_copy;
    drop.default_planned = m_fields.has("default");
    drop.comment_planned = m_fields.has("comment");
    if (!m_visible) {
      m_table.contract.push_back(
          alter(fmt::format("rename column {} to {}", quote_identifier(m_copy), quote_identifier(m_final))));
    }
    name_not_null();
    m_table.indexed_as.emplace_back(m_old.name, m_copy);
    carry_indexes();
    carry_constraints();
    add_column_constraints(m_draft, m_table, m_fields, m_final, m_copy,
                           m_visible ? std::vector<std::pair<std::string, std::string>>{} : visible_names(), true);
  }

 private:
  [[nodiscard]] std::string alter(const std::string& action) const { return alter_table(m_table, action); }

  /// From 18 on a NOT NULL is a constraint with a name, which plain ALTER COLUMN TYPE keeps.
  void name_not_null() {
    NewColumn& column = m_table.mappings.back().news.front();
    if (column.not_null_check.empty() || m_draft.catalog().server_version < 180000) {
      return;
    }
    const std::vector<Constraint>& constraints = m_table.table->constraints;
    const auto own = std::ranges::find_if(constraints, [&](const Constraint& constraint) {
      return constraint.type == 'n' && constraint.columns == std::vector<std::string>{m_old.name};
    });
    const std::string last =
        own != constraints.end() ? own->name : fmt::format("{}_{}_not_null", m_table.table->name.name, m_final);
    if (own == constraints.end() && (last.size() > k_max_identifier_bytes ||
                                     std::ranges::find(constraints, last, &Constraint::name) != constraints.end())) {
      return;
    }
    column.not_null_name = m_draft.object_name(m_table.table->name, "required", m_copy);
    m_table.contract.push_back(alter(
        fmt::format("rename constraint {} to {}", quote_identifier(column.not_null_name), quote_identifier(last))));
  }

  /// While the plan's texts about the new column are read, it answers to the old name too (unless it has its own).
  [[nodiscard]] std::vector<std::pair<std::string, std::string>> visible_names() const {
    return {{m_old.name, m_copy}};
  }

  bool possible() {
    const Location at = m_fields.find("column")->at;
    if (m_old.identity) {
      m_draft.refuse(at, fmt::format("\"{}\" is an identity column: changing its type through a copy is not supported",
                                     m_old.name));
      return false;
    }
    for (const IncomingForeignKey& incoming : m_table.table->incoming) {
      if (reads(incoming.columns, m_old.name)) {
        m_draft.refuse(at, fmt::format("foreign key \"{}\" of {} points at \"{}\": changing its type is not supported",
                                       incoming.name, incoming.from.display(), m_old.name));
        return false;
      }
    }
    for (const Index& index : m_table.table->indexes) {
      if (m_table.table->partitioned && index.unique && reads(index.columns, m_old.name)) {
        m_draft.refuse(at, fmt::format("{} is partitioned: \"{}\" cannot be built anew beside the traffic",
                                       m_table.table->name.display(), index.name));
        return false;
      }
      if (index.constraint_type == 'x' && reads(index.columns, m_old.name)) {
        m_draft.refuse(at,
                       fmt::format("exclusion constraint \"{}\" cannot be built beside the traffic", index.constraint));
        return false;
      }
    }
    return true;
  }

  void add_mapping() {
    NewColumn column = copy_of(m_draft, m_table, m_old, m_copy);
    column.type = m_type.type;
    column.domain = m_type.domain;
    column.equality_is_identity =
        m_type.base_type == m_old.base_type ? m_old.equality_is_identity : m_type.equality_is_identity;
    if (m_type.base_type != m_old.base_type) {
      column.collation.clear();
    }
    column.nullable = m_fields.flag("nullable", !m_old.not_null);
    column.not_null_check = column.nullable ? "" : m_draft.object_name(m_table.table->name, "not_null", m_copy);
    if (const Value* comment = m_fields.find("comment")) {
      column.comment = comment->kind == Value::Kind::null ? std::nullopt : std::optional(comment->scalar);
    }
    column.default_sql = m_old.default_sql;
    column.default_is_old = !m_fields.has("default");
    if (const Value* given = m_fields.find("default")) {
      column.default_sql = given->kind == Value::Kind::null ? std::nullopt : std::optional(given->scalar);
    }
    column.default_through_up = column.default_is_old && column.default_sql && m_fields.has("up");
    if (!column.default_through_up) {
      read_default(m_table, column, m_fields.at);
    }
    if (m_old.statistics_target >= 0) {
      m_table.expand.push_back(
          alter(fmt::format("alter column {} set statistics {}", quote_identifier(m_copy), m_old.statistics_target)));
    }
    if (!m_old.options.empty()) {
      m_table.expand.push_back(alter(fmt::format("alter column {} set ({})", quote_identifier(m_copy), m_old.options)));
    }
    column.up = conversion("up", m_old.name, m_type.type, "up of " + m_final);
    Expression down = conversion("down", m_visible ? m_copy : m_old.name, m_old.type, "down of " + m_old.name);
    if (!m_visible) {
      down.renamed = visible_names();
    }
    Mapping& mapping = m_table.mappings.emplace_back();
    mapping.olds.push_back({&m_old, down});
    mapping.news.push_back(std::move(column));
    mapping.keeps_names = !m_visible;
    mapping.label = fmt::format("{} {} → {}", m_old.name, m_old.type, m_type.type);
  }

  [[nodiscard]] Expression conversion(const char* key, const std::string& from, const std::string& type,
                                      const std::string& what) const {
    if (m_fields.has(key)) {
      return expression_field(m_fields, key, what, type);
    }
    Expression expression;
    // As plain ALTER TABLE converts it; where the server would want USING there, by an explicit cast, which must not
    // cut.
    expression.text = quote_identifier(from);
    expression.converted = fmt::format("{}::{}", quote_identifier(from), unlimited(type));
    expression.what = what;
    expression.at = m_fields.at;
    expression.target_type = type;
    return expression;
  }

  /// Whether different values stay different for certain; what else `up` gives is tried on the rows.
  [[nodiscard]] bool keeps_different() const {
    static const std::vector<std::string> k_widening{"smallint", "integer", "bigint"};
    const auto from = std::ranges::find(k_widening, m_old.type);
    return !m_fields.has("up") && from != k_widening.end() &&
           std::find(from, k_widening.end(), m_type.type) != k_widening.end();
  }

  static std::string timing(const Index& index) {
    return std::string(index.deferrable ? " deferrable" : "") + (index.initially_deferred ? " initially deferred" : "");
  }

  void carry_indexes() {
    // Under the old name nobody needs the copy's own uniqueness, and ON CONFLICT of the application would trip over it;
    // a deferrable constraint cannot be asked for by name of a column at all.
    const auto late = [&](const Index& index) { return index.unique && (!m_visible || index.deferrable); };
    for (const auto& [index, copy] : copy_indexes(m_draft, m_table, m_old, m_copy, CopyUse::lasting)) {
      IndexBuild& build =
          *std::ranges::find(m_table.indexes, copy, [](const IndexBuild& one) { return one.name.name; });
      build.before_contract = late(*index);
      build.may_be_violated = build.unique && !keeps_different();
      if (!build.before_contract) {
        warn_of_conflicts(m_draft, *index);
      }
      m_table.drops.back().replaced.push_back(index->name);
      if (index->constraint_type == 'p' || index->constraint_type == 'u') {
        m_table.contract.push_back(alter(fmt::format(
            "add constraint {} {} using index {}{}", quote_identifier(index->constraint),
            index->constraint_type == 'p' ? "primary key" : "unique", quote_identifier(copy), timing(*index))));
      } else {
        m_table.contract.push_back(fmt::format("alter index {} rename to {}",
                                               QualifiedName{m_table.table->name.schema, copy}.sql(),
                                               quote_identifier(index->name)));
      }
      if (index->comment) {
        const std::string target =
            index->constraint.empty()
                ? "index " + QualifiedName{m_table.table->name.schema, index->name}.sql()
                : fmt::format("constraint {} on {}", quote_identifier(index->constraint), m_table.table->name.sql());
        m_table.contract.push_back(fmt::format("comment on {} is {}", target, quote_literal(*index->comment)));
      }
      if (index->replica_identity) {
        m_table.contract.push_back(alter("replica identity using index " + quote_identifier(index->name)));
      }
      if (index->clustered) {
        m_table.contract.push_back(alter("cluster on " + quote_identifier(index->name)));
      }
    }
  }

  void carry_constraints() {
    for (const Constraint& constraint : m_table.table->constraints) {
      if (!reads(constraint.columns, m_old.name) || (constraint.type != 'c' && constraint.type != 'f')) {
        continue;
      }
      const std::string name = m_draft.object_name(m_table.table->name, "copy", constraint.name);
      if (std::ranges::find(m_table.constraints, name, &ConstraintAdd::name) != m_table.constraints.end()) {
        m_draft.refuse(
            m_fields.find("column")->at,
            fmt::format("\"{}\" is over two columns that this plan changes through a copy", constraint.name));
        continue;
      }
      ConstraintAdd& copy = m_table.constraints.emplace_back();
      copy.name = name;
      copy.shown = constraint.name;
      if (constraint.type == 'c') {
        const std::size_t open = constraint.definition.find('(');
        const Expression& down = *m_table.mappings.back().olds.front().down;
        copy.check.kind = Expression::Kind::check;
        copy.check.text = constraint.definition.substr(open + 1, constraint.definition.rfind(')') - open - 1);
        copy.check.alternatives = {without_literal_types(copy.check.text),
                                   with_column_as(copy.check.text, m_old.name,
                                                  "(" + (down.converted.empty() ? down.text : down.converted) + "\n)")};
        copy.check.what = "constraint " + constraint.name;
        copy.check.renamed = visible_names();
        copy.no_inherit = constraint.no_inherit;
      } else {
        copy_foreign_key(constraint, copy);
      }
      copy.validate = constraint.validated;
      m_table.drops.back().replaced.push_back(constraint.name);
      m_table.contract.push_back(alter(
          fmt::format("rename constraint {} to {}", quote_identifier(copy.name), quote_identifier(constraint.name))));
      if (constraint.comment) {
        m_table.contract.push_back(fmt::format("comment on constraint {} on {} is {}",
                                               quote_identifier(constraint.name), m_table.table->name.sql(),
                                               quote_literal(*constraint.comment)));
      }
    }
  }

  /// From its parts, as the catalog's text of it names the old column, in ON DELETE SET NULL (…) too.
  void copy_foreign_key(const Constraint& constraint, ConstraintAdd& copy) const {
    const auto quoted = [&](const std::vector<std::string>& names) {
      std::vector<std::string> list;
      for (const std::string& name : names) {
        list.push_back(quote_identifier(name == m_old.name ? m_copy : name));
      }
      return join(list, ", ");
    };
    std::vector<std::string> referenced;
    for (const std::string& name : constraint.referenced_columns) {
      referenced.push_back(quote_identifier(name));
    }
    copy.foreign_key =
        fmt::format("foreign key ({}) references {} ({}){}{}{}{}{}", quoted(constraint.columns),
                    constraint.references.sql(), join(referenced, ", "), constraint.matching, constraint.on_delete,
                    constraint.set_columns.empty() ? "" : " (" + quoted(constraint.set_columns) + ")",
                    constraint.deferral, constraint.enforced ? "" : " not enforced");
    copy.references = constraint.references;
    copy.referenced_columns = constraint.referenced_columns;
    for (const std::string& name : constraint.columns) {
      copy.columns.push_back(name == m_old.name ? m_copy : name);
    }
    copy.enforced = constraint.enforced;
    copy.at = m_fields.at;
  }

  const Value& m_fields;
  const TypeFacts& m_type;
  Draft& m_draft;
  TableDraft& m_table;
  const Column& m_old;
  bool m_visible = false;  ///< the copy has a name that the application uses
  std::string m_final;
  std::string m_copy;
};

}  // namespace

bool keeps_stored_values(const Table& table, const Column& column, const TypeFacts& type) {
  if (type.type == column.type) {
    return true;
  }
  const bool checked = std::ranges::any_of(table.constraints, [&](const Constraint& constraint) {
    return constraint.type == 'c' && reads(constraint.columns, column.name);
  });
  if (checked || column.costly_in_place || !column.collation.empty()) {
    return false;
  }
  const std::string varchar = "character varying";
  if (column.base_type == varchar && type.base_type == varchar) {
    return type.type_modifier == -1 || (column.type_modifier != -1 && type.type_modifier >= column.type_modifier);
  }
  if (column.base_type == varchar && type.type == "text") {
    return true;
  }
  if (column.type == "text" && type.type == varchar) {
    return true;
  }
  if (column.base_type == "numeric" && type.base_type == "numeric") {
    return type.type_modifier == -1 ||
           (column.type_modifier != -1 && numeric_scale(type.type_modifier) == numeric_scale(column.type_modifier) &&
            numeric_precision(type.type_modifier) >= numeric_precision(column.type_modifier));
  }
  return false;
}

void change_type_through_copy(const Value& fields, const TypeFacts& type, Draft& draft, TableDraft& table,
                              const Column& column) {
  TypeChange(fields, type, draft, table, column).contribute();
}

}  // namespace ecmigrate
