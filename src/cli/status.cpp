#include <fmt/format.h>

#include <cmath>

#include <nlohmann/json.hpp>

#include "command.hpp"
#include "ecmigrate/base/error.hpp"
#include "ecmigrate/base/text.hpp"
#include "ecmigrate/planfile/planfile.hpp"
#include "ecmigrate/store/journal.hpp"

namespace ecmigrate {

namespace {

std::vector<MigrationRecord> records(Journal& journal, const std::string& name) {
  if (!journal.installed()) {
    return {};
  }
  if (name.empty()) {
    return journal.all();
  }
  const auto found = journal.find(name);
  return found ? std::vector<MigrationRecord>{*found} : std::vector<MigrationRecord>{};
}

/// The run, and what was set from outside.
nlohmann::ordered_json run_as_json(Journal& journal, const std::string& name) {
  const auto run = journal.last_run(name);
  if (!run) {
    return nullptr;
  }
  const auto or_null = [](const std::optional<std::string>& text) { return text ? nlohmann::ordered_json(*text) : nlohmann::ordered_json(nullptr); };
  const Journal::Steering steering = journal.steering(name);
  nlohmann::ordered_json limits = nlohmann::ordered_json::object();
  for (const auto& [limit, value] : steering.limits) {
    limits[limit] = value;
  }
  return {{"command", run->command},
          {"host", run->host},
          {"process", run->process},
          {"since", run->since},
          {"seen_at", or_null(run->seen_at)},
          {"outcome", or_null(run->outcome)},
          {"lost", run->lost},
          {"paused", steering.paused},
          {"throttle", steering.throttle},
          {"limits", limits}};
}

nlohmann::ordered_json progress_of(Journal& journal, const MigrationRecord& record) {
  nlohmann::ordered_json list = nlohmann::ordered_json::array();
  if (record.state == State::backfilling) {
    for (const std::string& json : journal.last_progress(record.name)) {
      list.push_back(nlohmann::ordered_json::parse(json));
    }
  }
  return list;
}

nlohmann::ordered_json as_json(Journal& journal, const MigrationRecord& record) {
  nlohmann::ordered_json verifications = nlohmann::ordered_json::array();
  for (const VerificationRecord& verification : journal.verifications(record.name)) {
    verifications.push_back({{"relation", verification.relation}, {"rows", verification.rows}, {"differences", verification.differences}, {"at", verification.at}});
  }
  return {{"migration", record.name},       {"state", state_name(record.state)}, {"started_at", record.started_at},
          {"changed_at", record.changed_at}, {"plan_sha256", record.plan_hash},   {"verifications", verifications},
          {"run", run_as_json(journal, record.name)}, {"progress", progress_of(journal, record)}};
}

void print_run(Journal& journal, const std::string& name) {
  if (const auto run = journal.last_run(name); run && !run->outcome) {
    fmt::print("  {}: {} on {} (process {}) since {}{}{}\n", run->lost ? "lost" : "running", run->command, run->host, run->process, run->since,
               run->seen_at ? ", last seen " + *run->seen_at : "", run->lost ? "; run the same command again to go on" : "");
  }
  const Journal::Steering steering = journal.steering(name);
  if (steering.paused) {
    fmt::print("  paused by {}\n", steering.paused_by);
  }
  if (!steering.throttled.empty()) {
    fmt::print("  {}\n", steering.throttled);
  }
  for (const auto& [limit, value] : steering.limits) {
    fmt::print("  set: {}={}\n", limit, value);
  }
}

void print_text(Journal& journal, const MigrationRecord& record) {
  fmt::print("{:<40} {:<14} since {}\n", record.name, state_name(record.state), record.changed_at);
  print_run(journal, record.name);
  for (const auto& progress : progress_of(journal, record)) {
    const auto number = [&](const char* member) { return progress[member].is_null() ? 0.0 : progress[member].get<double>(); };
    fmt::print("  {}  {:.1f}%  {} rows  {} rows/s  batch p50 {} p99 {}  hot {:.0f}%  wal {}/s{}  paused {:.0f}%{}\n", progress["relation"].get<std::string>(),
               number("percent"), with_thousands(progress["rows"].get<std::int64_t>()), with_thousands(std::llround(number("rows_per_second"))),
               format_milliseconds(number("batch_p50_ms")), format_milliseconds(number("batch_p99_ms")), number("hot_percent"),
               format_bytes(number("wal_bytes_per_second")), progress["lag_ms"].is_null() ? "" : "  lag " + format_milliseconds(number("lag_ms")),
               number("paused_percent"), progress["slow_because"] == "" ? "" : "  " + progress["slow_because"].get<std::string>());
  }
  for (const VerificationRecord& verification : journal.verifications(record.name)) {
    fmt::print("  verified {}: {} rows, {} differences, at {}\n", verification.relation, with_thousands(verification.rows),
               with_thousands(verification.differences), verification.at);
  }
}

struct StatusFlags {
  std::string plan_file;
  bool exit_code = false;
};

void show_status(const StatusFlags& status, Invocation& invocation) {
  std::string name;
  if (!status.plan_file.empty()) {
    name = read_plan(status.plan_file).name;
  }
  invocation.result.migration = name;
  pg::Connection connection({connection_string(invocation.flags), "ecmigrate status", nullptr});
  Journal journal(connection);
  const std::vector<MigrationRecord> found = records(journal, name);
  bool work_left = found.empty() && !name.empty();
  nlohmann::ordered_json list = nlohmann::ordered_json::array();
  for (const MigrationRecord& record : found) {
    work_left = work_left || record.state != State::contracted;
    if (invocation.flags.report.json) {
      list.push_back(as_json(journal, record));
    } else {
      print_text(journal, record);
    }
  }
  if (invocation.flags.report.json) {
    fmt::print("{}\n", nlohmann::ordered_json{{"v", 1}, {"type", "status"}, {"migrations", list}}.dump());
    std::fflush(stdout);
  } else if (found.empty()) {
    fmt::print("{}\n", name.empty() ? std::string("no migrations") : fmt::format("{:<40} planned", name));
  }
  if (found.size() == 1) {
    invocation.result.state = state_name(found.front().state);
  }
  if (status.exit_code && work_left) {
    throw Error(Outcome::work_remains, "work remains");
  }
}

}  // namespace

void add_status_command(CLI::App& app, ChosenCommand& chosen) {
  auto flags = std::make_shared<StatusFlags>();
  CLI::App* command = app.add_subcommand("status", "Where each migration stands");
  command->add_option("plan", flags->plan_file, "Only the migration of this plan file")->type_name("PLAN");
  command->add_flag("--exit-code", flags->exit_code, "Exit 8 while something is not contracted");
  command->callback([&chosen, flags] { chosen = [flags](Invocation& invocation) { show_status(*flags, invocation); }; });
}

}  // namespace ecmigrate
