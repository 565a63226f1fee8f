#pragma once

#include <map>
#include <string>
#include <string_view>

#include "ecmigrate/model/catalog.hpp"

namespace ecmigrate {

using Tables = std::map<QualifiedName, Table>;

/// Facts about tables as the journal keeps them, and back. What an older program did not write has its default.
std::string tables_to_json(const Tables& tables);
Tables tables_from_json(std::string_view text);

}  // namespace ecmigrate
