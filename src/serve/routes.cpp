#include "routes.hpp"

#include <fmt/format.h>

#include <cstdint>

namespace ecmigrate::serve {

void answer_json(httplib::Response& response, int status, const std::string& document) {
  response.status = status;
  response.set_header("Cache-Control", "no-store");
  response.set_content(document, "application/json");
}

void refuse(httplib::Response& response, const Refusal& refusal) {
  if (refusal.status == 503) {
    response.set_header("Retry-After", std::string(k_retry_after_seconds));
  }
  answer_json(response, refusal.status, error_document(refusal));
}

std::string etag_of(std::string_view bytes) {
  std::uint64_t hash = 0xcbf29ce484222325;  // FNV-1a
  for (const char byte : bytes) {
    hash = (hash ^ static_cast<unsigned char>(byte)) * 0x100000001b3;
  }
  return fmt::format("\"{:016x}\"", hash);
}

bool client_has(const httplib::Request& request, const std::string& etag) {
  const std::string theirs = request.get_header_value("If-None-Match");
  return theirs == "*" || theirs.find(etag) != std::string::npos;  // a list, of which any may be weak
}

}  // namespace ecmigrate::serve
