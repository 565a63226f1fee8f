#include "serve_flags.hpp"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "output.hpp"

namespace ecmigrate {

serve::ServeOptions ServeFlags::read() const {
  serve::ServeOptions read = options;
  if (!token_file.empty()) {
    read.token = serve::read_token(token_file);
  }
  return read;
}

void add_serve_flags(CLI::App& command, ServeFlags& flags) {
  command.add_option("--listen", flags.options.listen, "Where the page is; port 0: one that is free")
      ->type_name("HOST:PORT")
      ->capture_default_str();
  command
      .add_option("--api-listen", flags.options.api_listen, "Where the API is; the same as the page's: one for both")
      ->type_name("HOST:PORT")
      ->capture_default_str();
  command
      .add_option("--max-streams", flags.options.max_streams,
                  "So many browsers are told of changes at once; others ask every two seconds")
      ->type_name("N")
      ->check(CLI::Range(1, 1'000))
      ->capture_default_str();
  command.add_option("--allow-host", flags.options.allowed_hosts, "A name that this server goes by, besides localhost")
      ->type_name("NAME");
  command
      .add_option("--token-file", flags.token_file,
                  "Whoever asks has to bring the token in this file; needed for addresses that other machines reach")
      ->type_name("FILE");
}

void tell_addresses(const serve::Addresses& addresses, Invocation& invocation) {
  const nlohmann::ordered_json members{{"page", addresses.page}, {"api", addresses.api}};
  invocation.observer.on(event::Document{"listening", members.dump()});
  if (invocation.flags.report.json && output_error()) {
    throw OutputLost();
  }
  if (!invocation.flags.report.json && !invocation.flags.report.quiet) {
    print_whole(fmt::format("page  {}\napi   {}\n", addresses.page, addresses.api));
  }
}

}  // namespace ecmigrate
