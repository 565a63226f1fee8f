#pragma once

#include <string>

#include "ecmigrate/model/field.hpp"
#include "ecmigrate/op/draft.hpp"

namespace ecmigrate {

/// The fields of a new column that several kinds share: name, type, nullable, default, comment.
std::vector<Field> new_column_fields(bool with_up);

/// The fields of `references:` and of `check:`.
std::vector<Field> reference_fields();
std::vector<Field> check_fields();

/// An expression of the plan, to be read by the server; `what` is for messages.
Expression expression_field(const Value& fields, std::string_view key, const std::string& what,
                            const std::string& target_type);

/// A new column from its fields; claims the name. Its `up` is left empty.
NewColumn new_column(Draft& draft, TableDraft& table, const Value& fields, const std::string& physical_name);

/// The column's default, read by the server on its own.
void read_default(TableDraft& table, NewColumn& column, Location at);

/// A new column that is a copy of an old one, under another name.
NewColumn copy_of(const Draft& draft, const TableDraft& table, const Column& old, const std::string& physical_name);

/// Adds `check:`, `references:` and `unique:` of a column. `renamed` as in Expression; `physical` is the column they
/// end up on. Indexes on columns that the plan fills are built after the backfill.
void add_column_constraints(Draft& draft, TableDraft& table, const Value& fields, const std::string& visible,
                            const std::string& physical,
                            const std::vector<std::pair<std::string, std::string>>& renamed, bool filled_by_plan);

/// A unique constraint that comes from an index built beside the traffic.
void add_unique(Draft& draft, TableDraft& table, const std::string& constraint, const std::string& column,
                bool after_fill);

/// Columns and everything on them that `contract` drops: the statement, the record for its look at dependents, and
/// the locks that dropping a foreign key takes on the other table.
void drop_at_contract(TableDraft& table, const Column& column, std::vector<std::string> replaced = {});

/// A statement that gives a column what another one has of privileges at that moment: some may have been granted since
/// expand.
std::string carry_privileges(const TableDraft& table, const std::string& from, const std::string& to);

/// "full_name → first_name, last_name".
std::string mapping_label(const std::vector<std::string>& olds, const std::vector<std::string>& news);

std::string alter_table(const TableDraft& table, const std::string& action);

}  // namespace ecmigrate
