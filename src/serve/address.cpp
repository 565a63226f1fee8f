#include "address.hpp"

#include <fmt/format.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstdint>
#include <cstring>
#include <memory>

#include "ecmigrate/base/error.hpp"

namespace ecmigrate::serve {

namespace {

using Found = std::unique_ptr<addrinfo, void (*)(addrinfo*)>;

Found resolve(const Address& address) {
  addrinfo wanted{};
  wanted.ai_socktype = SOCK_STREAM;
  wanted.ai_flags = AI_PASSIVE | AI_NUMERICSERV;
  addrinfo* found = nullptr;
  if (const int status = ::getaddrinfo(address.host.c_str(), address.port.c_str(), &wanted, &found); status != 0) {
    throw Error(Outcome::usage,
                fmt::format("cannot listen on {}: {}", host_in_url(address.host), ::gai_strerror(status)),
                "Give an address of this machine, for example 127.0.0.1:3000.");
  }
  return {found, ::freeaddrinfo};
}

bool is_loopback(const sockaddr* address) {
  if (address->sa_family == AF_INET) {
    sockaddr_in four{};
    std::memcpy(&four, address, sizeof four);
    return ntohl(four.sin_addr.s_addr) >> 24U == IN_LOOPBACKNET;
  }
  sockaddr_in6 six{};
  std::memcpy(&six, address, sizeof six);
  return IN6_IS_ADDR_LOOPBACK(&six.sin6_addr);
}

/// An open socket on it, or errno.
Socket try_to_listen(const addrinfo& address) {
  Socket socket(::socket(address.ai_family, address.ai_socktype | SOCK_NONBLOCK | SOCK_CLOEXEC, address.ai_protocol));
  const int on = 1;
  // So that a restart need not wait for the last connections of the run before; two servers at once it does not allow.
  ::setsockopt(socket.number(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (address.ai_family == AF_INET6) {
    ::setsockopt(socket.number(), IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
  }
  if (::bind(socket.number(), address.ai_addr, address.ai_addrlen) != 0 || ::listen(socket.number(), SOMAXCONN) != 0) {
    return Socket();
  }
  return socket;
}

}  // namespace

Socket::~Socket() {
  if (m_number >= 0) {
    ::close(m_number);
  }
}

std::string host_in_url(const std::string& host) {
  return host.find(':') == std::string::npos ? host : "[" + host + "]";
}

Address parse_address(const std::string& flag, const std::string& text) {
  const std::size_t colon = text.rfind(':');
  Address address{text.substr(0, colon), colon == std::string::npos ? std::string() : text.substr(colon + 1)};
  const bool bracketed = address.host.size() > 2 && address.host.starts_with('[') && address.host.ends_with(']');
  if (bracketed) {
    address.host = address.host.substr(1, address.host.size() - 2);
  }
  std::uint16_t port = 0;
  const char* end = address.port.data() + address.port.size();
  const auto read = std::from_chars(address.port.data(), end, port);
  const bool port_is_one = read.ec == std::errc() && read.ptr == end;
  if (!port_is_one || address.host.empty() || (!bracketed && address.host.find(':') != std::string::npos)) {
    throw Error(Outcome::usage, fmt::format("{} \"{}\" is not of the form host:port", flag, text),
                "For example 127.0.0.1:3000 or [::1]:3000.");
  }
  return address;
}

bool is_loopback(const Address& address) {
  const Found found = resolve(address);
  for (const addrinfo* one = found.get(); one != nullptr; one = one->ai_next) {
    if (!is_loopback(one->ai_addr)) {
      return false;
    }
  }
  return true;
}

Socket listen_on(const std::string& flag, const Address& address) {
  const Found found = resolve(address);
  int why = 0;
  for (const addrinfo* one = found.get(); one != nullptr; one = one->ai_next) {
    if (Socket socket = try_to_listen(*one); socket.number() >= 0) {
      return socket;
    }
    why = errno;
  }
  const std::string name = host_in_url(address.host) + ":" + address.port;
  if (why == EADDRINUSE) {
    throw Error(Outcome::failed, fmt::format("{} is in use by another program", name),
                fmt::format("End that program (ss -ltnp shows which it is), or give another port, for example {} {}:0 "
                            "for one that is free.",
                            flag, host_in_url(address.host)));
  }
  throw Error(Outcome::failed, fmt::format("cannot listen on {}: {}", name, std::strerror(why)),
              fmt::format("Give an address of this machine and a port that you may use: {} 127.0.0.1:3000", flag));
}

std::string url_of(const Address& address, const Socket& listening) {
  sockaddr_storage bound{};
  socklen_t size = sizeof bound;
  ::getsockname(listening.number(), reinterpret_cast<sockaddr*>(&bound), &size);
  char port[NI_MAXSERV] = "";
  ::getnameinfo(reinterpret_cast<const sockaddr*>(&bound), size, nullptr, 0, port, sizeof port, NI_NUMERICSERV);
  return fmt::format("http://{}:{}", host_in_url(address.host), port);
}

}  // namespace ecmigrate::serve
