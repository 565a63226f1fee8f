#include "front_desk.hpp"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <stdexcept>

namespace ecmigrate::serve {

namespace {

using std::chrono::milliseconds;

/// Let in beyond the limit, so long.
constexpr std::size_t k_surplus = 64;
constexpr milliseconds k_surplus_stay{2'000};
/// After an answer that ends a connection, so long for the client to read it: closing at once, with bytes of the client
/// unread, would take the answer away from it.
constexpr milliseconds k_drain{1'000};
constexpr milliseconds k_longest_answer{60'000};
/// Without a file to be opened, the next look at those who knock.
constexpr milliseconds k_no_files_pause{100};
constexpr std::size_t k_read_at_once = std::size_t{16} * 1024;

bool would_wait() {
  return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR;
}

}  // namespace

FrontDesk::FrontDesk(const DeskLimits& limits, ServerMetrics& metrics) : m_limits(limits), m_metrics(metrics) {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_NONBLOCK | O_CLOEXEC) != 0) {
    throw std::runtime_error("no pipe could be opened");
  }
  m_wake_reading = Socket(ends[0]);
  m_wake_writing = Socket(ends[1]);
  m_workers = std::make_unique<Workers>(limits.threads);
}

FrontDesk::~FrontDesk() = default;

void FrontDesk::open(Socket listening, HttpServer& server) {
  m_listeners.push_back({std::move(listening), &server});
}

void FrontDesk::wake() const {
  const char byte = 0;
  [[maybe_unused]] const ssize_t written = ::write(m_wake_writing.number(), &byte, 1);  // a full pipe wakes as well
}

void FrontDesk::run(std::stop_token stop, const std::function<void()>& on_stop) {
  const std::stop_callback wake_up(stop, [this] { wake(); });
  while (!stop.stop_requested()) {
    wait();
    take_back();
    for (auto at = m_connections.begin(); at != m_connections.end();) {
      at = go_on(*at) && *at != nullptr ? std::next(at) : m_connections.erase(at);
    }
  }
  m_stopping = true;
  on_stop();
  m_listeners.clear();
  m_connections.clear();
  m_workers.reset();
}

void FrontDesk::wait() {
  const auto now = Clock::now();
  auto until = now + m_limits.request_timeout;
  std::vector<pollfd> polled{{m_wake_reading.number(), POLLIN, 0}};
  for (const auto& connection : m_connections) {
    connection->ready = false;
    const bool sending = connection->state == State::writing;
    polled.push_back({connection->socket.number(), static_cast<short>(sending ? POLLOUT : POLLIN), 0});
    until = std::min(until, connection->deadline);
  }
  const bool accepting = now >= m_accept_after;
  for (const Listener& listener : m_listeners) {
    polled.push_back({accepting ? listener.socket.number() : -1, POLLIN, 0});
  }
  until = accepting ? until : std::min(until, m_accept_after);
  const auto longest = std::max(milliseconds(0), std::chrono::ceil<milliseconds>(until - now));
  if (::poll(polled.data(), polled.size(), static_cast<int>(longest.count())) <= 0) {
    return;
  }
  std::array<char, 64> wakes{};
  while (::read(m_wake_reading.number(), wakes.data(), wakes.size()) > 0) {
  }
  auto socket = polled.begin();
  for (const auto& connection : m_connections) {
    connection->ready = (++socket)->revents != 0;
  }
  const auto listeners = polled.end() - static_cast<std::ptrdiff_t>(m_listeners.size());
  for (std::size_t number = 0; number < m_listeners.size(); ++number) {
    if ((listeners + static_cast<std::ptrdiff_t>(number))->revents != 0) {
      accept_all(m_listeners[number]);
    }
  }
}

void FrontDesk::accept_all(const Listener& listener) {
  for (;;) {
    Socket socket(::accept4(listener.socket.number(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
    if (socket.number() < 0) {
      if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
        m_accept_after = Clock::now() + k_no_files_pause;
      }
      return;
    }
    admit(std::move(socket), *listener.server);
  }
}

void FrontDesk::admit(Socket socket, HttpServer& server) {
  const int on = 1;
  ::setsockopt(socket.number(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  auto connection = std::make_unique<Connection>();
  connection->socket = std::move(socket);
  connection->server = &server;
  connection->surplus = m_connections.size() + m_at_work >= m_limits.connections;
  connection->deadline = Clock::now() + m_limits.request_timeout;
  if (connection->surplus) {
    connection->deadline = std::min(connection->deadline, Clock::now() + k_surplus_stay);
    const auto is_surplus = [](const auto& other) { return other->surplus; };
    if (std::ranges::count_if(m_connections, is_surplus) >= static_cast<std::ptrdiff_t>(k_surplus)) {
      m_connections.erase(std::ranges::find_if(m_connections, is_surplus));
    }
  }
  m_connections.push_back(std::move(connection));
}

bool FrontDesk::go_on(std::unique_ptr<Connection>& connection) {
  if (connection->ready) {
    const State state = connection->state;
    const bool open = state == State::reading   ? receive(*connection)
                      : state == State::writing ? send(*connection)
                                                : drain(*connection);
    if (!open || !take(connection)) {
      return false;
    }
  }
  return connection == nullptr || Clock::now() < connection->deadline || expire(*connection);
}

bool FrontDesk::receive(Connection& connection) {
  std::array<char, k_read_at_once> bytes;
  const ssize_t got = ::recv(connection.socket.number(), bytes.data(), bytes.size(), 0);
  if (got > 0) {
    if (connection.received.empty() && !connection.surplus) {
      connection.deadline = Clock::now() + m_limits.request_timeout;  // it begins; until now it was idle
    }
    connection.received.append(bytes.data(), static_cast<std::size_t>(got));
  }
  return got > 0 || (got < 0 && would_wait());
}

bool FrontDesk::take(std::unique_ptr<Connection>& connection) {
  if (connection->state != State::reading || connection->received.empty()) {
    return true;
  }
  auto taken = take_request(connection->received);
  if (const auto* refusal = std::get_if<Refusal>(&taken)) {
    return refuse(*connection, *refusal);
  }
  if (auto* request = std::get_if<IncomingRequest>(&taken)) {
    if (connection->surplus && request->path() != "/health") {
      return refuse(*connection, {503, "too_many_connections", "as many connections are open as this server allows",
                                  "Ask again in a moment."});
    }
    request->keep_alive = request->keep_alive && !connection->surplus;
    give_to_worker(std::move(connection), std::move(*request));
  }
  return true;
}

void FrontDesk::give_to_worker(std::unique_ptr<Connection> connection, IncomingRequest request) {
  ++m_at_work;
  // std::function wants what can be copied.
  m_workers->give([this, held = std::make_shared<std::unique_ptr<Connection>>(std::move(connection)),
                   request = std::move(request)] {
    Connection& served = **held;
    Outlet outlet(served.socket.number(), m_limits.write_timeout, m_stopping);
    served.close_after = !served.server->answer(request, outlet) || outlet.is_stream();
    served.to_send = std::move(outlet.answer());
    served.sent = 0;
    {
      const std::scoped_lock lock(m_mutex);
      m_given_back.push_back(std::move(*held));
    }
    wake();
  });
}

void FrontDesk::take_back() {
  Connections back;
  {
    const std::scoped_lock lock(m_mutex);
    back.swap(m_given_back);
  }
  m_at_work -= back.size();
  for (auto& connection : back) {
    if (begin_sending(*connection) && take(connection) && connection != nullptr) {
      m_connections.push_back(std::move(connection));
    }
  }
}

bool FrontDesk::refuse(Connection& connection, const Refusal& refusal) {
  m_metrics.count_request(refusal.status);
  connection.to_send = refusal_answer(refusal);
  connection.sent = 0;
  connection.close_after = true;
  return begin_sending(connection);
}

bool FrontDesk::begin_sending(Connection& connection) {
  connection.state = State::writing;
  connection.last_deadline = Clock::now() + k_longest_answer;
  connection.deadline = Clock::now() + m_limits.write_timeout;
  return send(connection);
}

bool FrontDesk::send(Connection& connection) {
  if (connection.sent < connection.to_send.size()) {
    const std::string_view rest = std::string_view(connection.to_send).substr(connection.sent);
    const ssize_t sent = ::send(connection.socket.number(), rest.data(), rest.size(), MSG_NOSIGNAL);
    if (sent < 0) {
      return would_wait();
    }
    connection.sent += static_cast<std::size_t>(sent);
    connection.deadline = std::min(connection.last_deadline, Clock::now() + m_limits.write_timeout);
  }
  if (connection.sent < connection.to_send.size()) {
    return true;
  }
  connection.to_send.clear();
  if (connection.close_after) {
    ::shutdown(connection.socket.number(), SHUT_WR);
    connection.state = State::draining;
    connection.deadline = Clock::now() + k_drain;
  } else {
    connection.state = State::reading;
    connection.deadline = Clock::now() + m_limits.request_timeout;
  }
  return true;
}

bool FrontDesk::drain(Connection& connection) const {
  std::array<char, k_read_at_once> bytes;
  const ssize_t got = ::recv(connection.socket.number(), bytes.data(), bytes.size(), 0);
  return got > 0 || (got < 0 && would_wait());
}

bool FrontDesk::expire(Connection& connection) {
  if (connection.state != State::reading || connection.received.empty()) {
    return false;
  }
  return refuse(connection, {408, "too_slow", "the request did not come whole in time", ""});
}

}  // namespace ecmigrate::serve
