#include <algorithm>
#include <array>

#include "http/server.hpp"
#include "support/catch.hpp"

TEST_CASE("http: requests that are malformed are refused, and the connection closed") {
  TestServer server;
  const std::vector<std::pair<std::string, int>> k_bad{
      {"GET\r\n\r\n", 400},
      {"GET /\r\n\r\n", 400},
      {"GET / HTTP/1.1 more\r\nHost: localhost\r\n\r\n", 400},
      {"GET  / HTTP/1.1\r\nHost: localhost\r\n\r\n", 400},
      {"GET / HTTP/2.0\r\nHost: localhost\r\n\r\n", 505},
      {"GET / HTCPCP/1.0\r\nHost: localhost\r\n\r\n", 400},
      {"GET http://localhost/ HTTP/1.1\r\nHost: localhost\r\n\r\n", 400},
      {"GET health HTTP/1.1\r\nHost: localhost\r\n\r\n", 400},
      {"GET /\x01 HTTP/1.1\r\nHost: localhost\r\n\r\n", 400},
      {"GET /\xff HTTP/1.1\r\nHost: localhost\r\n\r\n", 400},
      {"get /health HTTP/1.1\r\nHost: localhost\r\n\r\n", 501},
      {"\x16\x03\x01\x02", 400},
      {std::string(1, '\0'), 400},
      {"GET /health HTTP/1.1\r\n\r\n", 400},
      {"GET /health HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n\r\n", 400},
      {"GET /health HTTP/1.1\r\nHost: localhost\r\nno colon\r\n\r\n", 400},
      {"GET /health HTTP/1.1\r\nHost : localhost\r\n\r\n", 400},
      {"GET /health HTTP/1.1\r\nHost: localhost\r\n folded: yes\r\n\r\n", 400},
      {"GET /health HTTP/1.1\r\nHost: localhost\r\nX: a\nb: c\r\n\r\n", 400},
      {"GET /health HTTP/1.1\r\nHost: localhost\r\nX: a" + std::string(1, '\0') + "b\r\n\r\n", 400},
      {"GET /health?a?b HTTP/1.1\r\nHost: localhost\r\n\r\n", 400},
      {"GET /health HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n", 400},
      {"GET /health HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1x\r\n\r\n", 400},
      {"GET /health HTTP/1.1\r\nHost: localhost\r\nContent-Length:\r\n\r\n", 400},
      {"GET /health HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", 400},
      {"POST /health HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4097\r\n\r\n", 413},
      {"POST /health HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999999999999999999\r\n\r\n", 413},
      {"POST /health HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 411},
      {"POST /health HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nExpect: 100-continue\r\n\r\n", 417},
      {"GET /" + std::string(9'000, 'a') + " HTTP/1.1\r\nHost: localhost\r\n\r\n", 431},
      {"GET /health HTTP/1.1\r\nHost: localhost\r\nX: " + std::string(9'000, 'a') + "\r\n\r\n", 431},
      {"GET /health HTTP/1.1\r\nHost: localhost\r\n" + std::string(9'000, 'a'), 431},
      {std::string(100'000, 'a'), 431},
  };
  for (const auto& [bytes, status] : k_bad) {
    INFO(bytes.substr(0, 100));
    RawClient client(server.port());
    client.send(bytes);
    const Answer answer = client.receive();
    CHECK(answer.status == status);
    CHECK_FALSE(error_code(answer).empty());
    CHECK(get(server.port(), "/health").status == 200);
  }
}

TEST_CASE("http: after a refusal that leaves the rest unclear, the connection is closed") {
  TestServer server;
  RawClient client(server.port());
  client.send(
      "POST /health HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nGET /health HTTP/1.1\r\nHost: "
      "localhost\r\n\r\n");
  const Answer answer = client.receive();
  CHECK(answer.status == 411);
  CHECK(answer.headers.at("connection") == "close");
  CHECK(client.is_closed());
  CHECK(client.received().empty());
}

TEST_CASE("http: headers just under the limit are taken, many of them too") {
  TestServer server;
  std::string many;
  while (many.size() < 8'000) {
    many += "X-" + std::to_string(many.size()) + ": y\r\n";
  }
  CHECK(get(server.port(), "/health", many).status == 200);
}

TEST_CASE("http: a connection is used again, also when requests come together or in pieces") {
  TestServer server;
  RawClient client(server.port());
  const std::string health = "GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n";
  for (int round = 0; round < 3; ++round) {
    client.send(health + "\r\n" + health + "GET /nothing HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\n\r\nabc" +
                health);
    std::array<int, 4> statuses{};
    std::ranges::generate(statuses, [&] { return client.receive().status; });
    CHECK(statuses == std::array{200, 200, 404, 200});
  }
  for (const char c : health) {
    client.send(std::string(1, c));
  }
  CHECK(client.receive().status == 200);
  client.send("GET /health HTTP/1.0\r\nHost: localhost\r\n\r\n");
  CHECK(client.receive().status == 200);
  CHECK(client.is_closed());
  RawClient closing(server.port());
  closing.send("GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
  CHECK(closing.receive().headers.at("connection") == "close");
  CHECK(closing.is_closed());
}
