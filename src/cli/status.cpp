#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "command.hpp"
#include "ecmigrate/base/error.hpp"
#include "ecmigrate/base/text.hpp"
#include "ecmigrate/model/fixed_settings.hpp"
#include "ecmigrate/planfile/planfile.hpp"
#include "ecmigrate/report/answers.hpp"
#include "ecmigrate/store/catalog_reader.hpp"
#include "ecmigrate/store/event_json.hpp"
#include "ecmigrate/store/journal.hpp"
#include "ecmigrate/store/read_model.hpp"

namespace ecmigrate {

namespace {

using Json = nlohmann::ordered_json;

/// Every migration, or the one of that name; none where there is no journal.
JournalView read_journal(pg::Connection& connection, const std::string& name) {
  Journal journal(connection);
  if (!journal.installed()) {
    return {};
  }
  ReadModel model(connection, journal.format());
  if (!name.empty()) {
    return model.look({name});
  }
  std::vector<std::string> names;
  for (const MigrationSummary& summary : model.list()) {
    names.push_back(summary.name);
  }
  JournalView view = model.look(names);
  std::ranges::sort(view.migrations, {},
                    [](const MigrationView& migration) { return std::pair(migration.started_at, migration.name); });
  return view;
}

Json time_or_null(const std::optional<Instant>& at) {
  return at ? Json(utc_time(*at)) : Json(nullptr);
}

/// The run, and what was set from outside.
Json run_as_json(const MigrationView& migration) {
  if (!migration.run) {
    return nullptr;
  }
  const RunView& run = *migration.run;
  Json limits = Json::object();
  for (const auto& [limit, value] : migration.steering.limits) {
    limits[limit] = value;
  }
  return {{"command", run.command},
          {"host", run.host},
          {"process", run.process},
          {"since", utc_time(run.since)},
          {"seen_at", time_or_null(run.seen_at)},
          {"outcome", run.outcome ? Json(*run.outcome) : Json(nullptr)},
          {"message", run.message},
          {"hint", run.hint},
          {"lost", run.lost},
          {"paused", migration.steering.paused},
          {"throttle", migration.steering.throttle},
          {"limits", limits}};
}

/// Of a backfill that is not over: what it told last.
std::vector<event::Progress> progress_of(const MigrationView& migration) {
  std::vector<event::Progress> list;
  for (const ProgressView& view : migration.progress) {
    if (migration.state == State::backfilling && view.progress.phase == "backfill") {
      list.push_back(view.progress);
    }
  }
  return list;
}

Json as_json(const MigrationView& migration, Instant now) {
  Json verifications = Json::array();
  for (const VerificationView& verification : migration.verifications) {
    verifications.push_back({{"relation", verification.relation},
                             {"rows", verification.rows},
                             {"differences", verification.differences},
                             {"at", utc_time(verification.at)}});
  }
  Json progress = Json::array();
  for (const event::Progress& one : progress_of(migration)) {
    progress.push_back(Json::parse(event_to_json(one)));
  }
  const Answers answers = answers_about(migration, now, {}, {});
  return {{"migration", migration.name},
          {"state", migration.state_text},
          {"situation", situation_name(situation_of(migration))},
          {"started_at", utc_time(migration.started_at)},
          {"changed_at", utc_time(migration.changed_at)},
          {"plan_sha256", migration.plan_hash},
          {"verifications", verifications},
          {"run", run_as_json(migration)},
          {"progress", progress},
          {"where", answers.migration.lead},
          {"next", answers.next.command}};
}

void print_run(const MigrationView& migration) {
  if (migration.run && !migration.run->finished_at) {
    const RunView& run = *migration.run;
    fmt::print("  {}: {} on {} (process {}) since {}{}{}\n", run.lost ? "lost" : "running", run.command, run.host,
               run.process, utc_time(run.since), run.seen_at ? ", last seen " + utc_time(*run.seen_at) : "",
               run.lost ? "; run the same command again to go on" : "");
  }
  const SteeringView& steering = migration.steering;
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

void print_text(const MigrationView& migration, Instant now) {
  fmt::print("{:<40} {:<14} since {}\n", migration.name, migration.state_text, utc_time(migration.changed_at));
  const Answers answers = answers_about(migration, now, {}, {});
  fmt::print("  {}{}{}\n", answers.migration.lead, answers.migration.more.empty() ? "" : ". ", answers.migration.more);
  print_run(migration);
  for (const event::Progress& e : progress_of(migration)) {
    fmt::print("  {}  {:.1f}%  {} rows  {} rows/s  batch p50 {} p99 {}  hot {:.0f}%  wal {}/s{}  paused {:.0f}%{}\n",
               e.relation, e.percent, with_thousands(e.rows), with_thousands(std::llround(e.rows_per_second)),
               format_milliseconds(e.batch_p50_ms), format_milliseconds(e.batch_p99_ms), e.hot_percent,
               format_bytes(e.wal_bytes_per_second), e.lag_ms ? "  lag " + format_milliseconds(*e.lag_ms) : "",
               e.paused_percent, e.slow_because.empty() ? "" : "  " + e.slow_because);
  }
  for (const VerificationView& verification : migration.verifications) {
    fmt::print("  verified {}: {} rows, {} differences, at {}\n", verification.relation,
               with_thousands(verification.rows), with_thousands(verification.differences), utc_time(verification.at));
  }
  if (!answers.next.command.empty()) {
    fmt::print("  next: {}\n", answers.next.command);
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
  connection.script("begin read only; " + own_settings_for_now());
  const JournalView view = read_journal(connection, name);
  const bool sees_all = sees_other_sessions(connection);
  connection.script("commit");
  const std::vector<MigrationView>& found = view.migrations;
  bool work_left = found.empty() && !name.empty();
  Json list = Json::array();
  for (const MigrationView& migration : found) {
    work_left = work_left || migration.state != State::contracted;
    if (invocation.flags.report.json) {
      list.push_back(as_json(migration, view.now));
    } else {
      print_text(migration, view.now);
    }
  }
  if (invocation.flags.report.json) {
    invocation.observer.on(event::Document{"status", Json{{"migrations", list}}.dump()});
  } else if (found.empty()) {
    fmt::print("{}\n", name.empty() ? std::string("no migrations") : fmt::format("{:<40} planned", name));
  }
  if (!sees_all && !found.empty() && !invocation.flags.report.json) {
    fmt::print("note: {}\n", k_without_pg_monitor);
  }
  if (found.size() == 1) {
    invocation.result.state = found.front().state_text;
  }
  if (status.exit_code && work_left) {
    throw Error(Outcome::work_remains, "work remains");
  }
}

void add_to(CLI::App& command, ChosenCommand& chosen) {
  auto flags = std::make_shared<StatusFlags>();
  command.add_option("plan", flags->plan_file, "Only the migration of this plan file")->type_name("PLAN");
  command.add_flag("--exit-code", flags->exit_code, "Exit 8 while something is not contracted");
  command.callback([&chosen, flags] { chosen = [flags](Invocation& invocation) { show_status(*flags, invocation); }; });
}

const RegisterCommand k_status({.place = 90,
                                .name = "status",
                                .description = "Where each migration stands",
                                .examples = {"ecmigrate status -d postgres://app@db/shop",
                                             "ecmigrate status plan.yaml --exit-code"},
                                .outcomes = {Outcome::cannot_connect, Outcome::work_remains},
                                .add_to = add_to});

}  // namespace

}  // namespace ecmigrate
