#include <unistd.h>

#include <nlohmann/json.hpp>

#include "ecmigrate/base/error.hpp"
#include "http/server.hpp"
#include "support/catch.hpp"

using namespace ecmigrate;
using nlohmann::json;

namespace {

/// What the server says to these bytes.
Answer answer_to(int port, const std::string& bytes) {
  RawClient client(port);
  client.send(bytes);
  return client.receive();
}

}  // namespace

TEST_CASE("http: the documents are served at both addresses, and the page's files at the page's") {
  TestServer server;
  for (const int port : {server.port(), server.api_port()}) {
    const Answer state = get(port, "/api/state");
    CHECK(state.status == 200);
    CHECK(json::parse(state.body) == json{{"is", "state"}, {"of", ""}, {"padding", ""}});
    CHECK(state.headers.at("cache-control") == "no-store");
    CHECK(json::parse(get(port, "/api/state?m=split%20name").body)["of"] == "split name");
    CHECK(json::parse(get(port, "/api/series?m=x&points=10").body)["is"] == "series10");
    CHECK(json::parse(get(port, "/api/series").body)["is"] == "series720");
    CHECK(json::parse(get(port, "/api/events?before=7&limit=3").body)["is"] == "events before 7 limit 3");
    CHECK(json::parse(get(port, "/api/locks").body)["is"] == "locks");
  }
  CHECK(server.port() != server.api_port());
  CHECK(get(server.port(), "/chart.js").status == 200);
  CHECK(error_code(get(server.api_port(), "/chart.js")) == "not_found");
  CHECK(server.content.looks("split name") == 2);
  CHECK(server.content.looks("x") == 2);
}

TEST_CASE("http: one address serves both when they are the same") {
  serve::ServeOptions options;
  options.listen = options.api_listen = "[::1]:0";
  const bool has_ipv6 = ::access("/proc/net/if_inet6", R_OK) == 0;
  if (!has_ipv6) {
    options.listen = options.api_listen = "localhost:0";
  }
  TestServer server(options);
  CHECK(server.port() == server.api_port());
}

TEST_CASE("http: a state that the client has is not sent again") {
  TestServer server;
  const std::string etag = get(server.port(), "/api/state").headers.at("etag");
  const Answer again = get(server.port(), "/api/state", "If-None-Match: \"other\", " + etag + "\r\n");
  CHECK(again.status == 304);
  CHECK(again.body.empty());
  CHECK(again.headers.at("etag") == etag);
  server.content.set_padding(1);
  CHECK(get(server.port(), "/api/state", "If-None-Match: " + etag + "\r\n").status == 200);
}

TEST_CASE("http: files are sent compressed to those who take that, and plain to others") {
  TestServer server;
  const Answer plain = get(server.port(), "/chart.js");
  CHECK(plain.body.size() > 100'000);
  CHECK(plain.body.find("Chart.js v3") != std::string::npos);
  CHECK_FALSE(plain.headers.contains("content-encoding"));
  CHECK(plain.headers.at("content-type") == "text/javascript; charset=utf-8");
  CHECK(plain.headers.at("cache-control") == "no-cache");
  CHECK(plain.headers.at("vary") == "Accept-Encoding");
  const Answer gzip = get(server.port(), "/chart.js", "Accept-Encoding: br, gzip;q=0.8\r\n");
  CHECK(gzip.headers.at("content-encoding") == "gzip");
  CHECK(gzip.body.starts_with("\x1f\x8b"));
  CHECK(gzip.body.size() < plain.body.size() / 2);
  CHECK_FALSE(
      get(server.port(), "/chart.js", "Accept-Encoding: br, gzip;q=0\r\n").headers.contains("content-encoding"));
  CHECK(get(server.port(), "/chart.js", "If-None-Match: " + plain.headers.at("etag") + "\r\n").status == 304);
  CHECK(get(server.port(), "/chart.js", "Range: bytes=0-9,0-9\r\n").body == plain.body);
  CHECK_FALSE(get(server.port(), "/api/state", "Accept-Encoding: br, gzip\r\n").headers.contains("content-encoding"));
}

TEST_CASE("http: HEAD has the headers of GET and no body") {
  TestServer server;
  RawClient client(server.port());
  client.send("HEAD /api/state HTTP/1.1\r\nHost: localhost\r\n\r\nGET /health HTTP/1.1\r\nHost: localhost\r\n\r\n");
  CHECK(client.receive(true).headers.at("content-length") ==
        get(server.port(), "/api/state").headers.at("content-length"));
  CHECK(json::parse(client.receive().body)["ok"] == true);
}

TEST_CASE("http: health says whether the database answers") {
  TestServer server;
  CHECK(get(server.api_port(), "/health").body == R"({"ok":true,"database":"up","age_ms":412})");
  server.content.set_up(false);
  const Answer down = get(server.api_port(), "/health");
  CHECK(down.status == 503);
  CHECK(down.body == R"({"ok":false,"database":"down","age_ms":412,"error":"no route to \"db1\""})");
  CHECK(server.content.looks("") == 2);
}

TEST_CASE("http: metrics have the migrations' and the server's own") {
  TestServer server;
  get(server.port(), "/api/state");
  get(server.port(), "/nothing");
  answer_to(server.port(), "GET\r\n\r\n");
  const Answer metrics = get(server.port(), "/metrics");
  CHECK(metrics.headers.at("content-type") == "text/plain; version=0.0.4; charset=utf-8");
  for (const std::string line :
       {"ecmigrate_up 1", "ecmigrate_serve_streams 0", "# TYPE ecmigrate_serve_requests_total counter",
        "ecmigrate_serve_requests_total{code=\"200\"} 1", "ecmigrate_serve_requests_total{code=\"400\"} 1",
        "ecmigrate_serve_requests_total{code=\"404\"} 1"}) {
    INFO(line);
    CHECK(metrics.body.find(line + "\n") != std::string::npos);
  }
}

TEST_CASE("http: what is not there is not found") {
  TestServer server;
  for (const std::string path :
       {"/nothing", "/api/", "/api", "/api/state/", "/../etc/passwd", "/%2e%2e/etc/passwd", "/page/index.html",
        "/api/demo/expand", "/api/demo/token", "/api/session", "/%00", "//", "/health%20"}) {
    INFO(path);
    const Answer answer = get(server.port(), path);
    CHECK(answer.status == 404);
    CHECK(error_code(answer) == "not_found");
  }
  for (const std::string document : {"state", "series", "events", "locks", "stream"}) {
    CHECK(error_code(get(server.port(), "/api/" + document + "?m=nobody")) == "not_found");
  }
  CHECK(request(server.port(), "POST", "/api/demo/expand").status == 404);
}

TEST_CASE("http: other methods than a path takes are refused, with those that it does") {
  TestServer server;
  for (const std::string method : {"POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT"}) {
    INFO(method);
    const Answer answer = request(server.port(), method, "/api/state");
    CHECK(answer.status == 405);
    CHECK(answer.headers.at("allow") == "GET, HEAD");
    CHECK(error_code(answer) == "method_not_allowed");
  }
  const Answer unknown = request(server.port(), "BREW", "/api/state");
  CHECK(unknown.status == 501);
}

TEST_CASE("http: queries with other than numbers are refused") {
  TestServer server;
  for (const std::string query : {"series?points=0", "series?points=721", "series?points=x", "series?points=1e2",
                                  "series?points=", "events?limit=501", "events?limit=0", "events?before=-1",
                                  "events?before=99999999999999999999"}) {
    INFO(query);
    const Answer answer = get(server.port(), "/api/" + query);
    CHECK(answer.status == 400);
    CHECK(error_code(answer) == "bad_request");
  }
}

TEST_CASE("http: a document that cannot be made is an error of the server, and no more") {
  TestServer server;
  const Answer answer = get(server.port(), "/api/state?m=broken");
  CHECK(answer.status == 500);
  CHECK(error_code(answer) == "internal");
  CHECK(answer.body.find("this document") == std::string::npos);
  CHECK_FALSE(answer.headers.contains("exception_what"));
  CHECK(get(server.port(), "/health").status == 200);
}

TEST_CASE("http: only names that are ours are served") {
  serve::ServeOptions options;
  options.allowed_hosts = {"ops.example"};
  TestServer server(options);
  for (const std::string host :
       {"localhost", "LOCALHOST:3000", "127.0.0.1:1", "[::1]:3000", "[::1]", "ops.example", "Ops.Example:80"}) {
    INFO(host);
    CHECK(get(server.port(), "/api/state", "Host: " + host + "\r\n").status == 200);
  }
  for (const std::string host : {"evil.example", "localhost.evil.example", "127.0.0.1.evil.example:3000", "", ":3000",
                                 "[::1", "x[::1]", "localhost@evil.example"}) {
    INFO(host);
    const Answer answer = get(server.port(), "/api/state", "Host: " + host + "\r\n");
    CHECK(answer.status == 421);
    CHECK(error_code(answer) == "wrong_host");
  }
}

TEST_CASE("http: a taken port and an address that is none are told apart") {
  TestServer server;
  const auto failure = [](const std::string& listen) -> std::optional<Error> {
    serve::ServeOptions options;
    options.listen = listen;
    options.api_listen = "127.0.0.1:0";
    try {
      TestServer other(options);
      return std::nullopt;
    } catch (const Error& error) {
      return error;
    }
  };
  const auto taken = failure("127.0.0.1:" + std::to_string(server.port()));
  REQUIRE(taken);
  CHECK(taken->outcome() == Outcome::failed);
  CHECK(taken->what() == "127.0.0.1:" + std::to_string(server.port()) + " is in use by another program");
  CHECK(taken->hint().find("--listen 127.0.0.1:0") != std::string::npos);
  for (const std::string listen : {"", "3000", "localhost", "localhost:", ":3000", "localhost:x", "localhost:65536",
                                   "localhost:-1", "::1:3000", "[]:1", "no such name:3000"}) {
    INFO(listen);
    const auto wrong = failure(listen);
    REQUIRE(wrong);
    CHECK(wrong->outcome() == Outcome::usage);
  }
  CHECK(failure("192.0.2.1:3000")->outcome() == Outcome::usage);  // elsewhere, without a token
}
