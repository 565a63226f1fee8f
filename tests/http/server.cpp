#include "http/server.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <chrono>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <utility>

#include "support/catch.hpp"

using namespace ecmigrate;

namespace {

/// Longer than anything here takes on a busy machine; what does not come by then never does.
constexpr int k_patience_ms = 10'000;

int port_of(const std::string& url) {
  return std::stoi(url.substr(url.rfind(':') + 1));
}

}  // namespace

TestServer::TestServer(serve::ServeOptions options, serve::Controls* controls) {
  if (options.listen == serve::ServeOptions().listen) {
    options.listen = "127.0.0.1:0";
    options.api_listen = "127.0.0.1:00";  // the same text would mean one server for both; localhost may be ::1
  }
  std::promise<serve::Addresses> started;
  std::future<serve::Addresses> addresses = started.get_future();
  std::promise<void> ended;
  m_end = ended.get_future();
  m_thread = std::jthread(
      [this, options, controls, begin = std::move(started), end = std::move(ended)](std::stop_token stop) mutable {
        bool begun = false;
        try {
          serve::run_server(options, content, hub, controls, stop, [&](const serve::Addresses& at) {
            begun = true;
            begin.set_value(at);
          });
          end.set_value();
        } catch (...) {
          begun ? end.set_exception(std::current_exception()) : begin.set_exception(std::current_exception());
        }
      });
  const serve::Addresses at = addresses.get();
  m_port = port_of(at.page);
  m_api_port = port_of(at.api);
}

TestServer::~TestServer() = default;

void TestServer::join() {
  REQUIRE(m_end.wait_for(std::chrono::milliseconds(k_patience_ms)) == std::future_status::ready);
  m_end.get();
}

RawClient::RawClient(int port) : m_socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<std::uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (::connect(m_socket, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    ::close(m_socket);
    throw std::runtime_error("nobody listens on port " + std::to_string(port));
  }
}

RawClient::RawClient(RawClient&& other) noexcept
    : m_socket(std::exchange(other.m_socket, -1)), m_received(std::move(other.m_received)) {}

RawClient::~RawClient() {
  if (m_socket >= 0) {
    ::close(m_socket);
  }
}

void RawClient::read_little() {
  const int least = 1;
  ::setsockopt(m_socket, SOL_SOCKET, SO_RCVBUF, &least, sizeof least);
}

bool RawClient::send(const std::string& bytes) {
  for (std::size_t at = 0; at < bytes.size();) {
    const ssize_t sent = ::send(m_socket, bytes.data() + at, bytes.size() - at, MSG_NOSIGNAL);
    if (sent < 0) {
      return false;
    }
    at += static_cast<std::size_t>(sent);
  }
  return true;
}

bool RawClient::read_more() {
  pollfd socket{m_socket, POLLIN, 0};
  std::array<char, 16'384> bytes;
  if (::poll(&socket, 1, k_patience_ms) <= 0) {
    return false;
  }
  const ssize_t got = ::recv(m_socket, bytes.data(), bytes.size(), 0);
  if (got > 0) {
    m_received.append(bytes.data(), static_cast<std::size_t>(got));
  }
  return got > 0;
}

bool RawClient::receive_until(const std::string& text) {
  while (m_received.find(text) == std::string::npos) {
    if (!read_more()) {
      return false;
    }
  }
  return true;
}

void RawClient::forget_until(const std::string& text) {
  m_received.erase(0, m_received.find(text) + text.size());
}

bool RawClient::is_closed() {
  while (read_more()) {
  }
  pollfd socket{m_socket, POLLIN, 0};
  char byte = 0;
  return ::poll(&socket, 1, 0) > 0 && ::recv(m_socket, &byte, 1, MSG_DONTWAIT) <= 0;
}

Answer RawClient::receive(bool head) {
  Answer answer;
  if (!receive_until("\r\n\r\n")) {
    return answer;
  }
  const std::size_t end = m_received.find("\r\n\r\n");
  answer.status = std::stoi(m_received.substr(m_received.find(' ')));
  for (std::size_t at = m_received.find("\r\n") + 2; at < end;) {
    const std::size_t line_end = m_received.find("\r\n", at);
    const std::size_t colon = m_received.find(": ", at);
    std::string name = m_received.substr(at, colon - at);
    std::ranges::transform(name, name.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    answer.headers[name] = m_received.substr(colon + 2, line_end - colon - 2);
    at = line_end + 2;
  }
  m_received.erase(0, end + 4);
  const std::size_t length =
      answer.headers.contains("content-length") && !head ? std::stoul(answer.headers["content-length"]) : 0;
  while (m_received.size() < length && read_more()) {
  }
  answer.body = m_received.substr(0, length);
  m_received.erase(0, length);
  return answer;
}

Answer request(int port, const std::string& method, const std::string& target, const std::string& headers,
               const std::string& body) {
  RawClient client(port);
  const std::string host =
      headers.find("Host:") == std::string::npos ? "Host: localhost:" + std::to_string(port) + "\r\n" : "";
  const std::string length = method == "POST" ? "Content-Length: " + std::to_string(body.size()) + "\r\n" : "";
  client.send(method + " " + target + " HTTP/1.1\r\n" + host + headers + length + "\r\n" + body);
  return client.receive(method == "HEAD");
}

Answer get(int port, const std::string& target, const std::string& headers) {
  return request(port, "GET", target, headers);
}

std::string error_code(const Answer& answer) {
  CHECK(answer.headers.at("content-type") == "application/json");
  CHECK(answer.headers.at("cache-control") == "no-store");
  CHECK(answer.headers.at("content-security-policy").starts_with("default-src 'none'; script-src 'self';"));
  CHECK(answer.headers.at("x-content-type-options") == "nosniff");
  CHECK(answer.headers.at("referrer-policy") == "no-referrer");
  CHECK(answer.headers.at("cross-origin-resource-policy") == "same-origin");
  CHECK(answer.headers.at("cross-origin-opener-policy") == "same-origin");
  const nlohmann::json error = nlohmann::json::parse(answer.body).at("error");
  CHECK(error.contains("message"));
  CHECK(error.contains("hint"));
  return error.at("code");
}
