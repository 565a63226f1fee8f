#include <sys/resource.h>

#include <chrono>
#include <deque>
#include <random>
#include <thread>

#include "http/server.hpp"
#include "support/catch.hpp"

using namespace ecmigrate;

namespace {

using Clock = std::chrono::steady_clock;

/// Limits that a test does not live to see: what answers does so without waiting for anybody.
serve::ServeOptions patient() {
  serve::ServeOptions options;
  options.request_timeout = options.write_timeout = std::chrono::hours(1);
  return options;
}

void allow_many_files() {
  rlimit limit{};
  ::getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = limit.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &limit);
}

}  // namespace

TEST_CASE("http: health answers while a thousand connections are idle, slow, or do not read") {
  allow_many_files();
  TestServer server(patient());
  server.content.set_padding(300'000);
  std::deque<RawClient> crowd;
  for (int number = 0; number < 1'000; ++number) {
    crowd.emplace_back(server.port());
    switch (number % 4) {
      case 0:
        break;  // says nothing
      case 1:
        crowd.back().send("GET /api/state HTTP/1.1\r\nHost: loc");
        break;
      case 2:
        crowd.back().send("GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n");
        break;
      default:
        crowd.back().read_little();
        crowd.back().send("GET /api/state HTTP/1.1\r\nHost: localhost\r\n\r\n");
    }
  }
  CHECK(get(server.port(), "/health").status == 200);
  CHECK(get(server.api_port(), "/health").status == 200);
  const Answer refused = get(server.port(), "/api/state");
  CHECK(refused.status == 503);
  CHECK(refused.headers.at("retry-after") == "2");
  CHECK(refused.headers.at("connection") == "close");
  crowd.clear();
  const auto until = Clock::now() + std::chrono::seconds(10);
  int status = 0;
  while ((status = get(server.port(), "/api/state").status) != 200 && Clock::now() < until) {
    std::this_thread::yield();
  }
  CHECK(status == 200);
}

TEST_CASE("http: those beyond the limit cannot take the place of health either") {
  allow_many_files();
  serve::ServeOptions options = patient();
  options.max_connections = 10;
  TestServer server(options);
  std::deque<RawClient> crowd;
  for (int number = 0; number < 300; ++number) {
    crowd.emplace_back(server.port());
  }
  CHECK(get(server.port(), "/health").status == 200);
}

TEST_CASE("http: a request that does not come whole in time is ended, one that does not begin quietly") {
  serve::ServeOptions options;
  options.request_timeout = std::chrono::milliseconds(300);
  TestServer server(options);
  RawClient idle(server.port());
  RawClient slow(server.port());
  slow.send("GET /health HTTP/1.1\r\n");
  std::jthread drip([&](std::stop_token stop) {
    while (!stop.stop_requested() && slow.send("X: y\r\n")) {
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
    }
  });
  const Answer answer = slow.receive();
  drip.request_stop();
  CHECK(answer.status == 408);
  CHECK(idle.is_closed());
  CHECK(idle.received().empty());
}

TEST_CASE("http: an answer that nobody reads is not kept") {
  serve::ServeOptions options;
  options.write_timeout = std::chrono::milliseconds(300);
  options.max_connections = 1;
  TestServer server(options);
  server.content.set_padding(20'000'000);
  RawClient client(server.port());
  client.read_little();
  client.send("GET /api/state HTTP/1.1\r\nHost: localhost\r\n\r\n");
  const auto until = Clock::now() + std::chrono::seconds(10);
  int status = 0;
  while ((status = get(server.port(), "/api/locks").status) != 200 && Clock::now() < until) {
    std::this_thread::yield();
  }
  CHECK(status == 200);
}

TEST_CASE("http: noise of any kind ends in answers or closed connections") {
  TestServer server;
  std::minstd_rand random(20'261'124);
  const std::string good =
      "GET /api/state?m=a HTTP/1.1\r\nHost: localhost\r\nIf-None-Match: x\r\nCookie: a=b\r\nContent-Length: "
      "2\r\n\r\n{}";
  for (int round = 0; round < 500; ++round) {
    std::string bytes = good;
    for (auto changes = 1 + random() % 6; changes > 0; --changes) {
      const std::size_t at = random() % bytes.size();
      switch (random() % 4) {
        case 0:
          bytes[at] = static_cast<char>(random());
          break;
        case 1:
          bytes.insert(at, bytes.substr(random() % bytes.size(), random() % 40));
          break;
        case 2:
          bytes.erase(at, random() % 10);
          break;
        default:
          bytes.insert(at, std::string(random() % 3'000, static_cast<char>(random())));
      }
    }
    RawClient client(server.port());
    client.send(bytes);
    if (round % 50 == 0) {
      CHECK(get(server.port(), "/health").status == 200);
    }
  }
  CHECK(get(server.port(), "/health").status == 200);
}
