#include "ecmigrate/serve/serve.hpp"

#include <fmt/format.h>
#include <sys/resource.h>

#include <algorithm>
#include <optional>

#include "address.hpp"
#include "api.hpp"
#include "ecmigrate/base/error.hpp"
#include "front_desk.hpp"

namespace ecmigrate::serve {

namespace {

/// Besides those for the streams.
constexpr std::size_t k_threads = 32;

/// Every connection is an open file, and many systems allow 1,024 of them unless asked for more.
void allow_open_files(std::size_t connections) {
  constexpr std::size_t k_others = 256;
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < connections + k_others) {
    limit.rlim_cur = std::min<rlim_t>(limit.rlim_max, connections + k_others);
    ::setrlimit(RLIMIT_NOFILE, &limit);
  }
}

/// Names that lead to this machine whoever gave them: addresses do, and the one that was asked for is meant.
std::vector<std::string> host_names(const ServeOptions& options, const std::vector<Address>& addresses) {
  std::vector<std::string> names = options.allowed_hosts;
  for (const Address& address : addresses) {
    names.push_back(host_in_url(address.host));
  }
  return names;
}

}  // namespace

bool only_loopback(const ServeOptions& options) {
  return is_loopback(parse_address("--listen", options.listen)) &&
         is_loopback(parse_address("--api-listen", options.api_listen));
}

void run_server(const ServeOptions& options, Content& content, Hub& hub, Controls* controls, std::stop_token stop,
                const std::function<void(const Addresses&)>& started) {
  const Address page_address = parse_address("--listen", options.listen);
  const Address api_address = parse_address("--api-listen", options.api_listen);
  if (options.token.empty() && !options.open_to_all && !only_loopback(options)) {
    const std::string& open_to_all = is_loopback(page_address) ? options.api_listen : options.listen;
    throw Error(Outcome::usage, fmt::format("other machines would reach {}, and there is no token", open_to_all),
                "Leave it on 127.0.0.1 and reach it by \"ssh -L 3000:127.0.0.1:3000 HOST\" or through a reverse proxy "
                "that asks who it is; "
                "or give --token-file FILE.");
  }
  allow_open_files(options.max_connections);
  Access access(host_names(options, {page_address, api_address}), options.token);
  ServerMetrics metrics(options.max_streams);
  Routes routes;
  add_documents(routes, content, access, metrics);
  add_stream(routes, content, hub, metrics);
  if (controls != nullptr) {
    add_controls(routes, *controls);
  }
  HttpServer api(routes, access, metrics);
  add_page(routes);
  HttpServer page(routes, access, metrics);

  FrontDesk desk({.connections = options.max_connections,
                  .threads = options.max_streams + k_threads,
                  .request_timeout = options.request_timeout,
                  .write_timeout = options.write_timeout},
                 metrics);
  Socket page_socket = listen_on("--listen", page_address);
  Addresses addresses{url_of(page_address, page_socket), {}};
  desk.open(std::move(page_socket), page);
  addresses.api = addresses.page;
  if (api_address != page_address) {
    Socket api_socket = listen_on("--api-listen", api_address);
    addresses.api = url_of(api_address, api_socket);
    desk.open(std::move(api_socket), api);
  }
  started(addresses);
  desk.run(stop, [&hub] { hub.end(); });
}

}  // namespace ecmigrate::serve
