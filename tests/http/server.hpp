#pragma once

#include <future>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

#include "ecmigrate/serve/serve.hpp"

/// What the tests' server shows.
class FakeContent final : public ecmigrate::serve::Content {
 public:
  std::optional<std::string> state(const std::string& migration) override { return document("state", migration); }
  std::optional<std::string> series(const std::string& migration, int points) override {
    return document("series" + std::to_string(points), migration);
  }
  std::optional<std::string> events(const std::string& migration, std::int64_t before, int limit) override {
    return document("events before " + std::to_string(before) + " limit " + std::to_string(limit), migration);
  }
  std::optional<std::string> locks(const std::string& migration) override { return document("locks", migration); }
  std::string metrics() override { return "ecmigrate_up 1\n"; }
  ecmigrate::serve::Health health() override {
    const std::scoped_lock lock(m_mutex);
    return {m_up, 412.4, m_up ? "" : "no route to \"db1\""};
  }
  void look(const std::string& migration) override {
    const std::scoped_lock lock(m_mutex);
    ++m_looks[migration];
  }

  void set_up(bool up) {
    const std::scoped_lock lock(m_mutex);
    m_up = up;
  }
  /// So many bytes more in every document.
  void set_padding(std::size_t bytes) {
    const std::scoped_lock lock(m_mutex);
    m_padding = std::string(bytes, 'x');
  }
  int looks(const std::string& migration) {
    const std::scoped_lock lock(m_mutex);
    return m_looks[migration];
  }

 private:
  std::optional<std::string> document(const std::string& what, const std::string& migration) {
    const std::scoped_lock lock(m_mutex);
    if (migration == "nobody") {
      return std::nullopt;
    }
    if (migration == "broken") {
      throw std::runtime_error("this document cannot be made");
    }
    return "{\"is\":\"" + what + "\",\"of\":\"" + migration + "\",\"padding\":\"" + m_padding + "\"}";
  }

  std::mutex m_mutex;
  bool m_up = true;
  std::string m_padding;
  std::map<std::string, int> m_looks;
};

/// A server of the test's own, at ports that were free.
class TestServer {
 public:
  explicit TestServer(ecmigrate::serve::ServeOptions options = {}, ecmigrate::serve::Controls* controls = nullptr);
  ~TestServer();

  FakeContent content;
  ecmigrate::serve::Hub hub;

  [[nodiscard]] int port() const { return m_port; }
  [[nodiscard]] int api_port() const { return m_api_port; }
  void request_stop() { m_thread.request_stop(); }
  /// Waits for its end.
  void join();

 private:
  int m_port = 0;
  int m_api_port = 0;
  std::future<void> m_end;
  std::jthread m_thread;
};

/// An answer, taken apart.
struct Answer {
  int status = 0;                              ///< 0: none came
  std::map<std::string, std::string> headers;  ///< by name in lower case
  std::string body;
};

/// A client that says what it is told to, to the byte.
class RawClient {
 public:
  explicit RawClient(int port);
  ~RawClient();
  RawClient(RawClient&& other) noexcept;
  RawClient(const RawClient&) = delete;
  RawClient& operator=(const RawClient&) = delete;

  /// False: the server has closed the connection.
  bool send(const std::string& bytes);
  /// The next answer; of one to HEAD, the body is not waited for.
  Answer receive(bool head = false);
  /// Everything that comes until it has this text in it; false: it did not come.
  bool receive_until(const std::string& text);
  /// Drops what came before and with this text.
  void forget_until(const std::string& text);
  [[nodiscard]] const std::string& received() const { return m_received; }
  /// Reads on until the server closes; false: it does not.
  bool is_closed();
  /// The system keeps as little as it can of what comes.
  void read_little();

 private:
  /// More of what comes; false: nothing comes any more.
  bool read_more();

  int m_socket;
  std::string m_received;
};

/// GET with such headers, on a connection of its own.
Answer get(int port, const std::string& target, const std::string& headers = "");
Answer request(int port, const std::string& method, const std::string& target, const std::string& headers = "",
               const std::string& body = "");
/// "not_found" of {"error":{"code":"not_found",…}}. Checks that the answer is well formed, and says how a browser has
/// to treat it.
std::string error_code(const Answer& answer);
