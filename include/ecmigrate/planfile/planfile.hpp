#pragma once

#include <string>
#include <string_view>

#include "ecmigrate/model/plan.hpp"

namespace ecmigrate {

/// Reads and checks a plan file; needs no database. Throws Error{plan_invalid} whose message lists every complaint of
/// the file, each as
///
///     plans/x.yaml:14:7: unknown key "colum" in split_column
///        14 |       colum: full_name
///           |       ^
///     hint: did you mean "column"?
///
/// and Error{usage} when the file cannot be read. `schema`, where not empty, stands for the plan's own; it is part of
/// what the plan says, so the same file for another schema is another plan.
Plan read_plan(const std::string& path, const std::string& schema = {});

/// The same for text that is already here; `file` is the name used in complaints and, without its folder and
/// extension, the migration's name where the plan gives none.
Plan parse_plan(std::string_view text, const std::string& file, const std::string& schema = {});

/// A JSON Schema (draft-07) of plan files, made from the same tables as the reader. Ends in a newline.
std::string plan_json_schema();

/// The text of a starter plan for `ecmigrate new`.
std::string starter_plan(std::string_view name);

}  // namespace ecmigrate
