// ecmigrate-traffic: one version of the shop's application, as a program of its own.
#include <fmt/format.h>
#include <signal.h>

#include <CLI/CLI.hpp>
#include <cmath>
#include <nlohmann/json.hpp>

#include "ecmigrate/base/error.hpp"
#include "ecmigrate/base/text.hpp"
#include "ecmigrate/pg/connection.hpp"
#include "ecmigrate/scene/traffic.hpp"

namespace ecmigrate {

namespace {

struct Flags {
  scene::TrafficOptions traffic;
  std::string wait_for_column;
  double seconds = 0;  ///< 0: until a signal
  bool json = false;
};

/// SIGTERM and SIGINT; blocked from the begin, so that no thread is interrupted by one.
sigset_t ending_signals() {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  return signals;
}

/// Waits so long, or until a signal; tells whether there was one.
bool ended_within(double seconds) {
  const sigset_t signals = ending_signals();
  const timespec time{static_cast<time_t>(seconds), static_cast<long>((seconds - std::floor(seconds)) * 1e9)};
  return sigtimedwait(&signals, nullptr, &time) > 0;
}

bool has_column(pg::Connection& connection, const std::string& column) {
  return connection
             .query("select from pg_attribute where attrelid = 'users'::regclass and attname = $1 and not attisdropped",
                    {column})
             .size() == 1;
}

void wait_for_end(double seconds) {
  constexpr double k_day = 86'400;
  if (seconds > 0) {
    ended_within(seconds);
    return;
  }
  while (!ended_within(k_day)) {
  }
}

void print(const Flags& flags, const scene::TrafficStats& stats) {
  if (flags.json) {
    fmt::print("{}\n", nlohmann::ordered_json{{"shape", flags.traffic.shape},
                                              {"requests", stats.requests},
                                              {"failed", stats.failed},
                                              {"longest_stall_ms", stats.slowest_ms},
                                              {"p50_ms", stats.p50_ms},
                                              {"p99_ms", stats.p99_ms},
                                              {"checked", stats.checked},
                                              {"lost", stats.lost},
                                              {"errors", stats.errors}}
                           .dump());
    return;
  }
  fmt::print(
      "{} version: {} requests, {} failed · longest stall {} (p50 {:.1f} ms, p99 {:.1f} ms) · {} rows read back, {} "
      "lost writes\n",
      flags.traffic.shape, with_thousands(stats.requests), stats.failed, format_milliseconds(stats.slowest_ms),
      stats.p50_ms, stats.p99_ms, with_thousands(stats.checked), stats.lost);
  for (const std::string& error : stats.errors) {
    fmt::print("  {}\n", error);
  }
}

int work(const Flags& flags) {
  if (!flags.wait_for_column.empty()) {
    pg::Connection connection({flags.traffic.conninfo, "shop, " + flags.traffic.shape + " version", nullptr});
    constexpr double k_look_every = 0.02;
    while (!has_column(connection, flags.wait_for_column)) {
      if (ended_within(k_look_every)) {
        print(flags, {});
        return 0;
      }
    }
  }
  scene::Traffic traffic(flags.traffic);
  traffic.start();
  wait_for_end(flags.seconds);
  traffic.stop();
  const scene::TrafficStats stats = traffic.stats();
  print(flags, stats);
  return stats.failed > 0 || stats.lost > 0 ? 1 : 0;
}

}  // namespace

static int run_traffic(int argc, char** argv) {
  Flags flags;
  flags.traffic.rate = 100;
  CLI::App app("One version of the demo's application: writes users, and checks that no acknowledged write is lost.",
               "ecmigrate-traffic");
  app.add_option("--shape", flags.traffic.shape, "old: full_name; new: first_name and last_name")
      ->required()
      ->check(CLI::IsMember({"old", "new"}));
  app.add_option("-d,--dbname", flags.traffic.conninfo, "The database, as psql takes it");
  app.add_option("--seconds", flags.seconds, "How long; default: until SIGTERM or SIGINT");
  app.add_option("--rate", flags.traffic.rate, "Requests that arrive a second; default 100")
      ->check(CLI::PositiveNumber);
  app.add_option("--wait-for-column", flags.wait_for_column, "Begin when the table has this column");
  app.add_flag("--json", flags.json, "The report as one JSON object");
  CLI11_PARSE(app, argc, argv);
  const sigset_t signals = ending_signals();
  sigprocmask(SIG_BLOCK, &signals, nullptr);
  try {
    return work(flags);
  } catch (const Error& error) {
    fmt::print(stderr, "error: {}\n", error.what());
    return 1;
  }
}

}  // namespace ecmigrate

int main(int argc, char** argv) {
  return ecmigrate::run_traffic(argc, argv);
}
