#pragma once

#include <httplib.h>

#include <string>
#include <vector>

namespace ecmigrate::serve {

/// Who may ask. Without a token: everybody who gets here under a name that is ours, which keeps out the pages of other
/// sites whose name was made to lead to this machine.
class Access {
 public:
  /// `token` empty: none is needed.
  Access(std::vector<std::string> hosts, std::string token);

  [[nodiscard]] bool knows_host(const httplib::Request& request) const;
  [[nodiscard]] bool may_read(const httplib::Request& request) const;

  [[nodiscard]] bool needs_token() const { return !m_token.empty(); }
  /// The request brings the token itself.
  [[nodiscard]] bool brings_token(const httplib::Request& request) const;
  /// What a browser gets for the token, as its pages cannot set headers on every request.
  [[nodiscard]] std::string session_cookie() const;

 private:
  std::vector<std::string> m_hosts;
  std::string m_token;
  std::string m_session;  ///< of this process: a cookie of an earlier one is worth nothing
};

/// A page of another site is behind the request, as far as the browser says.
bool comes_from_elsewhere(const httplib::Request& request);

}  // namespace ecmigrate::serve
