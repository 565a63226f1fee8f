#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <string>

namespace ecmigrate::serve {

/// Where an answer goes. It is kept for the front desk to send, so that no worker waits for a slow client; only a
/// stream's worker does, as there is no end to what would have to be kept.
class Outlet {
 public:
  Outlet(int socket, std::chrono::milliseconds write_timeout, const std::atomic<bool>& stopping)
      : m_socket(socket), m_write_timeout(write_timeout), m_stopping(stopping) {}

  /// From now on, write() sends, and waits for the client, with at most about 64 KB on their way to it.
  void become_stream();
  /// False: the client is gone, or took nothing for too long.
  bool write(const char* data, std::size_t size);
  [[nodiscard]] bool client_is_there() const;
  [[nodiscard]] bool is_stream() const { return m_stream; }
  [[nodiscard]] bool broken() const { return m_broken; }
  /// What is to be sent.
  [[nodiscard]] std::string& answer() { return m_answer; }

 private:
  /// How much the client took, now.
  std::size_t send_some(const char* data, std::size_t size);
  bool wait_for_room() const;

  int m_socket;
  std::chrono::milliseconds m_write_timeout;
  const std::atomic<bool>& m_stopping;
  std::string m_answer;
  bool m_stream = false;
  bool m_broken = false;
};

}  // namespace ecmigrate::serve
