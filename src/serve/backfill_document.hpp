#pragma once

#include "document.hpp"
#include "picture.hpp"

/// The parts of a state document that are about the backfill, and its series.
namespace ecmigrate::serve {

/// Null before it has begun.
Document backfill_document(const MigrationView& view);
Document pauses_document(const MigrationView& view);
/// At most about so many points, and a gap where nobody was at work.
Document series_document(const MigrationPicture& migration, int points);
Document series_point(const ProgressView& point);

}  // namespace ecmigrate::serve
