#pragma once

#include <httplib.h>

#include <string>

#include "access.hpp"
#include "outlet.hpp"
#include "request_reader.hpp"
#include "routes.hpp"
#include "server_metrics.hpp"

namespace ecmigrate::serve {

/// cpp-httplib's reading and answering of one request. Its connections are not used: each of them keeps a thread while
/// nothing comes, takes headers without end, and fails above 1,023 open files; the front desk has ours.
class HttpServer final : private httplib::Server {
 public:
  HttpServer(Routes routes, const Access& access, ServerMetrics& metrics);

  /// True: the connection can be used again.
  bool answer(const IncomingRequest& request, Outlet& outlet);

 private:
  void route(const httplib::Request& request, httplib::Response& response) const;
  [[nodiscard]] const Route* find(const std::string& path) const;

  Routes m_routes;
  const Access& m_access;
};

}  // namespace ecmigrate::serve
