#include "http_server.hpp"

#include <fmt/format.h>
#include <strings.h>

#include <algorithm>
#include <array>
#include <cstring>

namespace ecmigrate::serve {

namespace {

/// The headers that somebody here reads. The library acts on others too (Range, above all, of which a few thousand fit
/// into one request, each with an answer of its own).
constexpr std::array k_read_headers{"Host",          "Accept-Encoding", "If-None-Match",    "Last-Event-ID",
                                    "Authorization", "Cookie",          "Origin",           "Sec-Fetch-Site",
                                    "Content-Type",  "X-Ecmigrate",     "X-Ecmigrate-Token"};

std::string head_of(const IncomingRequest& request) {
  std::string head = fmt::format("{} {} {}\r\n", request.method, request.target, request.version);
  for (const auto& [name, value] : request.headers) {
    if (std::ranges::any_of(k_read_headers, [&](const char* read) { return ::strcasecmp(name.c_str(), read) == 0; })) {
      const bool codings = ::strcasecmp(name.c_str(), "Accept-Encoding") == 0;
      head += fmt::format("{}: {}\r\n", codings ? k_accept_encoding : name.c_str(), value);
    }
  }
  return head + "\r\n";
}

/// A request that is here already, and its outlet, as the library wants to see a connection.
class Exchange final : public httplib::Stream {
 public:
  Exchange(std::string head, Outlet& outlet) : m_head(std::move(head)), m_outlet(outlet) {}

  [[nodiscard]] bool is_readable() const override { return m_at < m_head.size(); }
  [[nodiscard]] bool is_writable() const override { return m_outlet.client_is_there(); }
  ssize_t read(char* into, size_t size) override {
    const std::size_t count = std::min(size, m_head.size() - m_at);
    std::memcpy(into, m_head.data() + m_at, count);
    m_at += count;
    return static_cast<ssize_t>(count);
  }
  ssize_t write(const char* data, size_t size) override {
    return m_outlet.write(data, size) ? static_cast<ssize_t>(size) : -1;
  }
  void get_remote_ip_and_port(std::string&, int&) const override {}
  void get_local_ip_and_port(std::string&, int&) const override {}
  // Only asked whether it fits into select(), which nobody calls.
  [[nodiscard]] socket_t socket() const override { return 0; }

 private:
  std::string m_head;
  std::size_t m_at = 0;
  Outlet& m_outlet;
};

std::string allowed_methods(const Route& route) {
  return route.get ? (route.post ? "GET, HEAD, POST" : "GET, HEAD") : "POST";
}

}  // namespace

HttpServer::HttpServer(Routes routes, const Access& access, ServerMetrics& metrics)
    : m_routes(std::move(routes)), m_access(access) {
  svr_sock_ = 0;  // the library ends streams when it has no socket that it listens on
  set_default_headers({security_headers().begin(), security_headers().end()});
  set_keep_alive_max_count(1'000);
  set_pre_routing_handler([this](const httplib::Request& request, httplib::Response& response) {
    route(request, response);
    return HandlerResponse::Handled;
  });
  set_exception_handler([](const httplib::Request&, httplib::Response& response, const std::exception_ptr&) {
    refuse(response, {500, "internal", "the answer could not be made", "Ask again; if it stays, tell the developers."});
  });
  set_error_handler([](const httplib::Request&, httplib::Response& response) {
    if (response.body.empty()) {
      refuse(response, {response.status, "bad_request", "this is not a request that can be answered", ""});
    }
  });
  // Before it is written: who has an answer finds it counted.
  set_post_routing_handler([&metrics](const httplib::Request&, const httplib::Response& response) {
    metrics.count_request(response.status);
  });
}

bool HttpServer::answer(const IncomingRequest& request, Outlet& outlet) try {
  Exchange exchange(head_of(request), outlet);
  bool closed = false;
  const bool answered = process_request(exchange, !request.keep_alive, closed, [&](httplib::Request& read) {
    read.body = request.body;
    if (read.path == "/api/stream") {
      outlet.become_stream();
    }
  });
  return answered && !closed && request.keep_alive && !outlet.broken();
} catch (const std::exception&) {
  return false;  // a stream failed half way, when it is too late for an answer
}

const Route* HttpServer::find(const std::string& path) const {
  if (const auto exact = m_routes.find(path); exact != m_routes.end()) {
    return &exact->second;
  }
  const std::size_t slash = path.rfind('/');
  const auto folder =
      slash == std::string::npos || slash == 0 ? m_routes.end() : m_routes.find(path.substr(0, slash + 1));
  return folder == m_routes.end() ? nullptr : &folder->second;
}

void HttpServer::route(const httplib::Request& request, httplib::Response& response) const {
  if (!m_access.knows_host(request)) {
    return refuse(response, {421, "wrong_host", "this server does not go by the name in the Host header",
                             "Use localhost, or start it with --allow-host NAME."});
  }
  const Route* route = find(request.path);
  if (route == nullptr) {
    return refuse(response, {404, "not_found", "there is nothing at this path",
                             "The page is at /, what is shown at /api/state."});
  }
  const bool reads = request.method == "GET" || request.method == "HEAD";
  const Handler& handler = reads ? route->get : route->post;
  if (!handler || (!reads && request.method != "POST")) {
    response.set_header("Allow", allowed_methods(*route));
    return refuse(response, {405, "method_not_allowed", "this path does not take " + request.method, ""});
  }
  if (!route->open && !m_access.may_read(request)) {
    response.set_header("WWW-Authenticate", "Bearer");
    return refuse(response, {401, "token_needed", "this server wants its token",
                             "Send it as \"Authorization: Bearer TOKEN\"; in a browser, open the page as /#TOKEN."});
  }
  handler(request, response);
}

}  // namespace ecmigrate::serve
