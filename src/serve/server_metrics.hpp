#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>

namespace ecmigrate::serve {

/// What the server knows of itself. Safe from any thread.
class ServerMetrics {
 public:
  explicit ServerMetrics(std::size_t max_streams) : m_max_streams(max_streams) {}

  void count_request(int status);
  /// A place for a stream, taken until the pointer and its copies are gone; null: there is none.
  std::shared_ptr<void> take_stream();
  /// Prometheus text.
  [[nodiscard]] std::string text() const;

 private:
  const std::size_t m_max_streams;
  std::atomic<std::size_t> m_streams{0};
  mutable std::mutex m_mutex;
  std::map<int, std::uint64_t> m_requests;  ///< by status code
};

}  // namespace ecmigrate::serve
