#include "answers.hpp"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

namespace ecmigrate::serve {

const HeaderList& security_headers() {
  static const HeaderList headers{
      {"Content-Security-Policy",
       "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; "
       "form-action 'none'; "
       "frame-ancestors 'none'; require-trusted-types-for 'script'"},
      {"X-Content-Type-Options", "nosniff"},
      {"Referrer-Policy", "no-referrer"},
      {"Cross-Origin-Resource-Policy", "same-origin"},
      {"Cross-Origin-Opener-Policy", "same-origin"},
  };
  return headers;
}

std::string error_document(const Refusal& refusal) {
  const nlohmann::ordered_json document{
      {"error", {{"code", refusal.code}, {"message", refusal.message}, {"hint", refusal.hint}}}};
  return document.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

std::string refusal_answer(const Refusal& refusal) {
  const std::string body = error_document(refusal);
  std::string answer = fmt::format("HTTP/1.1 {} {}\r\n", refusal.status, refusal.code);
  for (const auto& [name, value] : security_headers()) {
    answer += fmt::format("{}: {}\r\n", name, value);
  }
  if (refusal.status == 503) {
    answer += fmt::format("Retry-After: {}\r\n", k_retry_after_seconds);
  }
  answer += "Cache-Control: no-store\r\nContent-Type: application/json\r\nConnection: close\r\n";
  return answer + fmt::format("Content-Length: {}\r\n\r\n{}", body.size(), body);
}

}  // namespace ecmigrate::serve
