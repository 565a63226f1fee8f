#include "access.hpp"

#include <fmt/format.h>
#include <strings.h>

#include <algorithm>

#include "ecmigrate/base/text.hpp"
#include "secrets.hpp"

namespace ecmigrate::serve {

namespace {

constexpr std::string_view k_cookie = "ecmigrate_session=";

/// The name in a Host header: without its port.
std::string name_of(const std::string& host) {
  const std::size_t end = host.starts_with('[') ? host.find(']') : host.find(':');
  return end == std::string::npos ? host : host.substr(0, host[end] == ']' ? end + 1 : end);
}

std::string cookie_of(const httplib::Request& request) {
  const std::string cookies = request.get_header_value("Cookie");
  for (std::size_t at = 0; at < cookies.size();) {
    const std::size_t end = std::min(cookies.find(';', at), cookies.size());
    const std::string cookie = trim(std::string_view(cookies).substr(at, end - at));
    if (cookie.starts_with(k_cookie)) {
      return cookie.substr(k_cookie.size());
    }
    at = end + 1;
  }
  return {};
}

}  // namespace

Access::Access(std::vector<std::string> hosts, std::string token)
    : m_hosts(std::move(hosts)), m_token(std::move(token)), m_session(random_hex(24)) {
  m_hosts.insert(m_hosts.end(), {"localhost", "127.0.0.1", "[::1]"});
}

bool Access::knows_host(const httplib::Request& request) const {
  const std::string name = name_of(request.get_header_value("Host"));
  return std::ranges::any_of(m_hosts,
                             [&](const std::string& host) { return ::strcasecmp(host.c_str(), name.c_str()) == 0; });
}

bool Access::brings_token(const httplib::Request& request) const {
  constexpr std::string_view k_bearer = "Bearer ";
  const std::string header = request.get_header_value("Authorization");
  return header.starts_with(k_bearer) && is_secret(std::string_view(header).substr(k_bearer.size()), m_token);
}

bool Access::may_read(const httplib::Request& request) const {
  return !needs_token() || brings_token(request) || is_secret(cookie_of(request), m_session);
}

std::string Access::session_cookie() const {
  return fmt::format("{}{}; Path=/; HttpOnly; SameSite=Strict", k_cookie, m_session);
}

bool comes_from_elsewhere(const httplib::Request& request) {
  const std::string site = request.get_header_value("Sec-Fetch-Site");
  const std::string origin = request.get_header_value("Origin");
  // A proxy in front may speak HTTPS where we do not.
  const std::string host = request.get_header_value("Host");
  return (!site.empty() && site != "same-origin" && site != "none") ||
         (!origin.empty() && origin != "http://" + host && origin != "https://" + host);
}

}  // namespace ecmigrate::serve
