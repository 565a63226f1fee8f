#include "ecmigrate/serve/serve.hpp"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "command.hpp"
#include "ecmigrate/serve/journal_content.hpp"
#include "serve_flags.hpp"

namespace ecmigrate {

namespace {

struct DataFlags {
  ServeFlags serve;
  bool show_data = false;
  bool no_sample = false;
};

void run_serve(const DataFlags& flags, Invocation& invocation) {
  const serve::ServeOptions options = flags.serve.read();
  // Rows and query texts are other people's data: they leave this machine only if that was asked for.
  const bool show_data = flags.show_data || serve::only_loopback(options);
  serve::Hub hub;
  serve::JournalContent content({connection_string(invocation.flags), "ecmigrate serve", nullptr}, hub,
                                {.show_sample = show_data && !flags.no_sample, .show_queries = show_data});
  serve::run_server(options, content, hub, nullptr, invocation.interrupt.token(),
                    [&](const serve::Addresses& addresses) { tell_addresses(addresses, invocation.flags.report); });
}

}  // namespace

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

void tell_addresses(const serve::Addresses& addresses, const ReportOptions& report) {
  if (report.json) {
    fmt::print("{}\n",
               nlohmann::ordered_json{{"v", 1}, {"type", "listening"}, {"page", addresses.page}, {"api", addresses.api}}
                   .dump());
  } else if (!report.quiet) {
    fmt::print("page  {}\napi   {}\n", addresses.page, addresses.api);
  }
  std::fflush(stdout);
}

void add_serve_command(CLI::App& app, ChosenCommand& chosen) {
  auto flags = std::make_shared<DataFlags>();
  CLI::App* command =
      app.add_subcommand("serve", "Show the migrations of a database on a page, and by an API; reads only");
  add_serve_flags(*command, flags->serve);
  command->add_flag("--show-data", flags->show_data,
                    "Rows and query texts at addresses that other machines reach, too");
  command->add_flag("--no-sample", flags->no_sample, "No rows at any address");
  command->callback([&chosen, flags] { chosen = [flags](Invocation& invocation) { run_serve(*flags, invocation); }; });
}

}  // namespace ecmigrate
