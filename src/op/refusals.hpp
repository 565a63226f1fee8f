#pragma once

#include "ecmigrate/op/draft.hpp"

namespace ecmigrate {

/// What the catalog alone says against a plan, or to it: complaints where something would fail or get stuck later, and
/// warnings about what of the application would be silenced or misled. Asked when every operation has had its say.
void look_around(Draft& draft, const TableDraft& table);

}  // namespace ecmigrate
