#include "mapping_sql.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "ecmigrate/base/text.hpp"

namespace ecmigrate {

namespace {

std::string all_of(const std::vector<std::string>& terms) {
  return join(terms, " and ");
}

std::string any_of(const std::vector<std::string>& terms) {
  return join(terms, " or ");
}

std::string field_of(std::string_view row, const std::string& column) {
  return fmt::format("{}.{}", row, quote_identifier(column));
}

std::string same(std::string_view a, std::string_view b, bool equality_is_identity) {
  if (equality_is_identity) {
    return fmt::format("{} is not distinct from {}", a, b);
  }
  return fmt::format(
      "({})::pg_catalog.text collate pg_catalog.\"C\" is not distinct from ({})::pg_catalog.text collate "
      "pg_catalog.\"C\"",
      a, b);
}

bool has_not_null(const Mapping& mapping) {
  return std::ranges::any_of(mapping.news, [](const NewColumn& column) { return !column.nullable; });
}

bool reads_new_columns(const TableDraft& draft, const Expression& expression) {
  return std::ranges::any_of(draft.mappings, [&](const Mapping& mapping) {
    return std::ranges::any_of(mapping.news, [&](const NewColumn& column) {
      return std::ranges::find(expression.reads, column.name) != expression.reads.end();
    });
  });
}

bool is_staged(const TableDraft& draft, const Mapping& mapping) {
  return std::ranges::any_of(mapping.news,
                             [&](const NewColumn& column) { return reads_new_columns(draft, column.up); });
}

/// Whether a column that the plan adds can be compared by its type's equality; as text where that is not known.
bool added_equality_is_identity(const TableDraft& draft, const std::string& name) {
  for (const Mapping& mapping : draft.mappings) {
    for (const NewColumn& column : mapping.news) {
      if (column.name == name) {
        return column.equality_is_identity;
      }
    }
  }
  return false;
}

/// Mappings before `last` in the plan's order, and `last`.
std::vector<const Mapping*> mappings_up_to(const TableDraft& draft, const Mapping& last) {
  std::vector<const Mapping*> mappings;
  for (const Mapping& mapping : draft.mappings) {
    mappings.push_back(&mapping);
    if (&mapping == &last) {
      break;
    }
  }
  return mappings;
}

/// `up` expressions that read columns the same plan fills see those of the row before the statement, which are still
/// empty. So the row is built up column by column, each level named `this` for the next.
std::string staged_row(const TableDraft& draft, const Mapping& mapping) {
  std::set<std::string> columns;
  const auto mappings = mappings_up_to(draft, mapping);
  for (const Mapping* stage : mappings) {
    for (const NewColumn& column : stage->news) {
      columns.insert(column.name);
      columns.insert(column.up.reads.begin(), column.up.reads.end());
    }
    if (stage->marker) {
      columns.insert(*stage->marker);
    }
  }
  std::string from;
  for (const Mapping* stage : mappings) {
    for (const NewColumn& column : stage->news) {
      std::vector<std::string> list;
      for (const std::string& name : columns) {
        const std::string value = name != column.name ? field_of("this", name)
                                  : stage == &mapping
                                      ? fmt::format("({})", column.up.sql)
                                      : fmt::format("case when {} then {} else {} end", unfilled(*stage, "this"),
                                                    assigned(column.up.sql, column.type), field_of("this", name));
        list.push_back(fmt::format("{} as {}", value, quote_identifier(name)));
      }
      from = fmt::format("(select {}{}) as this", join(list, ", "), from.empty() ? "" : " from " + from);
    }
  }
  return from;
}

std::string fill_list(const TableDraft& draft, const Mapping& mapping) {
  std::vector<std::string> names;
  std::vector<std::string> values;
  std::vector<std::string> assignments;
  for (const NewColumn& column : mapping.news) {
    names.push_back(quote_identifier(column.name));
    values.push_back(field_of("this", column.name));
    assignments.push_back(fmt::format("{} = ({})", names.back(), column.up.sql));
  }
  if (is_staged(draft, mapping)) {
    assignments = {
        fmt::format("({}) = (select {} from {})", join(names, ", "), join(values, ", "), staged_row(draft, mapping))};
  }
  if (mapping.marker) {
    assignments.push_back(quote_identifier(*mapping.marker) + " = true");
  }
  return join(assignments, ", ");
}

/// Keeps the values of a row that is not pending. CASE wants both its values of one type, so the conversion that an
/// assignment would make is written out. A list of columns at once (see staged_row) gets its CASE around each.
std::string fill_if_pending(const TableDraft& draft, const Mapping& mapping) {
  std::vector<std::string> assignments;
  const bool staged = is_staged(draft, mapping);
  for (const NewColumn& column : mapping.news) {
    const std::string name = quote_identifier(column.name);
    const std::string value =
        staged ? fmt::format("(select {} from {})", field_of("this", column.name), staged_row(draft, mapping))
               : column.up.sql;
    assignments.push_back(fmt::format("{} = case when {} then {} else this.{} end", name, pending(draft, mapping),
                                      assigned(value, column.type), name));
  }
  if (mapping.marker) {
    const std::string name = quote_identifier(*mapping.marker);
    assignments.push_back(
        fmt::format("{} = case when {} then true else this.{} end", name, pending(draft, mapping), name));
  }
  return join(assignments, ", ");
}

std::string down_list(const Mapping& mapping) {
  std::vector<std::string> assignments;
  for (const OldColumn& old : mapping.olds) {
    if (!old.down) {
      return {};
    }
    assignments.push_back(fmt::format("{} = ({})", quote_identifier(old.column->name), old.down->sql));
  }
  return join(assignments, ", ");
}

}  // namespace

std::string differs(std::string_view a, std::string_view b, bool equality_is_identity) {
  if (equality_is_identity) {
    return fmt::format("{} is distinct from {}", a, b);
  }
  return fmt::format(
      "({})::pg_catalog.text collate pg_catalog.\"C\" is distinct from ({})::pg_catalog.text collate pg_catalog.\"C\"",
      a, b);
}

std::string unfilled(const Mapping& mapping, std::string_view row) {
  if (mapping.marker) {
    return field_of(row, *mapping.marker) + " is null";
  }
  std::vector<std::string> terms;
  for (const NewColumn& column : mapping.news) {
    terms.push_back(field_of(row, column.name) + " is null");
  }
  return all_of(terms);
}

std::string pending(const TableDraft& draft, const Mapping& mapping) {
  if (has_not_null(mapping) && !mapping.marker) {
    return unfilled(mapping, "this");
  }
  const bool staged = is_staged(draft, mapping);
  std::vector<std::string> filled;
  for (const NewColumn& column : mapping.news) {
    filled.push_back(fmt::format("({}) is not null", staged ? field_of("this", column.name) : column.up.sql));
  }
  // The columns that `up` reads may still be empty themselves, so ask what it will give once they are filled.
  return staged ? fmt::format("{} and (select {} from {})", unfilled(mapping, "this"), any_of(filled),
                              staged_row(draft, mapping))
                : fmt::format("{} and ({})", unfilled(mapping, "this"), any_of(filled));
}

std::string equals_up(const Mapping& mapping) {
  std::vector<std::string> terms;
  for (const NewColumn& column : mapping.news) {
    terms.push_back(same(field_of("this", column.name), fmt::format("({})::{}", column.up.sql, column.type),
                         column.equality_is_identity));
  }
  return all_of(terms);
}

std::string equals_down(const Mapping& mapping) {
  std::vector<std::string> terms;
  for (const OldColumn& old : mapping.olds) {
    if (!old.down) {
      return "false";
    }
    terms.push_back(same(field_of("this", old.column->name), fmt::format("({})::{}", old.down->sql, old.column->type),
                         old.column->equality_is_identity));
  }
  return all_of(terms);
}

std::string consistent(const Mapping& mapping) {
  return fmt::format("(({}) or ({}))", equals_up(mapping), equals_down(mapping));
}

std::string olds_changed(const TableDraft& draft, const Mapping& mapping) {
  std::vector<std::string> terms;
  const auto add = [&](const Column& column) {
    terms.push_back(differs(field_of("new", column.name), field_of("old", column.name), column.equality_is_identity));
  };
  for (const OldColumn& old : mapping.olds) {
    add(*old.column);
  }
  if (mapping.olds.empty()) {
    for (const std::string& name : mapping.news.front().up.reads) {
      if (const Column* column = draft.table->find_column(name)) {
        add(*column);
      } else if (name != mapping.news.front().name) {
        terms.push_back(differs(field_of("new", name), field_of("old", name), added_equality_is_identity(draft, name)));
      }
    }
  }
  return terms.empty() ? "false" : any_of(terms);
}

std::string news_changed(const Mapping& mapping) {
  std::vector<std::string> terms;
  for (const NewColumn& column : mapping.news) {
    terms.push_back(differs(field_of("new", column.name), field_of("old", column.name), column.equality_is_identity));
  }
  return any_of(terms);
}

std::string assigned(const std::string& sql, const std::string& type) {
  // An explicit cast cuts a value that is too long for varchar(n) or char(n). The server's own length functions, told
  // that the cast is not explicit, raise instead.
  for (const auto& [base, function] : {std::pair<std::string, std::string>{"character varying", "\"varchar\""},
                                       std::pair<std::string, std::string>{"character", "bpchar"}}) {
    if (type.starts_with(base + "(") && type.ends_with(")")) {
      const std::string length = type.substr(base.size() + 1, type.size() - base.size() - 2);
      // A type modifier of these types is the length plus the 4 bytes of the value's header (VARHDRSZ).
      return fmt::format("pg_catalog.{0}(({1})::pg_catalog.{0}, {2} + 4, false)", function, sql, length);
    }
  }
  return fmt::format("({})::{}", sql, type);
}

SyncedMapping compile_mapping(const TableDraft& draft, const Mapping& mapping, bool repeatable) {
  SyncedMapping compiled;
  compiled.label = mapping.label;
  for (const OldColumn& old : mapping.olds) {
    compiled.old_columns.push_back(old.column->name);
  }
  for (const NewColumn& column : mapping.news) {
    compiled.new_columns.push_back(column.name);
  }
  compiled.pending = pending(draft, mapping);
  if (repeatable && !mapping.olds.empty()) {
    compiled.inconsistent = fmt::format("not ({}) and not {}", unfilled(mapping, "this"), consistent(mapping));
    compiled.old_from_new = down_list(mapping);
  }
  compiled.fill = fill_list(draft, mapping);
  compiled.fill_if_pending = fill_if_pending(draft, mapping);
  return compiled;
}

Trial compile_trial(const TableDraft& draft, const Mapping& mapping) {
  Trial trial;
  trial.table = draft.table->name;
  trial.leaves = draft.table->leaves;
  trial.key = primary_key(*draft.table);
  trial.label = mapping.label;
  trial.source = "(select this.* from %s as this) as this";
  std::vector<std::string> null_terms;
  for (const Mapping* stage : mappings_up_to(draft, mapping)) {
    for (const NewColumn& column : stage->news) {
      trial.source = fmt::format("(select this.*, {} as {} from {}) as this", assigned(column.up.sql, column.type),
                                 quote_identifier(column.name), trial.source);
      if (stage == &mapping) {
        trial.evaluated.push_back(field_of("this", column.name));
      }
      if (stage == &mapping && !column.nullable) {
        null_terms.push_back(field_of("this", column.name) + " is null");
      }
    }
  }
  trial.null_in = any_of(null_terms);
  if (const std::string way_back = equals_down(mapping); way_back != "false" && !way_back.empty()) {
    trial.lossy = fmt::format("not ({})", way_back);
    std::vector<std::string> before;
    std::vector<std::string> after;
    for (const OldColumn& old : mapping.olds) {
      before.push_back(fmt::format("coalesce(({})::pg_catalog.text, 'null')", field_of("this", old.column->name)));
      trial.evaluated.push_back(assigned(old.down->sql, old.column->type));
      after.push_back(fmt::format("coalesce({}::pg_catalog.text, 'null')", assigned(old.down->sql, old.column->type)));
    }
    trial.shown_before = join(before, " || ', ' || ");
    trial.shown_after = join(after, " || ', ' || ");
  }
  return trial;
}

namespace {

/// Looks at the rows as they will be.
Trial trial_of_rows(const TableDraft& draft) {
  Trial trial;
  for (const Mapping& mapping : draft.mappings) {
    if (!mapping.news.empty()) {
      trial = compile_trial(draft, mapping);  // the last one has the new columns of all before it
    }
  }
  if (trial.source.empty()) {
    trial.source = "(select this.* from %s as this) as this";
  }
  trial.table = draft.table->name;
  trial.leaves = draft.table->leaves;
  trial.key = primary_key(*draft.table);
  trial.evaluated.clear();
  trial.null_in.clear();
  trial.lossy.clear();
  for (const auto& [name, column] : draft.plain_columns) {
    const bool mapped = std::ranges::any_of(draft.mappings, [&, wanted = name](const Mapping& mapping) {
      return std::ranges::find(mapping.news, wanted, &NewColumn::name) != mapping.news.end();
    });
    if (!mapped) {
      trial.source = fmt::format("(select this.*, {} as {} from {}) as this", assigned(column.second, column.first),
                                 quote_identifier(name), trial.source);
    }
  }
  return trial;
}

/// Orphans: keys without a null that point at no row, and with MATCH FULL those that are null in part.
std::string violates_foreign_key(const ConstraintAdd& constraint) {
  std::vector<std::string> nulls;
  std::vector<std::string> equal;
  for (std::size_t i = 0; i < constraint.columns.size(); ++i) {
    const std::string column = field_of("this", constraint.columns[i]);
    nulls.push_back(column + " is null");
    equal.push_back(fmt::format("{} {} {}", field_of("pointed_at", constraint.referenced_columns[i]),
                                constraint.operators[i], column));
  }
  return fmt::format("not ({}) and not exists (select from {} as pointed_at where {}){}", any_of(nulls),
                     constraint.references->sql(), all_of(equal),
                     constraint.foreign_key.find(" match full") == std::string::npos
                         ? std::string()
                         : fmt::format(" or ({}) and not ({})", any_of(nulls), all_of(nulls)));
}

}  // namespace

Trial compile_constraint_trial(const TableDraft& draft, const ConstraintAdd& constraint) {
  Trial trial = trial_of_rows(draft);
  trial.label = constraint.shown;
  if (!constraint.foreign_key.empty()) {
    trial.violates = violates_foreign_key(constraint);
    return trial;
  }
  const std::size_t open = constraint.check.sql.find('(');
  trial.violates =
      fmt::format("({}) is false", constraint.check.sql.substr(open + 1, constraint.check.sql.rfind(')') - open - 1));
  return trial;
}

Trial compile_unique_trial(const TableDraft& draft, const IndexBuild& index) {
  Trial trial = trial_of_rows(draft);
  trial.label = index.shown;
  std::vector<std::string> keys;
  std::vector<std::string> not_null;
  for (std::size_t i = 0; i < index.keys.size(); ++i) {
    keys.push_back(fmt::format("({}) as key_{}", index.keys[i], i));
    not_null.push_back(fmt::format("({}) is not null", index.keys[i]));
    std::string shown = index.keys[i];
    if (shown.size() > 2 && shown.starts_with('"') && quote_identifier(shown.substr(1, shown.size() - 2)) == shown) {
      shown = shown.substr(1, shown.size() - 2);
    }
    for (const auto& [visible, physical] : index.definition.renamed) {
      shown = shown == physical ? visible : shown;
    }
    trial.unique.push_back(shown);
  }
  const std::string rows = fmt::format("{} and {}", index.predicate.empty() ? "true" : index.predicate,
                                       index.nulls_are_equal ? "true" : all_of(not_null));
  trial.source = fmt::format("(select {} from {} where {}) as this", join(keys, ", "), trial.source, rows);
  return trial;
}

std::vector<std::string> primary_key(const Table& table) {
  for (const Constraint& constraint : table.constraints) {
    if (constraint.type == 'p') {
      return constraint.columns;
    }
  }
  return {};
}

}  // namespace ecmigrate
