#pragma once

#include <cstddef>
#include <span>
#include <string_view>

namespace ecmigrate::serve {

/// A file of the page, put into the program by the build (src/serve/embed/).
struct EmbeddedFile {
  std::string_view path;  ///< as in a request: "/index.html"
  std::string_view content_type;
  std::span<const unsigned char> gzip;
  std::size_t size;  ///< of the file itself
};

std::span<const EmbeddedFile> embedded_files();

}  // namespace ecmigrate::serve
