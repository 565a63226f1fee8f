#include "document.hpp"

#include <fmt/format.h>

#include <sstream>

#include "builder.hpp"
#include "ecmigrate/base/utf8.hpp"

namespace ecmigrate::planfile {

namespace {

/// yaml-cpp replaces bad bytes silently, and takes some control characters for the end of the file.
void check_characters(const Source& source, Complaints& complaints) {
  int line = 1;
  int column = 1;
  for (std::size_t at = 0; at < source.text().size();) {
    const Character character = character_at(source.text(), at);
    if (character.size == 0) {
      complaints.give_up({line, column}, "this byte is not valid UTF-8", "Save the file as UTF-8.");
    }
    if (!is_printable(character.code)) {
      complaints.give_up({line, column},
                         fmt::format("control character U+{:04X}", static_cast<std::uint32_t>(character.code)),
                         "Remove it, or write it as an escape in double quotes.");
    }
    at += character.size;
    column = character.code == U'\n' ? 1 : column + 1;
    line += character.code == U'\n' ? 1 : 0;
  }
}

/// What usually is behind some of yaml-cpp's complaints.
std::string_view syntax_hint(std::string_view message) {
  if (message == "illegal map value") {
    return "Put a value in quotes if it contains \": \", and check the indentation.";
  }
  if (message == "unknown token") {
    return "Put a value in quotes if it starts with @, % or `.";
  }
  if (message.starts_with("invalid unicode")) {
    return "Write the character itself instead of two escapes.";
  }
  return {};
}

Node read_whole(const Source& source, Complaints& complaints) {
  if (source.text().size() > k_most_bytes) {
    complaints.give_up({}, "the file is larger than 4 MiB", "A plan is small; is this the right file?");
  }
  check_characters(source, complaints);
  Builder builder(source, complaints);
  try {
    std::istringstream stream(source.text());
    YAML::Parser parser(stream);
    while (parser.HandleNextDocument(builder)) {
    }
  } catch (const YAML::Exception& error) {
    const Location at = Locator(source)(error.mark);
    if (has_tab_indent(source.line(at.line))) {
      give_up_over_tab(complaints, at.line);
    }
    complaints.give_up(at, "YAML syntax error: " + error.msg, std::string(syntax_hint(error.msg)));
  }
  return builder.take();
}

}  // namespace

std::optional<Node> read_document(const Source& source, Complaints& complaints) {
  try {
    return read_whole(source, complaints);
  } catch (const GaveUp&) {
    return std::nullopt;
  }
}

}  // namespace ecmigrate::planfile
