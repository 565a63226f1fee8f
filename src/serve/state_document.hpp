#pragma once

#include <map>
#include <nlohmann/json.hpp>
#include <string>

#include "picture.hpp"

namespace ecmigrate::serve {

using Document = nlohmann::ordered_json;

/// The sessions of others that wait for one of ecmigrate's.
WaitingNow waiting_for_us(const Waiting& waiting);

/// The document of /api/state for one migration; empty name: there is none. docs/page.md says what its members are.
Document state_document(const Picture& picture, const std::string& migration, const JournalContentOptions& options, const DemoPart* demo);
Document series_document(const MigrationPicture& migration, int points);
/// One point of the series.
Document series_point(const ProgressView& point);
Document event_document(const EventView& event);
Document events_document(const MigrationPicture& migration, std::int64_t before, int limit);
Document locks_document(const MigrationPicture& migration);

}  // namespace ecmigrate::serve
