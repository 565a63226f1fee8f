#pragma once

#include <exception>
#include <optional>
#include <string>
#include <string_view>

/// What becomes of the words on standard output.
namespace ecmigrate {

/// Standard output cannot be written; output_error() says why.
class OutputLost : public std::exception {
 public:
  [[nodiscard]] const char* what() const noexcept override { return "standard output cannot be written"; }
};

/// To be called before anything is opened. A standard file that is closed would otherwise be the next that is opened: a
/// connection to the server, into which the program's words would go.
void hold_standard_files();

/// Writes a text that is of no use, or says something else, when it is cut off. Throws OutputLost.
void print_whole(std::string_view text);

/// Why some of what was written to standard output is lost; nothing where all of it is there.
std::optional<std::string> output_error();

/// Whether whoever read standard output has gone, as `head` does.
bool reader_has_gone();
/// From now on standard output may be lost.
void do_without_output();

}  // namespace ecmigrate
