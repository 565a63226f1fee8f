#include "outlet.hpp"

#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>

namespace ecmigrate::serve {

void Outlet::become_stream() {
  m_stream = true;
  const int most = 32 * 1024;  // the system keeps twice of it
  ::setsockopt(m_socket, SOL_SOCKET, SO_SNDBUF, &most, sizeof most);
}

std::size_t Outlet::send_some(const char* data, std::size_t size) {
  const ssize_t sent = ::send(m_socket, data, size, MSG_NOSIGNAL | MSG_DONTWAIT);
  if (sent < 0 && errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR) {
    m_broken = true;
  }
  return sent < 0 ? 0 : static_cast<std::size_t>(sent);
}

bool Outlet::wait_for_room() const {
  using std::chrono::milliseconds;
  constexpr milliseconds k_when_stopping{500};
  constexpr milliseconds k_look{100};
  pollfd socket{m_socket, POLLOUT, 0};
  for (milliseconds waited{0}; waited < (m_stopping ? std::min(k_when_stopping, m_write_timeout) : m_write_timeout);
       waited += k_look) {
    if (::poll(&socket, 1, static_cast<int>(k_look.count())) > 0) {
      return true;
    }
  }
  return false;
}

bool Outlet::write(const char* data, std::size_t size) {
  if (!m_stream) {
    m_answer.append(data, size);
    return true;
  }
  while (size > 0 && !m_broken) {
    const std::size_t sent = send_some(data, size);
    data += sent;
    size -= sent;
    if (sent == 0) {
      m_broken = m_broken || !wait_for_room();
    }
  }
  return !m_broken;
}

bool Outlet::client_is_there() const {
  char byte = 0;
  const ssize_t got = ::recv(m_socket, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
  return !m_broken && (got > 0 || (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR)));
}

}  // namespace ecmigrate::serve
