#pragma once

#include <atomic>
#include <chrono>
#include <list>
#include <memory>
#include <mutex>
#include <stop_token>
#include <string>
#include <vector>

#include "address.hpp"
#include "http_server.hpp"
#include "workers.hpp"

namespace ecmigrate::serve {

struct DeskLimits {
  std::size_t connections;
  std::size_t threads;
  std::chrono::milliseconds request_timeout;
  std::chrono::milliseconds write_timeout;
};

/// One thread that has every connection while it waits for its client: for a request to come whole, or for an answer to
/// be taken. A worker gets a connection only with a whole request, and gives it back with the answer. So
/// clients that are slow or say nothing cost memory, and no thread.
///
/// When there are as many connections as there may be, some more are let in to be told so, and to ask for /health.
class FrontDesk {
 public:
  FrontDesk(const DeskLimits& limits, ServerMetrics& metrics);
  ~FrontDesk();

  /// What comes to this socket is for that server, which outlives the desk.
  void open(Socket listening, HttpServer& server);
  /// Until the stop. `on_stop` has to make the streams end.
  void run(std::stop_token stop, const std::function<void()>& on_stop);

 private:
  using Clock = std::chrono::steady_clock;
  enum class State { reading, writing, draining };

  struct Connection {
    Socket socket;
    HttpServer* server = nullptr;
    bool surplus = false;  ///< one more than there may be
    State state = State::reading;
    bool ready = false;  ///< its socket has something to do
    std::string received;
    std::string to_send;
    std::size_t sent = 0;
    bool close_after = false;
    Clock::time_point deadline;
    Clock::time_point last_deadline;  ///< for the whole of an answer
  };
  using Connections = std::list<std::unique_ptr<Connection>>;

  struct Listener {
    Socket socket;
    HttpServer* server;
  };

  void wait();
  void accept_all(const Listener& listener);
  void admit(Socket socket, HttpServer& server);
  /// Each goes on as far as it can; false: the connection is to be closed. One that a worker got has a null pointer.
  bool go_on(std::unique_ptr<Connection>& connection);
  bool receive(Connection& connection);
  /// The next request, if it is here.
  bool take(std::unique_ptr<Connection>& connection);
  void give_to_worker(std::unique_ptr<Connection> connection, IncomingRequest request);
  bool refuse(Connection& connection, const Refusal& refusal);
  bool begin_sending(Connection& connection);
  bool send(Connection& connection);
  bool drain(Connection& connection) const;
  bool expire(Connection& connection);
  void take_back();
  void wake() const;

  const DeskLimits m_limits;
  ServerMetrics& m_metrics;
  std::vector<Listener> m_listeners;
  Socket m_wake_reading;
  Socket m_wake_writing;
  Connections m_connections;
  std::size_t m_at_work = 0;
  Clock::time_point m_accept_after{};
  std::atomic<bool> m_stopping{false};
  std::mutex m_mutex;
  Connections m_given_back;
  std::unique_ptr<Workers> m_workers;  ///< ends first
};

}  // namespace ecmigrate::serve
