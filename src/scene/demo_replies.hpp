#pragma once

#include <string>

#include "ecmigrate/serve/content.hpp"
#include "ecmigrate/store/read_model.hpp"

namespace ecmigrate::scene {

/// What who presses is told.
serve::Controls::Answer done(int status, const std::string& text);
serve::Controls::Answer refused(int status, const std::string& code, const std::string& message,
                                const std::string& hint);
/// 409: something else is at work since then.
serve::Controls::Answer busy_with(const std::string& what, Instant since);

}  // namespace ecmigrate::scene
