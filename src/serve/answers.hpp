#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace ecmigrate::serve {

using HeaderList = std::vector<std::pair<std::string, std::string>>;

/// On every answer: what a browser may do with it.
const HeaderList& security_headers();

/// A request that is not served.
struct Refusal {
  int status = 0;
  std::string code;
  std::string message;
  std::string hint;
};

/// `{"error":{"code":…,"message":…,"hint":…}}`
std::string error_document(const Refusal& refusal);

/// A whole answer, for a request that does not get as far as the routes; the connection is closed after it.
std::string refusal_answer(const Refusal& refusal);

/// What is said while there is no room; with Retry-After.
inline constexpr std::string_view k_retry_after_seconds = "2";

}  // namespace ecmigrate::serve
