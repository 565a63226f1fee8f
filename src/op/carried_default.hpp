#pragma once

#include <optional>
#include <string>

#include "ecmigrate/op/draft.hpp"

namespace ecmigrate {

/// What `up` of a new column makes of the old columns' defaults (null where one has none), as the expression of a
/// DEFAULT; nothing where a DEFAULT cannot say it: `up` reads other columns or has a subquery, or would ask a default
/// that differs each time more than once.
std::optional<std::string> up_of_defaults(const Mapping& mapping, const NewColumn& column);

/// Decides every interim default of a table's new columns (NewColumn::interim_default), and the final ones that come
/// from an old column's default through `up`. Complains where the plan has to give the default itself.
void carry_defaults(Draft& draft, TableDraft& table);

}  // namespace ecmigrate
