#include "server_metrics.hpp"

#include <fmt/format.h>

namespace ecmigrate::serve {

void ServerMetrics::count_request(int status) {
  const std::scoped_lock lock(m_mutex);
  ++m_requests[status];
}

std::shared_ptr<void> ServerMetrics::take_stream() {
  std::shared_ptr<void> place(this, [](void* self) { --static_cast<ServerMetrics*>(self)->m_streams; });
  return ++m_streams > m_max_streams ? nullptr : place;
}

std::string ServerMetrics::text() const {
  std::string text = fmt::format(
      "# HELP ecmigrate_serve_streams Streams of events that are open.\n# TYPE ecmigrate_serve_streams "
      "gauge\necmigrate_serve_streams {}\n"
      "# HELP ecmigrate_serve_requests_total Requests that were answered, by status code.\n# TYPE "
      "ecmigrate_serve_requests_total counter\n",
      m_streams.load());
  const std::scoped_lock lock(m_mutex);
  for (const auto& [status, count] : m_requests) {
    text += fmt::format("ecmigrate_serve_requests_total{{code=\"{}\"}} {}\n", status, count);
  }
  return text;
}

}  // namespace ecmigrate::serve
