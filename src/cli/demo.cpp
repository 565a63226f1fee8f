#include "ecmigrate/scene/demo.hpp"

#include <fmt/format.h>
#include <pwd.h>
#include <unistd.h>

#include <cstdlib>

#include "command.hpp"
#include "output.hpp"
#include "serve_flags.hpp"

namespace ecmigrate {

namespace {

struct DemoFlags {
  ServeFlags serve;
  bool no_token = false;
  std::string folder;
  std::int64_t rows = 200'000;
};

/// One place a user, so that the demo is found again.
std::filesystem::path folder_of(const DemoFlags& flags) {
  if (!flags.folder.empty()) {
    return flags.folder;
  }
  if (const char* folder = std::getenv("ECMIGRATE_DEMO_DIR"); folder != nullptr && *folder != '\0') {
    return folder;
  }
  const passwd* user = getpwuid(geteuid());
  return fmt::format("/tmp/ecmigrate-demo-{}", user == nullptr ? std::to_string(geteuid()) : user->pw_name);
}

void run_demo(const DemoFlags& flags, Invocation& invocation) {
  serve::ServeOptions options = flags.serve.read();
  options.open_to_all = flags.no_token;
  serve::Hub hub;
  // Only a database that was named for it: those of the environment are for work.
  scene::Demo demo({.folder = folder_of(flags), .dbname = invocation.flags.dbname, .rows = flags.rows}, hub,
                   invocation.interrupt.token());
  {
    serve::JournalContent content({demo.conninfo(), "ecmigrate demo, page", nullptr}, hub,
                                  {.planned = demo.planned(), .demo = [&demo] { return demo.part(); }});
    serve::run_server(options, content, hub, &demo, invocation.interrupt.token(),
                      [&](const serve::Addresses& addresses) {
                        if (!invocation.flags.report.json && !invocation.flags.report.quiet) {
                          print_whole(fmt::format("demo  {}\n", demo.description()));
                        }
                        tell_addresses(addresses, invocation);
                      });
  }
  invocation.result.message = demo.finish();
}

void add_to(CLI::App& command, ChosenCommand& chosen) {
  auto flags = std::make_shared<DemoFlags>();
  add_serve_flags(command, flags->serve);
  command.add_flag("--no-token", flags->no_token,
                   "Other machines may press without a token: for a network of the demo's own, as a container's");
  command
      .add_option("--folder", flags->folder,
                  "Of its PostgreSQL; default: ECMIGRATE_DEMO_DIR, or /tmp/ecmigrate-demo-USER")
      ->type_name("DIR");
  command.add_option("--rows", flags->rows, "Users of the shop, where there is none yet")
      ->check(CLI::Range(1'000, 100'000'000))
      ->type_name("N")
      ->capture_default_str();
  command.callback([&chosen, flags] { chosen = [flags](Invocation& invocation) { run_demo(*flags, invocation); }; });
}

const RegisterCommand k_demo({.place = 120,
                              .name = "demo",
                              .description = "Show a migration of a sample shop under traffic, on a page with controls",
                              .examples = {"ecmigrate demo", "ecmigrate demo --rows 1000000 --listen 127.0.0.1:8080"},
                              .outcomes = {Outcome::failed, Outcome::refused, Outcome::interrupted,
                                           Outcome::terminated},
                              .add_to = add_to});

}  // namespace

}  // namespace ecmigrate
