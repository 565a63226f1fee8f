#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace ecmigrate {

/// The lines of a text, each indented by four columns, with a caret in a line of its own under one character, which
/// counts from 0; of a long line and of many lines only what stands around it. No caret, and the last lines, where the
/// text has no such character.
std::string with_caret(std::string_view text, std::size_t character);

}  // namespace ecmigrate
