#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <stop_token>
#include <string>
#include <vector>

#include "ecmigrate/serve/content.hpp"
#include "ecmigrate/serve/hub.hpp"

namespace ecmigrate::serve {

struct ServeOptions {
  std::string listen = "127.0.0.1:3000";      ///< page and API; "host:port", "[::1]:port", port 0: any that is free
  std::string api_listen = "127.0.0.1:3001";  ///< the API alone; the same as `listen`: one for both
  std::size_t max_streams = 64;
  std::vector<std::string> allowed_hosts;  ///< names a request may give as its Host, besides the loopback's
  std::string token;                       ///< what requests have to bring; empty: nothing
  bool open_to_all = false;                ///< no token is needed, whoever reaches it
  std::size_t max_connections = 1'000;
  std::chrono::milliseconds request_timeout{10'000};  ///< for a request to come whole, or the next to begin
  std::chrono::milliseconds write_timeout{5'000};     ///< for a client to take something of its answer
};

/// Where it listens: "http://127.0.0.1:3000".
struct Addresses {
  std::string page;
  std::string api;
};

/// Serves until the stop, which it answers within two seconds. `controls` may be null: there are none then. Throws
/// Error{usage} for addresses that cannot be, or are not on this machine's loopback while there is no token and it is
/// not open to all; Error{failed} for those that are taken.
void run_server(const ServeOptions& options, Content& content, Hub& hub, Controls* controls, std::stop_token stop,
                const std::function<void(const Addresses&)>& started);

/// Only this machine reaches these addresses.
bool only_loopback(const ServeOptions& options);

/// The token in a file. Throws Error{usage} if others may read the file, or the token is too short to be a secret.
std::string read_token(const std::string& file);

}  // namespace ecmigrate::serve
