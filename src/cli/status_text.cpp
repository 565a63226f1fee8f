#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "ecmigrate/base/text.hpp"
#include "ecmigrate/store/catalog_reader.hpp"
#include "ecmigrate/store/event_json.hpp"
#include "status.hpp"

namespace ecmigrate {

namespace {

using Json = nlohmann::ordered_json;

bool is_at_work(const MigrationView& migration) {
  return migration.run && !migration.run->finished_at && !migration.run->lost;
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

std::string forget_command(const MigrationView& migration) {
  return "ecmigrate forget " + shell_quote(migration.name);
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

Json pauses_as_json(const MigrationView& migration) {
  Json list = Json::array();
  for (const PauseView& pause : migration.pauses) {
    Json reasons = Json::array();
    for (const PauseReason& reason : pause.reasons) {
      reasons.push_back({{"code", reason.code}, {"text", reason.text}});
    }
    list.push_back({{"from", utc_time(pause.from)}, {"to", time_or_null(pause.to)}, {"reasons", reasons}});
  }
  return list;
}

Json locks_as_json(const MigrationView& migration) {
  Json list = Json::array();
  for (const StepLock& lock : migration.locks) {
    list.push_back({{"phase", lock.phase},
                    {"step", lock.step},
                    {"relation", lock.relation},
                    {"mode", lock.mode},
                    {"tries", lock.tries},
                    {"waited_ms", lock.waited_ms},
                    {"held_ms", lock.held_ms ? Json(*lock.held_ms) : Json(nullptr)},
                    {"blocked_sessions", lock.blocked_sessions},
                    {"blocked_longest_ms", lock.blocked_longest_ms},
                    {"at", utc_time(lock.at)}});
  }
  return list;
}

Json error_as_json(const MigrationView& migration) {
  const RunView* run = failed_run(migration);
  return run == nullptr ? Json(nullptr)
                        : Json{{"code", run->outcome.value_or("")}, {"message", run->message}, {"hint", run->hint}};
}

/// What can be done about a table that is not as it was.
std::string way_out(const MigrationView& migration, const TableFate& fate) {
  if (fate.fate == TableFate::Fate::renamed) {
    return "give it its name back";
  }
  const std::string forget = forget_command(migration);
  return migration.state == State::contracting ? forget : "roll back, or without its plan: " + forget;
}

/// The command that goes on. Where a table is not as it was every phase would be refused: then what closes the
/// migration, or nothing where the table first has to have its name again.
std::string next_command_of(const Shown& shown, const Answers& answers) {
  if (std::ranges::any_of(shown.tables, [](const TableFate& fate) { return !fate.gone(); })) {
    return {};
  }
  if (shown.tables.empty() || shown.view.state == State::rolling_back) {
    return answers.next.command;
  }
  return shown.view.state == State::contracting ? forget_command(shown.view) : command_of(shown.view, "rollback");
}

Json as_json(const Shown& shown, Instant now, const StatusFlags& flags) {
  const MigrationView& migration = shown.view;
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
  Json old_use = Json::array();
  for (const event::OldUse& use : shown.old_use) {
    old_use.push_back(Json::parse(event_to_json(use)));
  }
  Json gone = Json::array();
  Json renamed = Json::object();
  for (const TableFate& fate : shown.tables) {
    if (fate.gone()) {
      gone.push_back(fate.table.display());
    } else {
      renamed[fate.table.display()] = fate.now.display();
    }
  }
  const Answers answers = answers_about(migration, now, {}, {});
  const auto percent = backfill_percent(migration);
  Json json = {{"migration", migration.name},
               {"state", migration.state_text},
               {"situation", situation_name(situation_of(migration))},
               {"started_at", utc_time(migration.started_at)},
               {"changed_at", utc_time(migration.changed_at)},
               {"plan_sha256", migration.plan_hash},
               {"verifications", verifications},
               {"run", run_as_json(migration)},
               {"progress", progress},
               {"percent", percent ? Json(*percent) : Json(nullptr)},
               {"rows_set_aside", migration.bad_rows},
               {"pauses", pauses_as_json(migration)},
               {"error", error_as_json(migration)},
               {"gone_tables", gone},
               {"renamed_tables", renamed},
               {"old_use", old_use},
               {"where", answers.migration.lead},
               {"next", next_command_of(shown, answers)}};
  if (flags.locks) {
    json["locks"] = locks_as_json(migration);
  }
  if (flags.history) {
    Json events = Json::array();
    for (const EventView& event : shown.history) {
      events.push_back({{"at", utc_time(event.at)}, {"event", Json::parse(event.data)}});
    }
    json["history"] = std::move(events);
    json["history_is_cut"] = shown.history_is_cut;
  }
  return json;
}

/// A line a migration, with a header, that fits 80 columns.
std::string table_of(const Look& look) {
  std::string text = fmt::format("{:<30} {:<12} {:>6}  {:<12} {}\n", "migration", "state", "filled", "since", "now");
  for (const Shown& shown : look.migrations) {
    const MigrationView& migration = shown.view;
    const auto percent = backfill_percent(migration);
    text += fmt::format("{:<30} {:<12} {:>6}  {:<12} {}\n", abbreviate(migration.name, 29), migration.state_text,
                        percent ? fmt::format("{:.1f}%", *percent) : "", clock_time(migration.changed_at, look.now),
                        situation_name(situation_of(migration)));
  }
  return text;
}

std::string progress_line(const MigrationView& migration, const event::Progress& e) {
  std::string line = fmt::format("  {}  {:.1f}%  {} rows", e.relation, e.percent, with_thousands(e.rows));
  if (!is_at_work(migration)) {
    return line + "\n";
  }
  line += fmt::format("  {} rows/s  batch p50 {} p99 {}\n    hot {:.0f}%  wal {}/s",
                      with_thousands(std::llround(e.rows_per_second)), format_milliseconds(e.batch_p50_ms),
                      format_milliseconds(e.batch_p99_ms), e.hot_percent, format_bytes(e.wal_bytes_per_second));
  line += e.lag_ms ? "  lag " + format_milliseconds(*e.lag_ms) : "";
  line += e.paused_percent >= 1 ? fmt::format("  paused {:.0f}% of the time", e.paused_percent) : "";
  return line + (e.slow_because.empty() ? "" : "\n    slow: " + e.slow_because) + "\n";
}

/// Whose word holds it up, as long as there is a backfill to come.
std::string steering_lines(const MigrationView& migration) {
  const SteeringView& steering = migration.steering;
  if (is_over(migration.state)) {
    return {};
  }
  std::string text = steering.paused ? fmt::format("  paused by {}\n", steering.paused_by) : std::string();
  text += steering.throttled.empty() ? std::string() : fmt::format("  {}\n", steering.throttled);
  for (const auto& [limit, value] : steering.limits) {
    text += fmt::format("  set: {}={}\n", limit, value);
  }
  return text;
}

std::string run_line(const MigrationView& migration) {
  if (!migration.run || migration.run->finished_at) {
    return {};
  }
  const RunView& run = *migration.run;
  return fmt::format("  {}: {} on {} (process {})\n    since {}{}{}\n", run.lost ? "lost" : "running", run.command,
                     run.host, run.process, utc_time(run.since),
                     run.seen_at ? ", last seen " + utc_time(*run.seen_at) : "",
                     run.lost ? "; run the same command again to go on" : "");
}

std::string details_of(const Shown& shown, Instant now) {
  const MigrationView& migration = shown.view;
  const Answers answers = answers_about(migration, now, {}, {});
  std::string text =
      fmt::format("{}  {}  since {}\n", migration.name, migration.state_text, utc_time(migration.changed_at));
  text += fmt::format("  {}{}{}\n", answers.migration.lead, answers.migration.more.empty() ? "" : ". ",
                      answers.migration.more);
  text += run_line(migration) + steering_lines(migration);
  if (const PauseView* pause = open_pause(migration)) {
    text += fmt::format("  paused since {}: {}\n", clock_time(pause->from, now), join_reasons(pause->reasons));
  }
  for (const event::Progress& progress : progress_of(migration)) {
    text += progress_line(migration, progress);
  }
  if (migration.bad_rows > 0) {
    text += fmt::format("  {} set aside, as they could not be filled: ecmigrate.bad_rows has them\n",
                        migration.bad_rows == 1 ? "1 row" : with_thousands(migration.bad_rows) + " rows");
  }
  for (const VerificationView& verification : migration.verifications) {
    text += fmt::format("  verified {}: {} rows, {} differences, at {}\n", verification.relation,
                        with_thousands(verification.rows), with_thousands(verification.differences),
                        utc_time(verification.at));
  }
  for (const event::OldUse& use : shown.old_use) {
    for (const std::string& line : old_use_words(use)) {
      text += fmt::format("  {}\n", line);
    }
  }
  if (const RunView* run = failed_run(migration)) {
    text += fmt::format("  {} ended with {}: {}\n", run->command, run->outcome.value_or(""), run->message);
    text += run->hint.empty() ? std::string() : fmt::format("  hint: {}\n", run->hint);
  }
  for (const TableFate& fate : shown.tables) {
    text += fmt::format("  {}, a table of this migration, {}: {}\n", fate.table.display(), fate_words(fate),
                        way_out(migration, fate));
  }
  if (const std::string next = next_command_of(shown, answers); !next.empty()) {
    // Of contract what has to come before it, too.
    const bool release_first = next == answers.next.command && migration.state == State::verified &&
                               situation_of(migration) == Situation::waiting;
    text += fmt::format("  next: {}{}\n", release_first ? answers.next.more + " " : "", next);
  }
  return text;
}

std::string lock_lines(const MigrationView& migration, Instant now) {
  std::string text;
  for (const StepLock& lock : migration.locks) {
    const std::string tries = lock.tries > 1 ? fmt::format(" in {} tries", lock.tries) : std::string();
    const std::string held = lock.held_ms ? "held " + format_milliseconds(*lock.held_ms) : "not obtained";
    const std::string blocked = lock.blocked_sessions == 0
                                    ? std::string()
                                    : fmt::format("   blocked {}, longest {}", lock.blocked_sessions,
                                                  format_milliseconds(lock.blocked_longest_ms));
    text += fmt::format("  {}  {}  {}\n      {} on {}   waited {}{}   {}{}\n", clock_time(lock.at, now), lock.phase,
                        lock.step, lock.mode, lock.relation, format_milliseconds(lock.waited_ms), tries, held, blocked);
  }
  return text.empty() ? "  no lock so far\n" : text;
}

std::string history_lines(const Shown& shown, Instant now) {
  std::string text;
  if (shown.history_is_cut) {
    text = fmt::format(
        "  older ones: select at, data from ecmigrate.events where migration = {} and id < {} order by id\n",
        quote_literal(shown.view.name), shown.history.front().id);
  }
  for (const EventView& view : shown.history) {
    if (const auto event = event_from_json(view.data)) {
      text += fmt::format("  {}  {}\n", clock_time(view.at, now), words_of(*event).text);
    }
  }
  return text.empty() ? "  nothing is recorded\n" : text;
}

}  // namespace

const RunView* failed_run(const MigrationView& migration) {
  return situation_of(migration) == Situation::failed ? &*migration.run : nullptr;
}

std::string text_of(const Look& look, const std::string& name, const StatusFlags& flags) {
  if (look.migrations.empty()) {
    return name.empty() ? "no migrations\n" : fmt::format("{}  planned\n", name);
  }
  std::string text = name.empty() ? table_of(look) : std::string();
  for (const Shown& shown : look.migrations) {
    if (!name.empty() || !is_over(shown.view.state) || flags.locks || flags.history) {
      text += (text.empty() ? "" : "\n") + details_of(shown, look.now);
      text += flags.locks ? "locks\n" + lock_lines(shown.view, look.now) : std::string();
      text += flags.history ? "history\n" + history_lines(shown, look.now) : std::string();
    }
  }
  return text + (look.sees_all ? std::string() : fmt::format("note: {}\n", k_without_pg_monitor));
}

std::string json_of(const Look& look, const StatusFlags& flags) {
  Json list = Json::array();
  for (const Shown& shown : look.migrations) {
    list.push_back(as_json(shown, look.now, flags));
  }
  return Json{{"migrations", list}}.dump();
}

}  // namespace ecmigrate
