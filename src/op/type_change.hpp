#pragma once

#include "ecmigrate/op/draft.hpp"

namespace ecmigrate {

/// Whether the server changes the type without reading or rewriting a row (catalogue only, safety of the change
/// measured on PostgreSQL 15): the same type, varchar(n) to a longer one or to text, text to varchar, numeric(p, s) to
/// more digits before the point. A check constraint on the column would be proved again under the lock, so then no; nor
/// where a trial has shown that an index would be rebuilt.
bool keeps_stored_values(const Table& table, const Column& column, const TypeFacts& type);

/// A copy of the new type beside the old column, kept in step; at contract it takes the old one's name (or the plan's
/// `name`), indexes, constraints, default, privileges and comment.
void change_type_through_copy(const Value& fields, const TypeFacts& type, Draft& draft, TableDraft& table,
                              const Column& column);

}  // namespace ecmigrate
