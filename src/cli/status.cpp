#include <fmt/format.h>

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

nlohmann::ordered_json as_json(Journal& journal, const MigrationRecord& record) {
  nlohmann::ordered_json verifications = nlohmann::ordered_json::array();
  for (const VerificationRecord& verification : journal.verifications(record.name)) {
    verifications.push_back({{"relation", verification.relation}, {"rows", verification.rows}, {"differences", verification.differences}, {"at", verification.at}});
  }
  return {{"migration", record.name},       {"state", state_name(record.state)}, {"started_at", record.started_at},
          {"changed_at", record.changed_at}, {"plan_sha256", record.plan_hash},   {"verifications", verifications}};
}

void print_text(Journal& journal, const MigrationRecord& record) {
  fmt::print("{:<40} {:<14} since {}\n", record.name, state_name(record.state), record.changed_at);
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
