#pragma once

#include <string>
#include <string_view>

#include "ecmigrate/model/catalog.hpp"

namespace ecmigrate {

/// What can be told from the text of a trigger's function. It is reading, not proof: dynamic SQL and functions that are
/// called in turn stay unseen.

/// `new.column`, by name or among the trigger's arguments; in a language other than PL/pgSQL the bare name.
bool reads_new_column(const Trigger& trigger, std::string_view column);

/// Hands the whole new row to a function or a cast: to_jsonb(new), row(new.*), new::text.
bool hands_on_new_row(const Trigger& trigger);

enum class CopiesRows {
  no,
  perhaps,  ///< in dynamic SQL, or in a subquery
  yes,      ///< insert into … select old.*, values (new.*): with one more column in the row the statement fails
};
CopiesRows copies_rows(const Trigger& trigger);

/// A statement over the table takes `*` of it: select *, returning *, t.*.
bool takes_whole_rows(std::string_view source, std::string_view table);

}  // namespace ecmigrate
