#include "ecmigrate/op/draft.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>

#include "ecmigrate/base/error.hpp"
#include "ecmigrate/base/text.hpp"
#include "ecmigrate/op/kind.hpp"
#include "fold.hpp"
#include "refusals.hpp"

namespace ecmigrate {

std::string place_of(const Plan& plan, Location at) {
  return at.line == 0 ? plan.file : fmt::format("{}:{}:{}", plan.file, at.line, at.column);
}

void Draft::complain(Location at, const std::string& message, const std::string& hint) {
  m_complaints.push_back({Complaint::Kind::wrong, at, message, hint});
}

void Draft::complain_of_absent(const CatalogThing& thing, Location at, const std::string& message,
                               const std::string& hint) {
  m_complaints.push_back({Complaint::Kind::absent, at, message, hint, thing});
}

void Draft::complain_of_taken(const CatalogThing& thing, Location at, const std::string& what, bool twice) {
  if (twice) {
    complain(at, what + " is added by this plan already");
  } else {
    m_complaints.push_back({Complaint::Kind::taken, at, what + " exists already", {}, thing});
  }
}

void Draft::refuse(Location at, const std::string& message, const std::string& hint) {
  m_complaints.push_back({Complaint::Kind::refused, at, message, hint});
}

void Draft::throw_complaints() const {
  std::vector<std::string> texts;
  for (const Complaint& complaint : m_complaints) {
    texts.push_back(place_of(m_plan, complaint.at) + ": " + complaint.message +
                    (complaint.hint.empty() ? "" : "\n  hint: " + complaint.hint));
  }
  if (!texts.empty()) {
    const bool refused_only = std::ranges::all_of(
        m_complaints, [](const Complaint& complaint) { return complaint.kind == Complaint::Kind::refused; });
    throw Error(refused_only ? Outcome::refused : Outcome::plan_invalid, join(texts, "\n"));
  }
}

void Draft::add_step(std::string_view phase, int operation, Step step) {
  m_steps.push_back({std::string(phase), operation, std::move(step)});
}

void Draft::complain_of_missing_table(const CatalogThing& missed, Location at, const QualifiedName& name) {
  if (const auto other = m_catalog.no_tables.find(name.name); other != m_catalog.no_tables.end()) {
    complain_of_absent(missed, at, fmt::format("\"{}\" is {}", name.name, other->second),
                       other->second.ends_with("view") ? "Name the table that it reads." : "A plan changes tables.");
    return;
  }
  const std::size_t dot = name.name.find('.');
  const std::string wrong = fmt::format("table \"{}\" does not exist in schema \"{}\"", name.name, name.schema);
  if (dot != std::string::npos) {
    complain_of_absent(
        missed, at, wrong,
        fmt::format("`table:` is a name alone, with any character: give the schema as `schema: {}` at the top.",
                    name.name.substr(0, dot)));
    return;
  }
  const std::vector<std::string_view> names(m_catalog.tables_in_schema.begin(), m_catalog.tables_in_schema.end());
  const auto nearest = nearest_word(name.name, names);
  complain_of_absent(missed, at, wrong,
                     nearest ? fmt::format("Did you mean \"{}\"?", *nearest)
                             : std::string("Set the schema with --schema or `schema:`."));
}

TableDraft* Draft::table(const PlannedOperation& operation, std::string_view key) {
  const Value* name = operation.fields.find(key);
  const Location at = name == nullptr ? operation.at : name->at;
  const QualifiedName qualified{m_plan.schema, operation.fields.text(key)};
  const Table* found = m_catalog.find_table(qualified);
  if (found == nullptr) {
    complain_of_missing_table({CatalogThing::What::table, qualified, {}}, at, qualified);
    return nullptr;
  }
  for (TableDraft& draft : m_tables) {
    if (draft.table == found) {
      draft.last_operation = operation.number;
      return &draft;
    }
  }
  if (!found->owned) {
    refuse(at, fmt::format("the role may not alter table \"{}\"", qualified.name),
           "Connect as its owner, or as a member of the owning role.");
  }
  if (found->row_security_applies) {
    refuse(at, fmt::format("row security hides rows of \"{}\" from this role", qualified.name),
           "A partial backfill would look complete: connect as a role with BYPASSRLS, or as the owner without FORCE.");
  }
  if (found->distributed) {
    refuse(at, fmt::format("\"{}\" is a table of Citus (see pg_dist_partition)", qualified.name),
           "Its rows are in shards, and what is asked of the table itself sees none of them: not supported.");
  }
  if (found->is_partition) {
    refuse(at, fmt::format("\"{}\" is a partition", qualified.name), "Name the partitioned table instead.");
  }
  if (found->inherits) {
    refuse(at, fmt::format("\"{}\" is part of an INHERITS hierarchy", qualified.name),
           "Triggers do not follow it, so rows of its children would be lost: detach them, or use declarative "
           "partitions.");
  }
  if (found->typed) {
    refuse(at, fmt::format("\"{}\" is a typed table: its columns are the type's", qualified.name),
           "ALTER TABLE … NOT OF makes it an ordinary one.");
  }
  if (found->foreign_partitions) {
    refuse(at, fmt::format("\"{}\" has partitions that are foreign tables", qualified.name),
           "They cannot be filled from here: detach them first.");
  }
  if (found->published) {
    warn(fmt::format(
        "{} is published by logical replication: its subscribers need the new columns before expand, or they stop",
        found->name.display()));
  }
  TableDraft& made = m_tables.emplace_back();
  made.table = found;
  made.first_operation = made.last_operation = operation.number;
  return &made;
}

void Draft::complain_of_missing_column(const CatalogThing& missed, Location at, const Table& table,
                                       const std::string& name) {
  std::vector<std::string_view> names;
  for (const Column& column : table.columns) {
    names.push_back(column.name);
  }
  const auto nearest = nearest_word(name, names);
  complain_of_absent(missed, at, fmt::format("column \"{}\" of \"{}\" does not exist", name, table.name.display()),
                     nearest ? fmt::format("Did you mean \"{}\"?", *nearest) : std::string());
}

const Column* Draft::column(const TableDraft& draft, const std::string& name, Location at, bool may_be_generated) {
  const Column* found = draft.table->find_column(name);
  if (found == nullptr) {
    complain_of_missing_column({CatalogThing::What::column, draft.table->name, name}, at, *draft.table, name);
  } else if (found->generated && !may_be_generated) {
    complain(at, fmt::format("column \"{}\" is generated: it cannot be kept in step by a trigger", name));
    return nullptr;
  }
  return found;
}

TypeFacts Draft::type(const std::string& text, Location at) {
  const auto found = m_catalog.types.find(text);
  if (found == m_catalog.types.end()) {
    return {text, text, -1, false, ""};
  }
  if (!found->second.error.empty()) {
    complain(at, found->second.error);
  }
  return found->second;
}

bool Draft::adds_column(const TableDraft& draft, std::string_view name) {
  return std::ranges::find(draft.new_names, name) != draft.new_names.end();
}

bool Draft::take_column(TableDraft& draft, const Column& column, Location at) {
  if (std::ranges::find(draft.taken, column.name) != draft.taken.end()) {
    complain(at, fmt::format("another operation of this plan changes \"{}\" already", column.name),
             "Put both changes into one operation, or into two plans, one after the other.");
    return false;
  }
  draft.taken.push_back(column.name);
  return true;
}

bool Draft::fits(const std::string& name, Location at) {
  if (name.size() > k_max_identifier_bytes) {
    complain(
        at, fmt::format("the name \"{}\" has {} bytes, PostgreSQL keeps {}", name, name.size(), k_max_identifier_bytes),
        "Choose a shorter name.");
    return false;
  }
  return true;
}

bool Draft::claim_constraint(const TableDraft& draft, const std::string& name, Location at) {
  if (!fits(name, at)) {
    return false;
  }
  const bool taken =
      std::ranges::find(draft.table->constraints, name, &Constraint::name) != draft.table->constraints.end();
  const bool twice = !m_claimed_constraints.insert({draft.table->name, name}).second;
  if (twice || taken) {
    complain_of_taken({CatalogThing::What::constraint, draft.table->name, name}, at,
                      fmt::format("constraint \"{}\" of \"{}\"", name, draft.table->name.display()), twice);
    return false;
  }
  return true;
}

bool Draft::claim_index(const TableDraft& draft, const std::string& name, Location at) {
  if (!fits(name, at)) {
    return false;
  }
  // Tables and indexes of a schema share their names.
  const QualifiedName index{draft.table->name.schema, name};
  const bool taken = m_catalog.table_of_index.contains(index) ||
                     std::ranges::find(m_catalog.tables_in_schema, name) != m_catalog.tables_in_schema.end();
  const bool twice = !m_claimed_indexes.insert(index).second;
  if (twice || taken) {
    complain_of_taken({CatalogThing::What::index, index, {}}, at, fmt::format("index \"{}\"", index.display()), twice);
    return false;
  }
  return true;
}

bool Draft::claim_column(TableDraft& draft, const std::string& name, Location at) {
  if (!fits(name, at)) {
    return false;
  }
  const bool twice = adds_column(draft, name);
  if (twice || draft.table->find_column(name) != nullptr) {
    complain_of_taken({CatalogThing::What::column, draft.table->name, name}, at,
                      fmt::format("column \"{}\" of \"{}\"", name, draft.table->name.display()), twice);
    return false;
  }
  draft.new_names.push_back(name);
  return true;
}

std::string Draft::object_name(const QualifiedName& table, std::string_view role, std::string_view about) const {
  // The hash makes it unique for table, role and subject; the words are for people and may be cut.
  const std::string hash = short_hash(m_plan.name + '\0' + table.schema + '\0' + table.name + '\0' + std::string(role) +
                                      '\0' + std::string(about));
  const std::string tail = "_" + hash;
  return truncate_utf8(fmt::format("_ecmigrate_{}_{}", role, about), k_max_identifier_bytes - tail.size()) + tail;
}

namespace {

/// Whether an SQL text has the name as a word of its own.
bool mentions(std::string_view text, std::string_view name) {
  const auto in_word = [&](std::size_t at) {
    return at < text.size() && (std::isalnum(static_cast<unsigned char>(text[at])) != 0 || text[at] == '_');
  };
  for (std::size_t at = text.find(name); at != std::string_view::npos; at = text.find(name, at + 1)) {
    if (!(at > 0 && in_word(at - 1)) && !in_word(at + name.size())) {
      return true;
    }
  }
  return false;
}

/// An index of the plan on a column that another operation renames or replaces goes on the column that stays.
void settle_indexes(TableDraft& table) {
  for (IndexBuild& index : table.indexes) {
    const bool of_the_plan = index.definition.sql.empty() && index.definition.renamed.empty();
    for (const auto& [visible, physical] : table.indexed_as) {
      if (of_the_plan && mentions(index.definition.text, visible)) {
        index.definition.renamed.emplace_back(visible, physical);
        index.after_fill = true;
      }
    }
  }
}

void mark_expressions_of_trigger(TableDraft& table) {
  for (Mapping& mapping : table.mappings) {
    for (NewColumn& column : mapping.news) {
      column.up.in_trigger = true;
    }
    for (OldColumn& old : mapping.olds) {
      if (old.down) {
        old.down->in_trigger = true;
      }
    }
  }
}

/// What the old columns' defaults are has to be known for the new ones'.
void read_old_defaults(TableDraft& table) {
  for (Mapping& mapping : table.mappings) {
    for (OldColumn& old : mapping.olds) {
      if (!mapping.news.empty() && old.column->default_sql) {
        Expression& expression = table.expressions.emplace_back();
        expression.text = *old.column->default_sql;
        expression.what = "default of " + old.column->name;
        old.default_read = &expression;
      }
    }
  }
}

/// An index of the plan on a column that goes at contract would go with it.
void complain_of_lost_indexes(Draft& draft, const TableDraft& table) {
  for (const auto& [name, at] : table.indexed) {
    const bool stays_elsewhere =
        std::ranges::find(table.indexed_as, name, &std::pair<std::string, std::string>::first) !=
        table.indexed_as.end();
    const bool goes = std::ranges::any_of(
        table.drops, [&, column = name](const ColumnDrop& drop) { return drop.column == column && !drop.type_change; });
    if (goes && !stays_elsewhere) {
      draft.complain(at, fmt::format("contract drops \"{}\", and the index with it", name),
                     "Build the index on a new column.");
    }
  }
}

}  // namespace

namespace {

/// A table's shape changes in one step, so nothing can be done between two operations on it.
void complain_of_steps_between(Draft& draft) {
  for (const Draft::PlannedStep& step : draft.steps()) {
    for (const TableDraft& table : draft.tables()) {
      if (step.step.kind == Step::Kind::transaction && table.first_operation < step.operation &&
          step.operation < table.last_operation) {
        const auto operation = std::ranges::find(draft.plan().operations, step.operation, &PlannedOperation::number);
        draft.complain(operation->at,
                       fmt::format("operation {} is `sql` between operations on \"{}\", which are done together",
                                   step.operation, table.table->name.display()),
                       "Put it before the first or after the last of them.");
      }
    }
  }
}

}  // namespace

void contribute_all(Draft& draft) {
  for (const PlannedOperation& operation : fold_alterations(draft.plan().operations)) {
    try {
      find_operation_kind(operation.kind)->contribute(operation, draft.plan(), draft.catalog(), draft);
    } catch (const Error& error) {
      // A name that cannot be quoted knows nothing of where it stands.
      draft.complain(operation.at, error.what(), error.hint());
    }
    for (TableDraft& table : draft.tables()) {
      for (Mapping& mapping : table.mappings) {
        mapping.operation = mapping.operation == 0 ? operation.number : mapping.operation;
      }
    }
  }
  for (const TableDraft& table : draft.tables()) {
    complain_of_lost_indexes(draft, table);
    look_around(draft, table);
  }
  complain_of_steps_between(draft);
}

Draft draft_plan(const Plan& plan, const Catalog& catalog) {
  Draft draft(plan, catalog);
  contribute_all(draft);
  draft.throw_complaints();
  for (TableDraft& table : draft.tables()) {
    settle_indexes(table);
    read_old_defaults(table);
    mark_expressions_of_trigger(table);
  }
  return draft;
}

}  // namespace ecmigrate
