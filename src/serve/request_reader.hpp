#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "answers.hpp"

namespace ecmigrate::serve {

/// A request that came whole and is well formed.
struct IncomingRequest {
  std::string method;
  std::string target;
  std::string version;
  HeaderList headers;
  std::string body;
  bool keep_alive = true;  ///< the client may send another one on the same connection

  [[nodiscard]] std::string_view path() const { return std::string_view(target).substr(0, target.find('?')); }
};

struct NeedsMore {};

inline constexpr std::size_t k_longest_head = std::size_t{8} * 1024;
inline constexpr std::size_t k_longest_body = std::size_t{4} * 1024;

/// Takes the next request off the front of what came on a connection. After a Refusal nothing of it can be trusted: say
/// so and close. Strict where HTTP lets servers be lenient: what has two readings has none here.
std::variant<NeedsMore, IncomingRequest, Refusal> take_request(std::string& received);

}  // namespace ecmigrate::serve
