#include "mapping_sql.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <functional>
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
  // As they are stored: a text would have the digits and styles of the session that compares.
  return fmt::format("pg_catalog.record_image_eq(row({}), row({}))", a, b);
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

/// Whether a column that the plan adds can be compared by its type's equality; as it is stored where that is not known.
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
  // Whether an earlier mapping still waits is asked before the first of its columns is filled.
  const std::string waits = "ecmigrate_waits";
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
  const auto level = [&](const std::function<std::string(const std::string&)>& value_of, const std::string& flag) {
    std::vector<std::string> list;
    for (const std::string& name : columns) {
      list.push_back(fmt::format("{} as {}", value_of(name), quote_identifier(name)));
    }
    list.push_back(fmt::format("{} as {}", flag, waits));
    from = fmt::format("(select {}{}) as this", join(list, ", "), from.empty() ? "" : " from " + from);
  };
  for (const Mapping* stage : mappings) {
    if (stage != &mapping) {
      level([](const std::string& name) { return field_of("this", name); }, "(" + unfilled(*stage, "this") + ")");
    }
    for (const NewColumn& column : stage->news) {
      level(
          [&](const std::string& name) {
            return name != column.name ? field_of("this", name)
                   : stage == &mapping ? fmt::format("({})", column.up.sql)
                                       : fmt::format("case when this.{} then {} else {} end", waits,
                                                     assigned_to(column.up.sql, column), field_of("this", name));
          },
          stage == &mapping ? "true" : "this." + waits);
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
    assignments.push_back(fmt::format("{} = case when {} then ({})::{} else this.{} end", name, pending(draft, mapping),
                                      value, unlimited(column.domain.over.empty() ? column.type : column.domain.over),
                                      name));
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
  return fmt::format("pg_catalog.record_image_ne(row({}), row({}))", a, b);
}

std::string unfilled(const Mapping& mapping, std::string_view row) {
  std::vector<std::string> terms;
  if (mapping.marker) {
    terms.push_back(field_of(row, *mapping.marker) + " is null");
    if (!mapping.olds.empty()) {
      return terms.front();
    }
    // Without O nothing could bring back a value that was written past the trigger.
  }
  for (const NewColumn& column : mapping.news) {
    terms.push_back(field_of(row, column.name) + " is null");
  }
  return all_of(terms);
}

std::string pending(const TableDraft& draft, const Mapping& mapping) {
  if (has_not_null(mapping)) {
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

std::string olds_changed(const Mapping& mapping) {
  std::vector<std::string> terms;
  for (const OldColumn& old : mapping.olds) {
    terms.push_back(differs(field_of("new", old.column->name), field_of("old", old.column->name),
                            old.column->equality_is_identity));
  }
  return terms.empty() ? "false" : any_of(terms);
}

std::string others_changed(const TableDraft& draft, const Mapping& mapping) {
  std::set<std::string> names;
  for (const NewColumn& column : mapping.news) {
    names.insert(column.up.reads.begin(), column.up.reads.end());
  }
  for (const OldColumn& old : mapping.olds) {
    if (old.down) {
      names.insert(old.down->reads.begin(), old.down->reads.end());
    }
  }
  for (const NewColumn& column : mapping.news) {
    names.erase(column.name);
  }
  for (const OldColumn& old : mapping.olds) {
    names.erase(old.column->name);
  }
  std::vector<std::string> terms;
  for (const std::string& name : names) {
    const Column* column = draft.table->find_column(name);
    terms.push_back(
        differs(field_of("new", name), field_of("old", name),
                column != nullptr ? column->equality_is_identity : added_equality_is_identity(draft, name)));
  }
  return terms.empty() ? "false" : any_of(terms);
}

std::string inputs_changed(const TableDraft& draft, const Mapping& mapping) {
  const std::string olds = olds_changed(mapping);
  const std::string others = others_changed(draft, mapping);
  return olds == "false" ? others : others == "false" ? olds : olds + " or " + others;
}

bool can_be_set_null(const NewColumn& column) {
  return column.nullable && !column.held_by_old;
}

bool can_be_set_null(const Mapping& mapping) {
  return std::ranges::any_of(mapping.news, [](const NewColumn& column) { return can_be_set_null(column); });
}

std::string set_null_note(const TableDraft& draft, const Mapping& mapping, const NewColumn* column) {
  // Blanks on both sides: note 1.1 is not the beginning of note 1.10.
  const auto place = std::ranges::find_if(draft.mappings, [&](const Mapping& other) { return &other == &mapping; });
  const std::string prefix = fmt::format(" {}.", place - draft.mappings.begin());
  return column == nullptr ? prefix : fmt::format("{}{} ", prefix, column - mapping.news.data());
}

std::string news_changed(const Mapping& mapping) {
  std::vector<std::string> terms;
  for (const NewColumn& column : mapping.news) {
    terms.push_back(differs(field_of("new", column.name), field_of("old", column.name), column.equality_is_identity));
  }
  return any_of(terms);
}

bool loses_names(const Mapping& mapping) {
  return !mapping.olds.empty() && !mapping.keeps_names;
}

bool notes_writes(const Mapping& mapping) {
  return loses_names(mapping) && std::ranges::none_of(mapping.olds, [](const OldColumn& old) {
           return old.default_read != nullptr && old.default_read->volatile_value;
         });
}

std::string unlimited(std::string type) {
  if (type.starts_with("character(") || type == "character" || type.starts_with("bit(") || type == "bit") {
    const std::string name = type.starts_with("bit") ? "pg_catalog.varbit" : "pg_catalog.bpchar";
    return name + (type.ends_with("[]") ? "[]" : "");
  }
  if (const std::size_t open = type.find('('); open != std::string::npos && type.find('"') == std::string::npos) {
    type.erase(open, type.find(')', open) + 1 - open);
  }
  return type;
}

std::string assigned(const std::string& sql, const std::string& type) {
  // An explicit cast cuts a value that is too long. The server's own length functions, told that the cast is not
  // explicit, raise instead. A type modifier of the character types is the length plus the 4 bytes of the value's
  // header (VARHDRSZ).
  struct Cut {
    std::string_view type;
    std::string_view function;
    std::string_view unlimited;
    int header;
  };
  constexpr std::array<Cut, 4> k_cut{{{"character varying", "\"varchar\"", "\"varchar\"", 4},
                                      {"character", "bpchar", "bpchar", 4},
                                      {"bit varying", "varbit", "varbit", 0},
                                      {"bit", "\"bit\"", "varbit", 0}}};
  for (const Cut& cut : k_cut) {
    const std::string begin = std::string(cut.type) + "(";
    if (type.starts_with(begin) && type.ends_with(")")) {
      const std::string length = type.substr(begin.size(), type.size() - begin.size() - 1);
      return fmt::format("pg_catalog.{}(({})::pg_catalog.{}, {} + {}, false)", cut.function, sql, cut.unlimited, length,
                         cut.header);
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
  } else if (repeatable && mapping.marker) {
    // What the application wrote is right as it is, and `--repair=new` says that it was the application.
    compiled.inconsistent =
        fmt::format("{} is distinct from false and not ({}) and not ({})", field_of("this", *mapping.marker),
                    unfilled(mapping, "this"), equals_up(mapping));
    compiled.old_from_new = quote_identifier(*mapping.marker) + " = false";
  }
  compiled.fill = fill_list(draft, mapping);
  compiled.fill_if_pending = fill_if_pending(draft, mapping);
  return compiled;
}

namespace {

/// The rows as expand leaves them, before anything is filled; `%s` is the leaf.
std::string rows_to_try(const TableDraft& draft) {
  std::string added;
  for (const auto& [name, column] : draft.plain_columns) {
    const bool filled = std::ranges::any_of(draft.mappings, [&wanted = name](const Mapping& mapping) {
      return std::ranges::find(mapping.news, wanted, &NewColumn::name) != mapping.news.end();
    });
    if (!filled) {
      added += fmt::format(", {} as {}", assigned(column.second, column.first), quote_identifier(name));
    }
  }
  return fmt::format("(select this.*{} from %s as this) as this", added);
}

}  // namespace

Trial compile_trial(const TableDraft& draft, const Mapping& mapping) {
  Trial trial;
  trial.table = draft.table->name;
  trial.leaves = draft.table->leaves;
  trial.key = primary_key(*draft.table);
  trial.label = mapping.label;
  trial.source = rows_to_try(draft);
  std::vector<std::string> null_terms;
  for (const Mapping* stage : mappings_up_to(draft, mapping)) {
    for (const NewColumn& column : stage->news) {
      trial.source = fmt::format("(select this.*, {} as {} from {}) as this", assigned_to(column.up.sql, column),
                                 quote_identifier(column.name), trial.source);
      if (stage == &mapping && column.interim_default) {
        trial.defaults.push_back(*column.interim_default);
      }
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
      trial.evaluated.push_back(assigned_to(old.down->sql, *old.column));
      after.push_back(fmt::format("coalesce({}::pg_catalog.text, 'null')", assigned_to(old.down->sql, *old.column)));
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
    trial.source = rows_to_try(draft);
  }
  trial.table = draft.table->name;
  trial.leaves = draft.table->leaves;
  trial.key = primary_key(*draft.table);
  trial.evaluated.clear();
  trial.null_in.clear();
  trial.lossy.clear();
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
