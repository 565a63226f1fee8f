#pragma once

#include <array>
#include <span>
#include <string>
#include <string_view>
#include <vector>

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

/// What a complaint about a plan file is about.
enum class PlanRule { file, yaml, fields, operations, name };

struct PlanRuleRow {
  PlanRule rule;
  std::string_view id;       ///< stable, for programs
  std::string_view meaning;  ///< what the rule wants
};

inline constexpr std::array<PlanRuleRow, 5> k_plan_rules{{
    {PlanRule::file, "file", "A plan file can be read."},
    {PlanRule::yaml, "yaml", "A plan is one document of YAML, each of its keys once."},
    {PlanRule::fields, "fields", "A plan has the keys that plans have, with values of their types."},
    {PlanRule::operations, "operations", "The operations of a plan can be done together, in its order."},
    {PlanRule::name, "name", "Each plan is a migration with a name of its own."},
}};

/// The row of `k_plan_rules` for a rule.
constexpr const PlanRuleRow& plan_rule_row(PlanRule rule) {
  return k_plan_rules[static_cast<std::size_t>(rule)];
}

struct PlanComplaint {
  PlanRule rule = PlanRule::yaml;
  Location at;  ///< columns count characters; without a line it is about the whole file
  std::string message;
  std::string hint;
  std::string excerpt;  ///< the line with its number and a caret under the column, or empty
};

/// What can be said of a plan file without a server.
struct PlanCheck {
  std::string file;       ///< as it was given
  std::string migration;  ///< its name, as far as that could be read
  std::vector<PlanComplaint> complaints;
};

/// Checks plan files as far as that goes without a server: each by itself, as read_plan does, and whether its
/// operations contradict each other; and all together, whether two have one migration's name. A file that is given
/// twice is checked once. Of each file at most 50 complaints are listed, and a last one says how many more there are.
std::vector<PlanCheck> check_plans(std::span<const std::string> files, const std::string& schema = {});

/// The complaint as parse_plan words it.
std::string complaint_text(const std::string& file, const PlanComplaint& complaint);

/// A JSON Schema (draft-07) of plan files, made from the same tables as the reader. Ends in a newline.
std::string plan_json_schema();

/// The text of a starter plan for `ecmigrate new`.
std::string starter_plan(std::string_view name);

}  // namespace ecmigrate
