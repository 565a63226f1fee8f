#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "ecmigrate/base/error.hpp"
#include "http/server.hpp"
#include "support/catch.hpp"

using namespace ecmigrate;

namespace {

const std::string k_token = "0123456789abcdef-secret";

serve::ServeOptions with_token() {
  serve::ServeOptions options;
  options.token = k_token;
  return options;
}

/// A file with this in it, gone at the end.
class File {
 public:
  explicit File(const std::string& text, mode_t mode = 0600) {
    char name[] = "/tmp/ecmigrate-token-XXXXXX";
    const int file = ::mkstemp(name);
    m_path = name;
    ::fchmod(file, mode);
    ::close(file);
    std::ofstream(m_path, std::ios::binary) << text;
  }
  ~File() { std::filesystem::remove(m_path); }
  [[nodiscard]] const std::string& path() const { return m_path; }

 private:
  std::string m_path;
};

/// Counts what is pressed.
class FakeControls final : public serve::Controls {
 public:
  Answer post(const std::string& name, const std::string& body) override {
    const std::scoped_lock lock(m_mutex);
    m_pressed += name + body;
    return name == "expand" ? Answer{202, R"({"ok":true})"} : Answer{409, R"({"error":{"code":"not_now"}})"};
  }
  std::string pressed() {
    const std::scoped_lock lock(m_mutex);
    return m_pressed;
  }

 private:
  std::mutex m_mutex;
  std::string m_pressed;
};

}  // namespace

TEST_CASE("http: without a token, other machines are not served") {
  for (const std::string listen : {"0.0.0.0:0", "[::]:0", "192.0.2.1:0"}) {
    INFO(listen);
    serve::ServeOptions options;
    options.listen = listen;
    CHECK_FALSE(serve::only_loopback(options));
    try {
      TestServer server(options);
      FAIL("it started");
    } catch (const Error& error) {
      CHECK(error.outcome() == Outcome::usage);
      CHECK(error.hint().find("ssh -L") != std::string::npos);
      CHECK(error.hint().find("--token-file") != std::string::npos);
    }
  }
  CHECK(serve::only_loopback({}));
  serve::ServeOptions api;
  api.api_listen = "0.0.0.0:0";
  CHECK_FALSE(serve::only_loopback(api));
  serve::ServeOptions options = with_token();
  options.listen = options.api_listen = "0.0.0.0:0";
  TestServer server(options);
  CHECK(get(server.port(), "/api/state", "Authorization: Bearer " + k_token + "\r\n").status == 200);
}

TEST_CASE("http: with a token, nothing of the database is told without it") {
  TestServer server(with_token());
  for (const std::string path : {"/api/state", "/api/stream", "/api/series", "/api/events", "/api/locks", "/metrics"}) {
    INFO(path);
    const Answer answer = get(server.port(), path);
    CHECK(answer.status == 401);
    CHECK(answer.headers.at("www-authenticate") == "Bearer");
    CHECK(answer.body.find(k_token) == std::string::npos);
    CHECK(request(server.port(), "HEAD", path, "Authorization: Bearer " + k_token + "\r\n").status == 200);
  }
  for (const std::string& wrong :
       {"Authorization: Bearer " + k_token + "x", "Authorization: Bearer " + k_token.substr(1),
        std::string("Authorization: Bearer "), std::string("Authorization: Bearer"), "Authorization: Basic " + k_token,
        "Cookie: ecmigrate_session=" + k_token, std::string("Cookie: ecmigrate_session=")}) {
    INFO(wrong);
    CHECK(get(server.port(), "/api/state", wrong + "\r\n").status == 401);
  }
  CHECK(get(server.port(), "/chart.js").status == 200);
  server.content.set_up(false);
  CHECK(get(server.port(), "/health").body == R"({"ok":false,"database":"down","age_ms":412})");
  CHECK(get(server.port(), "/health", "Authorization: Bearer " + k_token + "\r\n").body.find("no route") !=
        std::string::npos);
}

TEST_CASE("http: a browser gets a cookie for the token") {
  TestServer server(with_token());
  const std::string bearer = "Authorization: Bearer " + k_token + "\r\n";
  const Answer session = request(server.port(), "POST", "/api/session", bearer);
  CHECK(session.status == 204);
  const std::string cookie = session.headers.at("set-cookie");
  CHECK(cookie.find("; HttpOnly") != std::string::npos);
  CHECK(cookie.find("; SameSite=Strict") != std::string::npos);
  CHECK(cookie.find(k_token) == std::string::npos);
  const std::string value = cookie.substr(0, cookie.find(';'));
  CHECK(get(server.api_port(), "/api/state", "Cookie: other=1; " + value + "\r\n").status == 200);
  CHECK(get(server.api_port(), "/api/state", "Cookie: x" + value + "\r\n").status == 401);
  CHECK(request(server.port(), "POST", "/api/session", "Authorization: Bearer wrong\r\n").status == 401);
  CHECK(request(server.port(), "POST", "/api/session", bearer + "Origin: http://evil.example\r\n").status == 401);
  CHECK(get(server.port(), "/api/session", bearer).headers.at("allow") == "POST");
  TestServer other(with_token());
  CHECK(get(other.port(), "/api/state", "Cookie: " + value + "\r\n").status == 401);
}

TEST_CASE("http: a token file has to be a secret") {
  CHECK(serve::read_token(File("  " + k_token + "\n").path()) == k_token);
  const auto complaint = [](const std::string& path) -> std::string {
    try {
      return "taken: " + serve::read_token(path);
    } catch (const Error& error) {
      CHECK(error.outcome() == Outcome::usage);
      CHECK_FALSE(error.hint().empty());
      return error.what();
    }
  };
  CHECK(complaint("/nowhere/token").find("No such file") != std::string::npos);
  CHECK(complaint("/tmp").find("cannot be read") != std::string::npos);
  for (const mode_t mode : {0644U, 0640U, 0606U}) {
    CHECK(complaint(File(k_token, mode).path()).find("others than its owner") != std::string::npos);
  }
  for (const std::string& text :
       {std::string(), std::string("\n"), std::string("fifteen-letters"), std::string(2'000, 'a')}) {
    CHECK(complaint(File(text).path()).find("16 to 1000 characters") != std::string::npos);
  }
  CHECK(complaint(File("two words are one too many").path()).find("without spaces") != std::string::npos);
}

TEST_CASE("http: controls are pressed only by the page of the same server") {
  FakeControls controls;
  TestServer server({}, &controls);
  const std::string own = "localhost:" + std::to_string(server.port());
  const std::string token = nlohmann::json::parse(get(server.port(), "/api/demo/token").body)["token"];
  const std::string good = "Content-Type: application/json\r\nX-Ecmigrate: 1\r\nX-Ecmigrate-Token: " + token + "\r\n";
  const auto press = [&](const std::string& headers, const std::string& body = "{}") {
    return request(server.port(), "POST", "/api/demo/expand", headers, body).status;
  };
  CHECK(press(good + "Origin: http://evil.example\r\n") == 403);
  CHECK(press(good + "Origin: null\r\n") == 403);
  CHECK(press(good + "Origin: http://" + own + "\r\nSec-Fetch-Site: same-site\r\n") == 403);
  CHECK(press(good + "Sec-Fetch-Site: cross-site\r\n") == 403);
  CHECK(press("Content-Type: application/json\r\nX-Ecmigrate: 1\r\n") == 403);
  CHECK(press("Content-Type: application/json\r\nX-Ecmigrate: 1\r\nX-Ecmigrate-Token: 0\r\n") == 403);
  CHECK(press("Content-Type: application/json\r\nX-Ecmigrate-Token: " + token + "\r\n") == 403);
  CHECK(press("Content-Type: text/plain\r\nX-Ecmigrate: 1\r\nX-Ecmigrate-Token: " + token + "\r\n") == 415);
  CHECK(press(good, std::string(5'000, 'x')) == 413);
  CHECK(get(server.port(), "/api/demo/token", "Sec-Fetch-Site: cross-site\r\n").status == 403);
  CHECK(get(server.port(), "/api/demo/token", "Origin: http://evil.example\r\n").status == 403);
  CHECK(controls.pressed().empty());
  CHECK(press(good) == 202);
  CHECK(press(good + "Origin: http://" + own + "\r\nSec-Fetch-Site: same-origin\r\n", R"({"a":1})") == 202);
  CHECK(controls.pressed() == R"(expand{}expand{"a":1})");
  CHECK(request(server.port(), "POST", "/api/demo/contract", good).status == 409);
  CHECK(get(server.port(), "/api/demo/expand").headers.at("allow") == "POST");
}
