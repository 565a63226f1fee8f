#include "fields.hpp"

#include <algorithm>
#include <vector>

#include "ecmigrate/model/pace_limits.hpp"

namespace ecmigrate::planfile {

namespace {

std::vector<Field> pace_fields() {
  std::vector<Field> fields;
  for (const PaceLimitName& limit : k_pace_limits) {
    fields.push_back({.name = limit.name, .type = limit.type, .doc = limit.doc});
  }
  return fields;
}

}  // namespace

std::span<const Field> plan_fields() {
  static const std::vector<Field> fields{
      {.name = "name",
       .type = FieldType::text,
       .doc = "The migration's name, up to 100 bytes; without it, the file's name without folder and extension."},
      {.name = "description", .type = FieldType::text, .doc = "What the migration is for, for people."},
      {.name = "schema",
       .type = FieldType::text,
       .doc = "The schema of the tables that are named without one; public by default."},
      {.name = "version_schema",
       .type = FieldType::text,
       .doc = "Accepted so that files written for pgroll work; without effect."},
      {.name = "deterministic",
       .type = FieldType::boolean,
       .doc = "False when up or down give another result each time; verify then only looks for rows not yet filled. "
              "True by default."},
      {.name = k_operations,
       .type = FieldType::object_list,
       .required = true,
       .doc = "What to change, in this order. Each item has one key, the kind of operation."},
      {.name = "backfill",
       .type = FieldType::object,
       .doc = "How existing rows are filled; flags of the command win.",
       .fields = pace_fields()},
  };
  return fields;
}

const Field* find_field(std::span<const Field> fields, std::string_view name) {
  const auto at = std::ranges::find(fields, name, &Field::name);
  return at == fields.end() ? nullptr : &*at;
}

bool takes_scalar_items(std::span<const Field> fields) {
  return !fields.empty() && std::ranges::none_of(fields.subspan(1), &Field::required);
}

}  // namespace ecmigrate::planfile
