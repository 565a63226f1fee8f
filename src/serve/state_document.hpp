#pragma once

#include <string>

#include "document.hpp"
#include "picture.hpp"

namespace ecmigrate::serve {

/// The sessions of others that wait for one of ecmigrate's.
WaitingNow waiting_for_us(const Waiting& waiting);

/// The document of /api/state for one migration; empty name: there is none. docs/page.md says what its members are.
Document state_document(const Picture& picture, const std::string& migration, const JournalContentOptions& options,
                        const DemoPart* demo);
/// Without rows and query texts where the options hide them.
Document event_document(const EventView& event, const JournalContentOptions& options);
Document events_document(const MigrationPicture& migration, std::int64_t before, int limit,
                         const JournalContentOptions& options);
Document locks_document(const MigrationPicture& migration);

}  // namespace ecmigrate::serve
