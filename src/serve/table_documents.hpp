#pragma once

#include "document.hpp"
#include "picture.hpp"

/// The parts of a state document that are about the migration's tables.
namespace ecmigrate::serve {

Document columns_document(const MigrationPicture& picture);
Document triggers_document(const MigrationPicture& picture);
/// Null where nothing is sampled.
Document sample_document(const MigrationPicture& picture, const JournalContentOptions& options);

}  // namespace ecmigrate::serve
