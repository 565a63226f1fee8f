#pragma once

#include <span>
#include <string_view>

#include "ecmigrate/model/field.hpp"

namespace ecmigrate::planfile {

/// The keys at the top of a plan. The items of `operations` are not in the table: each is a map with one key, the
/// name of an operation kind.
std::span<const Field> plan_fields();

inline constexpr std::string_view k_operations = "operations";
inline constexpr std::string_view k_default_schema = "public";

/// The field of that name, or nullptr.
const Field* find_field(std::span<const Field> fields, std::string_view name);

/// Whether an item of an object_list with these fields may be written as a scalar: no other field is required.
bool takes_scalar_items(std::span<const Field> fields);

}  // namespace ecmigrate::planfile
