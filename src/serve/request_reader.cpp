#include "request_reader.hpp"

#include <strings.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>

namespace ecmigrate::serve {

namespace {

constexpr std::string_view k_end_of_head = "\r\n\r\n";

bool is_token_character(char c) {
  constexpr std::string_view k_signs = "!#$%&'*+-.^_`|~";
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
         k_signs.find(c) != std::string_view::npos;
}

bool is_token(std::string_view text) {
  return !text.empty() && std::ranges::all_of(text, is_token_character);
}

bool is_named(const std::string& name, const char* other) {
  return ::strcasecmp(name.c_str(), other) == 0;
}

Refusal malformed(std::string message) {
  return {400, "bad_request", std::move(message), ""};
}

std::optional<Refusal> read_request_line(std::string_view line, IncomingRequest& request) {
  const std::size_t first = line.find(' ');
  const std::size_t second = first == std::string_view::npos ? first : line.find(' ', first + 1);
  if (second == std::string_view::npos) {
    return malformed("the first line is not of the form METHOD TARGET HTTP/1.1");
  }
  request.method = line.substr(0, first);
  request.target = line.substr(first + 1, second - first - 1);
  request.version = line.substr(second + 1);
  if (!is_token(request.method) || !request.target.starts_with('/') ||
      !std::ranges::all_of(request.target, [](char c) { return c > ' ' && c < '\x7f'; })) {
    return malformed("the first line is not of the form METHOD /path HTTP/1.1");
  }
  if (request.version != "HTTP/1.1" && request.version != "HTTP/1.0") {
    const bool other = request.version.size() == 8 && request.version.starts_with("HTTP/");
    return other ? Refusal{505, "version_not_supported", "only HTTP/1.0 and HTTP/1.1 are spoken here", ""}
                 : malformed("the first line does not end in HTTP/1.1");
  }
  constexpr std::array<std::string_view, 9> k_methods{"GET",     "HEAD",    "POST",  "PUT",  "DELETE",
                                                      "CONNECT", "OPTIONS", "TRACE", "PATCH"};
  if (std::ranges::find(k_methods, request.method) == k_methods.end()) {
    return Refusal{501, "method_not_known", "there is no such method", ""};
  }
  return std::nullopt;
}

std::optional<Refusal> read_header(std::string_view line, IncomingRequest& request) {
  const std::size_t colon = line.find(':');
  if (colon == std::string_view::npos || !is_token(line.substr(0, colon))) {
    return malformed("a header is not of the form Name: value");
  }
  std::string_view value = line.substr(colon + 1);
  const std::size_t begin = value.find_first_not_of(" \t");
  value = begin == std::string_view::npos ? std::string_view()
                                          : value.substr(begin, value.find_last_not_of(" \t") - begin + 1);
  if (!std::ranges::all_of(value, [](unsigned char c) { return c >= ' ' && c != 0x7f; })) {
    return malformed("a header's value has control characters");
  }
  request.headers.emplace_back(line.substr(0, colon), value);
  return std::nullopt;
}

/// What concerns the connection: how long the body is, and whether another request may follow.
std::optional<Refusal> read_framing(IncomingRequest& request, std::size_t& length) {
  int lengths = 0;
  int hosts = 0;
  request.keep_alive = request.version == "HTTP/1.1";
  for (const auto& [name, value] : request.headers) {
    if (is_named(name, "Content-Length")) {
      const auto read = std::from_chars(value.data(), value.data() + value.size(), length);
      if (++lengths > 1 || value.empty() || (read.ec == std::errc() && read.ptr != value.data() + value.size()) ||
          read.ec == std::errc::invalid_argument) {
        return malformed("Content-Length is not one number");
      }
      if (read.ec != std::errc() || length > k_longest_body) {
        return Refusal{413, "too_large", "the body is larger than any that is taken here", ""};
      }
    } else if (is_named(name, "Transfer-Encoding")) {
      return Refusal{411, "length_required", "a body has to come with its Content-Length", ""};
    } else if (is_named(name, "Expect")) {
      return Refusal{417, "expectation_failed", "send the body at once", ""};
    } else if (is_named(name, "Host")) {
      ++hosts;
    } else if (is_named(name, "Connection")) {
      request.keep_alive = is_named(value, "keep-alive") || (request.keep_alive && !is_named(value, "close"));
    }
  }
  if (hosts > 1 || (hosts == 0 && request.version == "HTTP/1.1")) {
    return malformed("a request has exactly one Host");
  }
  return std::nullopt;
}

std::optional<Refusal> read_head(std::string_view head, IncomingRequest& request, std::size_t& length) {
  for (bool first = true; !head.empty(); first = false) {
    const std::size_t end = head.find("\r\n");
    const std::string_view line = head.substr(0, end);
    head.remove_prefix(end + 2);
    if (auto refusal = first ? read_request_line(line, request) : read_header(line, request)) {
      return refusal;
    }
  }
  return read_framing(request, length);
}

}  // namespace

std::variant<NeedsMore, IncomingRequest, Refusal> take_request(std::string& received) {
  // Some clients end a request with an empty line too many.
  while (received.starts_with("\r\n")) {
    received.erase(0, 2);
  }
  if (!received.empty() && !is_token_character(received.front()) && received != "\r") {
    return malformed("this is not HTTP; there is no HTTPS here");
  }
  const std::size_t end = received.find(k_end_of_head);
  if (end == std::string::npos ? received.size() > k_longest_head : end + k_end_of_head.size() > k_longest_head) {
    return Refusal{431, "headers_too_large", "the request's line and headers are longer than 8 KB", ""};
  }
  if (end == std::string::npos) {
    return NeedsMore{};
  }
  IncomingRequest request;
  std::size_t length = 0;
  if (auto refusal = read_head(std::string_view(received).substr(0, end + 2), request, length)) {
    return *refusal;
  }
  const std::size_t body = end + k_end_of_head.size();
  if (received.size() < body + length) {
    return NeedsMore{};
  }
  request.body = received.substr(body, length);
  received.erase(0, body + length);
  return request;
}

}  // namespace ecmigrate::serve
