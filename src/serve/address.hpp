#pragma once

#include <string>
#include <utility>

namespace ecmigrate::serve {

/// An open socket, closed at the end.
class Socket {
 public:
  Socket() = default;
  explicit Socket(int number) : m_number(number) {}
  Socket(Socket&& other) noexcept : m_number(std::exchange(other.m_number, -1)) {}
  Socket& operator=(Socket&& other) noexcept {
    std::swap(m_number, other.m_number);
    return *this;
  }
  ~Socket();

  [[nodiscard]] int number() const { return m_number; }

 private:
  int m_number = -1;
};

/// "127.0.0.1:3000", "localhost:3000", "[::1]:3000" taken apart; the host without its brackets.
struct Address {
  std::string host;
  std::string port;

  bool operator==(const Address&) const = default;
};

/// Throws Error{usage} for what is not of that form. `flag` is named in the message.
Address parse_address(const std::string& flag, const std::string& text);

/// Every address that the host's name stands for is this machine's own. Throws Error{usage} for a name that is none.
bool is_loopback(const Address& address);

/// Throws Error{failed} for one that is taken, or not this machine's. `flag` is what the hint says to change.
Socket listen_on(const std::string& flag, const Address& address);

/// "http://127.0.0.1:3000", with the port that it has.
std::string url_of(const Address& address, const Socket& listening);

/// The host as it stands in a URL or a Host header: an IPv6 address in brackets.
std::string host_in_url(const std::string& host);

}  // namespace ecmigrate::serve
