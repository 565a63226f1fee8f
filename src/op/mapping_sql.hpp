#pragma once

#include <fmt/format.h>

#include <string>
#include <string_view>

#include "ecmigrate/op/draft.hpp"

namespace ecmigrate {

/// Predicates and assignments of one mapping; `row` is the name the row has where the text is used.

/// N was never filled: every N is null, or the marker is. Says nothing about whether `up` gives anything.
std::string unfilled(const Mapping& mapping, std::string_view row);

/// The row is work for the backfill: unfilled, and `up` is not null in every column.
std::string pending(const TableDraft& draft, const Mapping& mapping);

/// N = up(O), compared by value, over `this`.
std::string equals_up(const Mapping& mapping);

/// O = down(N), compared by value, over `this`; "false" where there is no way back.
std::string equals_down(const Mapping& mapping);

/// N = up(O) or O = down(N).
std::string consistent(const Mapping& mapping);

/// `a is distinct from b`, by the value and not only by the type's equality.
std::string differs(std::string_view a, std::string_view b, bool equality_is_identity);

/// O is different in NEW and OLD; "false" where there is no O.
std::string olds_changed(const Mapping& mapping);
/// A column that `up` or `down` reads and that is neither O nor N is different in NEW and OLD; "false" if there is
/// none.
std::string others_changed(const TableDraft& draft, const Mapping& mapping);
/// Either of the two.
std::string inputs_changed(const TableDraft& draft, const Mapping& mapping);
/// N is different in NEW and OLD.
std::string news_changed(const Mapping& mapping);

/// A null in N can be what the new application means.
bool can_be_set_null(const Mapping& mapping);
bool can_be_set_null(const NewColumn& column);
/// What a trigger notes about a column that a statement sets to null while its row still waits; the mapping's prefix of
/// it without a column.
std::string set_null_note(const TableDraft& draft, const Mapping& mapping, const NewColumn* column = nullptr);

/// An expression converted as an assignment to the column would: a value that is too long is an error, not cut.
std::string assigned(const std::string& sql, const std::string& type);
/// The same for a column, whose type may be a domain: over a type with a length it would cut too.
template <typename SomeColumn>
std::string assigned_to(const std::string& sql, const SomeColumn& column) {
  return column.domain.over.empty() ? assigned(sql, column.type)
                                    : fmt::format("({})::{}", assigned(sql, column.domain.over), column.type);
}

/// A type without the limit of its values' length: what is converted to it is whole, and an assignment judges it then.
std::string unlimited(std::string type);

/// The compiled form for those who run it.
SyncedMapping compile_mapping(const TableDraft& draft, const Mapping& mapping, bool repeatable);

/// The trial of a mapping before expand.
Trial compile_trial(const TableDraft& draft, const Mapping& mapping);

/// The trial of a new check on the rows as they will be: from expand on it holds for every write, also of the old
/// application and also of other columns of the row, so one row that violates it would fail its clients.
Trial compile_constraint_trial(const TableDraft& draft, const ConstraintAdd& constraint);

/// The trial of a unique index on all rows as they will be: what is there twice would end its build, long after expand.
Trial compile_unique_trial(const TableDraft& draft, const IndexBuild& index);

/// Columns of the primary key, or nothing.
std::vector<std::string> primary_key(const Table& table);

/// The names of O are gone after contract.
bool loses_names(const Mapping& mapping);
/// The sync trigger notes when the old version writes O. Where O has a default that is another value each time, an
/// INSERT by the old version cannot be told from one that leaves O out.
bool notes_writes(const Mapping& mapping);

/// CREATE FUNCTION and CREATE TRIGGER of the sync trigger, for INSERT and for UPDATE.
struct SyncTriggerSql {
  std::vector<std::string> trigger_names;
  std::vector<std::string> create;
  std::vector<std::string> drop;
  QualifiedName last_write;  ///< see OldShape; empty where it notes no writes
};
SyncTriggerSql sync_trigger(const Draft& plan, const TableDraft& draft);

}  // namespace ecmigrate
