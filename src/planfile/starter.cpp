#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "ecmigrate/planfile/planfile.hpp"

namespace ecmigrate {

namespace {

/// {} is the name.
constexpr std::string_view k_starter = R"yaml(# yaml-language-server: $schema=ecmigrate.schema.json
# Editors complete and check this file against that schema: ecmigrate schema > ecmigrate.schema.json
#
# Try the plan with `ecmigrate plan FILE`, which changes nothing.
name: {}
description: first and last name instead of one string

# Where tables live that are named without a schema.
schema: public

# What to change, in this order. This one is an example: put your own here.
operations:
  - split_column:
      table: users
      column: full_name
      # The new columns. `up` computes each one from the old row.
      into:
        - name: first_name
          type: text
          nullable: false
          up: "split_part(full_name, ' ', 1)"
        - name: last_name
          type: text
          nullable: false
          up: "substr(full_name, length(split_part(full_name, ' ', 1)) + 2)"
      # `down` computes the old column from the new ones, so that the old version of the application keeps working.
      down: "concat_ws(' ', first_name, nullif(last_name, ''))"

# How existing rows are filled; flags of the command win.
backfill:
  target_batch: 50ms
)yaml";

/// In quotes, unless YAML surely reads the name as it stands.
std::string yaml_text(std::string_view name) {
  const bool is_plain = !name.empty() && name.front() >= 'a' && name.front() <= 'z' && name != "null" &&
                        name.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789_-") == std::string_view::npos;
  return is_plain ? std::string(name) : nlohmann::json(name).dump();
}

}  // namespace

std::string starter_plan(std::string_view name) {
  return fmt::format(k_starter, yaml_text(name));
}

}  // namespace ecmigrate
