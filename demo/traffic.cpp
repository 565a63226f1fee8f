// ecmigrate-traffic: the demo's application, in its old or its new version.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <csignal>
#include <nlohmann/json.hpp>

#include "application.hpp"
#include "ecmigrate/base/error.hpp"
#include "ecmigrate/base/text.hpp"
#include "ecmigrate/engine/walk.hpp"

namespace ecmigrate::traffic {

namespace {

void print(const TrafficOptions& options, const TrafficReport& report, bool json) {
  const double stall = percentile(report.milliseconds, 1);
  const double p50 = percentile(report.milliseconds, 0.5);
  const double p99 = percentile(report.milliseconds, 0.99);
  if (json) {
    fmt::print("{}\n", nlohmann::ordered_json{{"shape", options.shape}, {"requests", report.requests}, {"failed", report.failed}, {"longest_stall_ms", stall},
                                              {"p50_ms", p50}, {"p99_ms", p99}, {"checked", report.checked}, {"lost", report.lost}, {"errors", report.errors}}
                           .dump());
    return;
  }
  fmt::print("{} version: {} requests, {} failed · longest stall {} (p50 {:.1f} ms, p99 {:.1f} ms) · {} rows read back, {} lost writes\n", options.shape,
             with_thousands(report.requests), report.failed, format_milliseconds(stall), p50, p99, with_thousands(report.checked), report.lost);
  for (const std::string& error : report.errors) {
    fmt::print("  {}\n", error);
  }
}

}  // namespace

static int run_traffic(int argc, char** argv) {
  TrafficOptions options;
  bool json = false;
  CLI::App app("One version of the demo's application: writes users, and checks that no acknowledged write is lost.", "ecmigrate-traffic");
  app.add_option("--shape", options.shape, "old: full_name; new: first_name and last_name")->required()->check(CLI::IsMember({"old", "new"}));
  app.add_option("-d,--dbname", options.dbname, "The database, as psql takes it");
  app.add_option("--seconds", options.seconds, "How long; default: until SIGTERM or SIGINT");
  app.add_option("--rate", options.rate, "Requests per second, at most; default 100")->check(CLI::PositiveNumber);
  app.add_option("--wait-for-column", options.wait_for_column, "Begin when the table has this column");
  app.add_flag("--json", json, "The report as one JSON object");
  CLI11_PARSE(app, argc, argv);
  std::signal(SIGTERM, [](int) { stop(); });
  std::signal(SIGINT, [](int) { stop(); });
  try {
    const TrafficReport report = run_application(options);
    print(options, report, json);
    return report.failed > 0 || report.lost > 0 ? 1 : 0;
  } catch (const Error& error) {
    fmt::print(stderr, "error: {}\n", error.what());
    return 1;
  }
}

}  // namespace ecmigrate::traffic

int main(int argc, char** argv) {
  return ecmigrate::traffic::run_traffic(argc, argv);
}
