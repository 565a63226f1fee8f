#pragma once

#include <httplib.h>

#include <functional>
#include <map>
#include <string>

#include "answers.hpp"

namespace ecmigrate::serve {

using Handler = std::function<void(const httplib::Request&, httplib::Response&)>;

/// The client's Accept-Encoding, under a name that the library does not know: it would compress what is compressed
/// already.
inline constexpr const char* k_accept_encoding = "Accept-Encoding-Of-Client";

/// What is served at one path.
struct Route {
  Handler get;  ///< GET and HEAD
  Handler post;
  bool open = false;  ///< without the token too
};

/// By path, as it stands in the request; one that ends in '/' (but for "/" itself) serves whatever follows it.
using Routes = std::map<std::string, Route>;

/// Gives a JSON answer; nothing of the API is to be kept anywhere.
void answer_json(httplib::Response& response, int status, const std::string& document);
void refuse(httplib::Response& response, const Refusal& refusal);

/// "fnv" of the bytes, quoted, as an ETag.
std::string etag_of(std::string_view bytes);
/// The client has it already.
bool client_has(const httplib::Request& request, const std::string& etag);

}  // namespace ecmigrate::serve
