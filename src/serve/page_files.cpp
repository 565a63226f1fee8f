#include <zlib.h>

#include <memory>
#include <stdexcept>

#include "api.hpp"
#include "ecmigrate/base/text.hpp"
#include "embedded.hpp"

namespace ecmigrate::serve {

namespace {

/// A file of the page in both forms: as nearly every client takes it, and as it is.
struct PageFile {
  std::string content_type;
  std::string gzip;
  std::string plain;
  std::string etag;
};

std::string decompress(const EmbeddedFile& file) {
  constexpr int k_gzip_window = 15 + 16;
  std::string text(file.size, '\0');
  z_stream inflating{};
  if (inflateInit2(&inflating, k_gzip_window) != Z_OK) {
    throw std::runtime_error("zlib does not start");
  }
  inflating.next_in = const_cast<Bytef*>(file.gzip.data());
  inflating.avail_in = static_cast<uInt>(file.gzip.size());
  inflating.next_out = reinterpret_cast<Bytef*>(text.data());
  inflating.avail_out = static_cast<uInt>(text.size());
  const int status = inflate(&inflating, Z_FINISH);
  inflateEnd(&inflating);
  if (status != Z_STREAM_END) {
    throw std::runtime_error("a file of the page is damaged");
  }
  return text;
}

bool takes_gzip(const httplib::Request& request) {
  const std::string codings = request.get_header_value(k_accept_encoding);
  for (std::size_t at = 0; at < codings.size();) {
    const std::size_t end = std::min(codings.find(',', at), codings.size());
    const std::string coding = trim(std::string_view(codings).substr(at, end - at));
    if (coding.starts_with("gzip")) {
      return !coding.ends_with("q=0");
    }
    at = end + 1;
  }
  return false;
}

void answer_file(const PageFile& file, const httplib::Request& request, httplib::Response& response) {
  // Asked for again each time, and sent when it is another: the names are the same in every version.
  response.set_header("Cache-Control", "no-cache");
  response.set_header("Vary", "Accept-Encoding");
  response.set_header("ETag", "W/" + file.etag);
  if (client_has(request, file.etag)) {
    response.status = 304;
    return;
  }
  response.status = 200;
  const bool gzip = takes_gzip(request);
  if (gzip) {
    response.set_header("Content-Encoding", "gzip");
  }
  response.set_content(gzip ? file.gzip : file.plain, file.content_type);
}

}  // namespace

void add_page(Routes& routes) {
  for (const EmbeddedFile& embedded : embedded_files()) {
    const std::string gzip(embedded.gzip.begin(), embedded.gzip.end());
    const auto file = std::make_shared<const PageFile>(
        PageFile{std::string(embedded.content_type), gzip, decompress(embedded), etag_of(gzip)});
    const Handler get = [file](const httplib::Request& request, httplib::Response& response) {
      answer_file(*file, request, response);
    };
    const Route route{
        .get = get, .post = {}, .open = true};  // the page shows nothing by itself, and asks for the token
    routes[std::string(embedded.path)] = route;
    if (embedded.path == "/index.html") {
      routes["/"] = route;
    }
  }
}

}  // namespace ecmigrate::serve
