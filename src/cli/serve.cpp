#include "ecmigrate/serve/serve.hpp"

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
                    [&](const serve::Addresses& addresses) { tell_addresses(addresses, invocation); });
}

void add_to(CLI::App& command, ChosenCommand& chosen) {
  auto flags = std::make_shared<DataFlags>();
  add_serve_flags(command, flags->serve);
  command.add_flag("--show-data", flags->show_data, "Rows and query texts at addresses that other machines reach, too");
  command.add_flag("--no-sample", flags->no_sample, "No rows at any address");
  command.callback([&chosen, flags] { chosen = [flags](Invocation& invocation) { run_serve(*flags, invocation); }; });
}

const RegisterCommand k_serve({.place = 110,
                               .name = "serve",
                               .description = "Show the migrations of a database on a page, and by an API; reads only",
                               .examples = {"ecmigrate serve -d postgres://app@db/shop",
                                            "ecmigrate serve --listen 0.0.0.0:3000 --token-file token"},
                               .outcomes = {Outcome::failed, Outcome::interrupted, Outcome::terminated},
                               .add_to = add_to});

}  // namespace

}  // namespace ecmigrate
