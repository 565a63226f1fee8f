#include <chrono>
#include <deque>
#include <nlohmann/json.hpp>
#include <thread>

#include "http/server.hpp"
#include "support/catch.hpp"

using namespace ecmigrate;

namespace {

std::string stream_request(const std::string& query = "", const std::string& headers = "") {
  return "GET /api/stream" + query + " HTTP/1.1\r\nHost: localhost\r\n" + headers + "\r\n";
}

RawClient open_stream(int port, const std::string& query = "", const std::string& headers = "") {
  RawClient client(port);
  client.send(stream_request(query, headers));
  CHECK(client.receive().status == 200);
  return client;
}

/// What the metrics say; waited for, as the server notices by and by that a client is gone.
bool comes_to_have_streams(TestServer& server, int count) {
  const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(10);
  while (get(server.port(), "/metrics").body.find("ecmigrate_serve_streams " + std::to_string(count) + "\n") ==
         std::string::npos) {
    if (std::chrono::steady_clock::now() > until) {
      return false;
    }
    std::this_thread::yield();
  }
  return true;
}

int count_of(const std::string& text, const std::string& part) {
  int count = 0;
  for (std::size_t at = 0; (at = text.find(part, at)) != std::string::npos; at += part.size()) {
    ++count;
  }
  return count;
}

}  // namespace

TEST_CASE("http: a new stream begins with a snapshot, then has what is new") {
  TestServer server;
  server.hub.publish({"event", "", false, "\"before\""});
  RawClient client(server.port());
  client.send(stream_request("?m=a"));
  const Answer head = client.receive();
  CHECK(head.status == 200);
  CHECK(head.headers.at("content-type") == "text/event-stream");
  CHECK(head.headers.at("cache-control") == "no-store");
  REQUIRE(client.receive_until("\n\n\r\n"));
  const std::string& begin = client.received();
  CHECK(begin.find("retry: 2000\n\n") != std::string::npos);
  CHECK(begin.find("id: " + server.hub.last_id() + "\nevent: snapshot\n") != std::string::npos);
  const std::size_t data = begin.find("data: ") + 6;
  const auto snapshot = nlohmann::json::parse(begin.substr(data, begin.find('\n', data) - data));
  CHECK(snapshot["state"]["of"] == "a");
  CHECK(snapshot["series"]["is"] == "series720");
  CHECK(snapshot["events"]["is"] == "events before 0 limit 50");
  CHECK(snapshot["locks"]["is"] == "locks");
  CHECK(begin.find("before\"\n") == std::string::npos);
  server.hub.publish({"event", "b", true, "\"of b\""});
  server.hub.publish({"event", "a", false, "\"of a\""});
  REQUIRE(client.receive_until("data: \"of a\"\n\n"));
  CHECK(client.received().find("of b") == std::string::npos);
  CHECK(server.content.looks("a") > 0);
}

TEST_CASE("http: a stream that broke goes on without a gap and without a double") {
  TestServer server;
  constexpr int k_messages = 500;
  std::jthread publisher([&] {
    for (int number = 0; number < k_messages; ++number) {
      server.hub.publish({"event", "", true, "\"<" + std::to_string(number) + ">\""});
      std::this_thread::yield();
    }
  });
  const std::string from = server.hub.id(0);
  std::string all;
  std::string last = from;
  while (all.find("<" + std::to_string(k_messages - 1) + ">") == std::string::npos) {
    // By turns as the page does it, and as a browser by itself.
    const bool by_header = count_of(all, "\n") % 2 == 0;
    RawClient client = by_header ? open_stream(server.port(), "?after=" + from, "Last-Event-ID: " + last + "\r\n")
                                 : open_stream(server.port(), "?after=" + last);
    if (!client.receive_until("event: event\n") || !client.receive_until("\n\n\r\n")) {
      break;
    }
    // Whole messages only, as a browser takes them.
    const std::string got = client.received().substr(0, client.received().rfind("\n\n") + 2);
    CHECK(got.find("event: snapshot") == std::string::npos);
    all += got;
    const std::size_t id = got.rfind("id: ") + 4;
    last = got.substr(id, got.find('\n', id) - id);
  }
  std::size_t at = 0;
  for (int number = 0; number < k_messages; ++number) {
    const std::string mark = "\"<" + std::to_string(number) + ">\"";
    at = all.find(mark, at);
    REQUIRE(at != std::string::npos);
    REQUIRE(count_of(all, mark) == 1);
  }
}

TEST_CASE("http: a stream that is too far behind, or of another server, begins anew") {
  TestServer server;
  for (int number = 0; number < 1'100; ++number) {
    server.hub.publish({"event", "", true, "0"});
  }
  for (const std::string& after :
       {server.hub.id(5), std::string("0badc0de-3"), std::string("garbage"), std::string("%00")}) {
    INFO(after);
    RawClient client = open_stream(server.port(), "?after=" + after);
    CHECK(client.receive_until("event: snapshot\n"));
  }
}

TEST_CASE("http: there are only so many streams, and one that is gone makes room") {
  serve::ServeOptions options;
  options.max_streams = 3;
  TestServer server(options);
  std::deque<RawClient> clients;
  for (int number = 0; number < 3; ++number) {
    clients.push_back(open_stream(server.port()));
  }
  CHECK(comes_to_have_streams(server, 3));
  const Answer refused = get(server.port(), "/api/stream");
  CHECK(refused.status == 503);
  CHECK(refused.headers.at("retry-after") == "2");
  CHECK(nlohmann::json::parse(refused.body)["error"]["code"] == "too_many_streams");
  CHECK(get(server.port(), "/api/state").status == 200);
  clients.pop_front();
  CHECK(comes_to_have_streams(server, 2));
  clients.push_back(open_stream(server.port()));
  CHECK(clients.back().receive_until("event: snapshot\n"));
}

TEST_CASE("http: a stream lives on when nothing happens", "[slow]") {
  TestServer server;
  RawClient client = open_stream(server.port());
  CHECK(client.receive_until("event: ping\ndata: {}\n\n"));
  CHECK(server.content.looks("") >= 4);  // the poller is kept awake meanwhile
}

TEST_CASE("http: a reader that takes nothing is closed, and disturbs nobody") {
  serve::ServeOptions options;
  options.write_timeout = std::chrono::milliseconds(300);
  TestServer server(options);
  RawClient slow(server.port());
  slow.send(stream_request());
  RawClient quick = open_stream(server.port());
  CHECK(comes_to_have_streams(server, 2));
  const std::string data = "\"" + std::string(32 * 1024, 'x') + "\"";
  for (int number = 0; number < 200; ++number) {
    server.hub.publish({"event", "", true, data});
    REQUIRE(quick.receive_until("id: " + server.hub.last_id() + "\n"));
    quick.forget_until("id: " + server.hub.last_id() + "\n");
  }
  CHECK(comes_to_have_streams(server, 1));
  CHECK(slow.is_closed());
  CHECK(slow.received().size() < 200 * data.size() / 2);
}

TEST_CASE("http: a stream whose documents fail is closed, and no more") {
  TestServer server;
  CHECK(get(server.port(), "/api/stream?m=broken").status == 500);
  CHECK(request(server.port(), "HEAD", "/api/stream").status == 200);
  CHECK(comes_to_have_streams(server, 0));
}

TEST_CASE("http: another spelling of its path is a stream too") {
  TestServer server;
  RawClient client(server.port());
  client.send("GET /api/%73tream HTTP/1.1\r\nHost: localhost\r\n\r\n");
  CHECK(client.receive_until("event: snapshot\n"));
}

TEST_CASE("http: at the server's end streams are told so, and nobody is waited for") {
  serve::ServeOptions options;
  options.request_timeout = options.write_timeout = std::chrono::hours(1);
  TestServer server(options);
  std::deque<RawClient> clients;
  for (int number = 0; number < 20; ++number) {
    clients.push_back(open_stream(server.port()));
    CHECK(clients.back().receive_until("event: snapshot\n"));
  }
  RawClient idle(server.port());
  RawClient half(server.port());
  half.send("GET /health HT");
  RawClient stuck(server.port());
  stuck.send(stream_request("?m=stuck"));
  CHECK(comes_to_have_streams(server, 21));
  for (int number = 0; number < 50; ++number) {
    server.hub.publish({"event", "stuck", false, "\"" + std::string(32 * 1024, 'x') + "\""});
  }
  server.request_stop();
  std::deque<std::jthread> readers;
  std::atomic<int> told = 0;
  for (RawClient& client : clients) {
    readers.emplace_back(
        [&] { told += client.receive_until("event: bye\ndata: {}\n\n") && client.is_closed() ? 1 : 0; });
  }
  server.join();
  readers.clear();
  CHECK(told == 20);
  CHECK(idle.is_closed());
  CHECK(half.is_closed());
}
