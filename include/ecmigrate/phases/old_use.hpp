#pragma once

#include <chrono>
#include <string>
#include <utility>
#include <vector>

#include "ecmigrate/model/event.hpp"
#include "ecmigrate/model/recipe.hpp"
#include "ecmigrate/pg/connection.hpp"

namespace ecmigrate {

/// A look at the use of old columns, and how long ago it was.
using OldUseLook = std::pair<std::chrono::milliseconds, event::OldUse>;

/// Who uses the columns that go at contract: when they were last written, as the sync trigger notes it, the
/// applications that were seen to write so, of the sessions that are there, and the statements that name them, by
/// pg_stat_statements where it is installed. `looks`: earlier ones, the newest first; the calls since expand are told
/// by the oldest. Changes nothing, and gives what can be known with the role's rights.
std::vector<event::OldUse> find_old_use(pg::Connection& connection, const std::vector<OldShape>& shapes,
                                        const std::vector<OldUseLook>& looks);

/// The sync trigger notes with the rights of whoever writes the table: gives everybody the rights that this takes, and
/// where they were missing, or the note says what cannot be (anybody may set it), notes that there may have been writes
/// until now. `name`: of the migration. Throws Error{refused} where this role may not.
void let_writers_note(pg::Connection& connection, const std::string& name, const std::vector<OldShape>& shapes);

/// Whether a sequence of these, in which the trigger notes, is not there.
bool notes_are_missing(pg::Connection& connection, const std::vector<OldShape>& shapes);

/// What speaks against it that the old columns were out of use for so long, a line each. `looks` as above, without
/// those of `uses`. For 0: nothing.
std::vector<std::string> uses_within(std::chrono::milliseconds time, const std::vector<event::OldUse>& uses,
                                     const std::vector<OldUseLook>& looks);

}  // namespace ecmigrate
