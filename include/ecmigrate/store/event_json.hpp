#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "ecmigrate/model/event.hpp"

namespace ecmigrate {

/// An event as a JSON object on one line: what `--json` prints and what the journal keeps. Times in milliseconds as
/// numbers. Members may be added, none goes or changes its meaning while "v" is 1.
std::string event_to_json(const Event& event);

/// The same behind the members of `head`, a JSON object.
std::string event_object(std::string_view head, const Event& event);

/// The event of a record, also of one that an older program wrote: what it lacks is as in an empty event. Nothing for a
/// kind that the journal does not keep, or a text that is no such object.
std::optional<Event> event_from_json(std::string_view text);

}  // namespace ecmigrate
