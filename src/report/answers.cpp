#include "ecmigrate/report/answers.hpp"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <algorithm>
#include <chrono>

#include "ecmigrate/base/error.hpp"
#include "ecmigrate/base/text.hpp"
#include "ecmigrate/model/lifecycle.hpp"
#include "migration_facts.hpp"
#include "phases.hpp"
#include "wording.hpp"

namespace ecmigrate {

namespace {

using report::count;
using report::differences;
using report::held_fact;
using report::reached;
using report::rows_written;
using report::span_time;
using report::stopped_on_purpose;

constexpr double k_day_ms = 86'400'000;

/// "51.7 M", "412,000".
std::string short_number(std::int64_t number) {
  return number >= 1'000'000 ? fmt::format("{:.1f} M", static_cast<double>(number) / 1e6) : with_thousands(number);
}

std::string one_decimal(double percent) {
  return report::share_done(percent);
}

/// What is estimated of the rows to come, and the time they take; of the relation at work.
const event::Progress* at_work(const MigrationView& migration) {
  for (const ProgressView& view : migration.progress) {
    if (view.progress.phase == "backfill" && view.progress.percent < 100) {
      return &view.progress;
    }
  }
  return nullptr;
}

/// As a shell reads it.
std::string plan_of(const MigrationView& migration) {
  const std::string plan =
      migration.run && !migration.run->plan_file.empty() ? migration.run->plan_file : migration.plan_file;
  return plan.empty() ? "PLAN" : shell_quote(plan);
}

Answer application_answer(const MigrationView& migration, const WaitingNow& waiting) {
  Answer answer;
  if (waiting.sessions > 0) {
    answer.level = waiting.longest_ms > 1'000 ? "bad" : "warn";
    answer.lead = waiting.sessions == 1 ? "1 session waits for the migration"
                                        : fmt::format("{} sessions wait for the migration", waiting.sessions);
    answer.more = fmt::format("The longest for {} so far.", span_time(waiting.longest_ms));
    return answer;
  }
  answer.level = "ok";
  answer.lead = "Nobody waits for the migration";
  const auto worst = std::ranges::max_element(migration.locks, {}, &StepLock::blocked_longest_ms);
  if (worst != migration.locks.end() && worst->blocked_sessions > 0) {
    answer.more = fmt::format("Longest wait it has caused so far: {}, {}, at {}.", span_time(worst->blocked_longest_ms),
                              count(worst->blocked_sessions, "session"), worst->phase);
  } else if (!migration.locks.empty()) {
    answer.more = "No session was seen waiting for one of its locks so far.";
  } else {
    answer.more = "It has taken no lock so far.";
  }
  return answer;
}

std::string phase_in_words(const std::string& command) {
  return command.empty()
             ? command
             : std::string(1, static_cast<char>(std::toupper(static_cast<unsigned char>(command.front())))) +
                   command.substr(1);
}

std::string progress_words(const MigrationView& migration) {
  const event::Progress* progress = at_work(migration);
  std::string text = short_number(rows_written(migration));
  if (progress != nullptr && progress->rows_estimated > 0) {
    text += fmt::format(" of about {} rows.", short_number(progress->rows_estimated));
    if (progress->eta_ms && progress->eta_low_ms && progress->eta_high_ms) {
      text += fmt::format(" About {} left ({} to {}).", report::time_left(*progress->eta_ms),
                          report::time_left(*progress->eta_low_ms), report::time_left(*progress->eta_high_ms));
    }
    return text;
  }
  return text + " rows.";
}

/// "Backfilling, 61.4%".
std::string with_percent(const std::string& words, const MigrationView& migration) {
  const auto percent = backfill_percent(migration);
  return percent ? fmt::format("{}, {}", words, one_decimal(*percent)) : words;
}

Answer running_answer(const MigrationView& migration) {
  const std::string command = migration.run ? migration.run->command : std::string();
  switch (migration.state) {
    case State::expanding:
      return {"run", "Expanding", "The new columns and the sync trigger are being added."};
    case State::backfilling:
      return {"run", with_percent("Backfilling", migration), progress_words(migration)};
    case State::contracting:
      return {"run", "Contracting", "The old columns are being dropped."};
    case State::rolling_back:
      return {"run", "Rolling back", "The new columns are being removed."};
    default:
      break;
  }
  if (command == "verify" || (command == "run" && migration.state == State::backfilled)) {
    const auto verify = std::ranges::find_if(migration.progress,
                                             [](const ProgressView& view) { return view.progress.phase == "verify"; });
    return {"run",
            verify == migration.progress.end() ? "Verifying"
                                               : fmt::format("Verifying, {}", one_decimal(verify->progress.percent)),
            "Every row is compared, by value."};
  }
  return {"run", phase_in_words(command) + " is at work", fmt::format("The migration is {}.", migration.state_text)};
}

Answer paused_answer(const MigrationView& migration, Instant now) {
  const auto percent = backfill_percent(migration);
  Answer answer{"pause", percent ? fmt::format("Paused at {}", one_decimal(*percent)) : "Paused", ""};
  if (const PauseView* pause = open_pause(migration)) {
    answer.more =
        fmt::format("For {}: {}.", span_time(static_cast<double>(now - pause->from)), join_reasons(pause->reasons));
  } else {
    answer.more = fmt::format("Paused by {}.", migration.steering.paused_by);
  }
  return answer;
}

Answer failed_answer(const MigrationView& migration) {
  const RunView& run = *migration.run;
  const std::string phase = phase_in_words(run.command);
  std::string first_line = run.message.substr(0, run.message.find('\n'));
  if (first_line.ends_with(':')) {  // what follows is a list
    first_line.pop_back();
  }
  if (run.outcome == outcome_row(Outcome::lock_not_obtained).name && migration.state != State::contracting) {
    return {"bad", phase + " got no lock", "Nothing was changed by that step; both versions go on working."};
  }
  if (run.outcome == outcome_row(Outcome::differences_found).name) {
    return {"bad", "Verify found differences", first_line + "; nothing was dropped."};
  }
  if (stopped_on_purpose(*run.outcome)) {
    return {"warn", with_percent(phase + " stopped", migration), first_line + "; what is done is kept."};
  }
  return {"bad", phase + (run.outcome == outcome_row(Outcome::refused).name ? " was refused" : " failed"), first_line};
}

Answer migration_answer(const MigrationView& migration, Situation situation, Instant now) {
  switch (situation) {
    case Situation::done:
      return {"ok", "Contracted",
              fmt::format("At {}. {}", clock_time(migration.changed_at, now), held_fact(migration, "contract"))};
    case Situation::rolled_back:
      return {"warn", "Rolled back",
              fmt::format("At {}. The schema is the one of the start.", clock_time(migration.changed_at, now))};
    case Situation::lost: {
      const Instant seen = migration.run->seen_at.value_or(migration.run->since);
      const auto percent = backfill_percent(migration);
      return {"warn",
              percent && migration.state == State::backfilling ? fmt::format("Runner lost at {}", one_decimal(*percent))
                                                               : "Runner lost",
              fmt::format("No sign of life from {} (process {}) for {}.", migration.run->host, migration.run->process,
                          span_time(static_cast<double>(now - seen)))};
    }
    case Situation::failed:
      return failed_answer(migration);
    case Situation::paused:
      return paused_answer(migration, now);
    case Situation::running:
      return running_answer(migration);
    case Situation::waiting:
      break;
  }
  const std::string since = "Since " + clock_time(migration.changed_at, now) + ".";
  switch (migration.state) {
    case State::expanded:
      return {"ok", "Expanded", "Old and new columns are kept equal from here on. " + since};
    case State::backfilled:
      return {"ok", "Backfilled",
              fmt::format("{} rows were filled. {}", with_thousands(rows_written(migration)), since)};
    case State::verified: {
      const auto age = static_cast<double>(now - migration.changed_at);
      return {"you", "Verified, waits for you",
              fmt::format("{}, {} ago.{}", count(differences(migration), "difference"), span_time(age),
                          age > k_day_ms ? " Verify again before contract." : "")};
    }
    default:
      return {"none", phase_in_words(migration.state_text), since};
  }
}

/// The phase that goes on from a state.
std::string next_phase(State state) {
  const auto next = next_command(state);
  return next ? std::string(command_name(*next)) : std::string();
}

Answer paused_next(const MigrationView& migration) {
  if (migration.steering.paused) {
    return {"you", "Let it go on", "It stays paused until somebody resumes it:", command_of(migration, "resume")};
  }
  const PauseView* pause = open_pause(migration);
  Answer answer{"none", "Goes on by itself", "As soon as the reason is gone."};
  if (pause != nullptr && !pause->reasons.empty() && pause->reasons.front().limit) {
    const PauseReason& reason = pause->reasons.front();
    answer.more = "As soon as the value is below four fifths of the limit. To allow more:";
    // The codes of signals with a limit are the limits' names without their first word.
    const bool time = reason.code == "replica_lag" || reason.code == "commit_latency" || reason.code == "snapshot_age";
    const std::string doubled =
        time ? fmt::format("{:.0f}ms", 2 * *reason.limit) : fmt::format("{:.0f}", 2 * *reason.limit);
    answer.command = command_of(migration, "set") + fmt::format(" max_{}={}", reason.code, doubled);
  }
  return answer;
}

Answer next_answer(const MigrationView& migration, Situation situation, Instant now) {
  const std::string phase = next_phase(migration.state);
  switch (situation) {
    case Situation::done:
      return {"ok", "Nothing", "The old version's columns are gone; the plan is done."};
    case Situation::rolled_back:
      return {"none", "Mend the plan", "Then begin again:", command_of(migration, "expand")};
    case Situation::lost:
      return {"warn", "Run it again",
              "It goes on behind what was committed last:", command_of(migration, migration.run->command)};
    case Situation::failed: {
      const RunView& run = *migration.run;
      const bool again = may_run_again(run);
      if (run.outcome == outcome_row(Outcome::differences_found).name) {
        return {"warn", "Look at the differences",
                "Then mend them, or let verify do it:", command_of(migration, "verify") + " --repair"};
      }
      if (again || run.hint.empty()) {
        return {"warn", again ? "Run the same command again" : "Mend the cause",
                again ? "It goes on where it ended:" : "Then run the same command again:",
                command_of(migration, run.command)};
      }
      return {"warn", "Mend the cause", run.hint, command_of(migration, run.command)};
    }
    case Situation::paused:
      return paused_next(migration);
    case Situation::running:
      if (migration.state == State::expanding) {
        return {"none", "Then backfill", "When expand is done:", command_of(migration, "backfill")};
      }
      if (migration.state == State::backfilling) {
        return {"none", "Then verify", "When the backfill is done:", command_of(migration, "verify")};
      }
      return {"none", "Nothing to do", "It ends by itself."};
    case Situation::waiting:
      break;
  }
  if (migration.state == State::verified) {
    if (static_cast<double>(now - migration.changed_at) > k_day_ms) {
      return {"you", "Verify again",
              "It is more than a day ago that old and new were compared:", command_of(migration, "verify")};
    }
    return {"you", "Release, then contract",
            "Roll out the new version. When no instance of the old one runs:", command_of(migration, "contract")};
  }
  return {"you", phase_in_words(phase), "", command_of(migration, phase)};
}

std::optional<Notice> notice_of(const MigrationView& migration, Situation situation) {
  if (situation == Situation::lost) {
    return Notice{"warn",
                  fmt::format("The runner on {} is gone, or gives no sign of life", migration.run->host),
                  "Every batch and every step is one transaction with its checkpoint: what was committed is kept, what "
                  "was under way left nothing.",
                  {{"Run the same command again. It takes over:", command_of(migration, migration.run->command)}}};
  }
  if (situation == Situation::paused && !migration.steering.paused) {
    const PauseView* pause = open_pause(migration);
    return Notice{"warn",
                  "The backfill waits for the server",
                  pause == nullptr ? std::string() : join_reasons(pause->reasons) + ". It goes on by itself.",
                  {}};
  }
  if (situation != Situation::failed || stopped_on_purpose(*migration.run->outcome)) {
    return std::nullopt;
  }
  const RunView& run = *migration.run;
  int exit_code = 1;
  for (const OutcomeRow& row : k_outcomes) {
    exit_code = row.name == run.outcome ? row.exit_code : exit_code;
  }
  Notice notice{"bad",
                fmt::format("{} ended with exit status {} ({})", phase_in_words(run.command), exit_code, *run.outcome),
                run.message,
                {}};
  if (run.outcome == outcome_row(Outcome::lock_not_obtained).name) {
    for (const Blocker& blocker : migration.last_blockers) {
      notice.steps.push_back(
          {fmt::format("Ask the owner of {} to end it, or end it (its work is lost):", report::who(blocker)),
           blocker.pid == 0 ? std::string() : fmt::format("select pg_terminate_backend({});", blocker.pid)});
    }
  }
  if (!run.hint.empty()) {
    notice.steps.push_back({run.hint});
  }
  notice.steps.push_back(
      {"Run the same command again. It starts where it stopped:", command_of(migration, run.command)});
  return notice;
}

std::string announcement(const MigrationView& migration, Situation situation, const Answers& answers) {
  if (situation == Situation::running && migration.state == State::backfilling) {
    const double percent = backfill_percent(migration).value_or(0);
    return percent < 25 ? "Backfilling" : fmt::format("Backfilling, {} percent", 25 * static_cast<int>(percent / 25));
  }
  const std::string& lead = answers.migration.lead;
  const std::string state = lead.substr(0, lead.find(','));  // not the percentage
  return answers.notice ? fmt::format("{}. {}", state, answers.notice->title) : state;
}

}  // namespace

std::string_view situation_name(Situation situation) {
  static constexpr std::array<std::string_view, 7> k_names{"waiting", "running", "paused",     "failed",
                                                           "lost",    "done",    "rolled_back"};
  return k_names[static_cast<std::size_t>(situation)];
}

Situation situation_of(const MigrationView& migration) {
  if (migration.run && !migration.run->finished_at) {
    if (migration.run->lost) {
      return migration.state == State::contracted    ? Situation::done
             : migration.state == State::rolled_back ? Situation::rolled_back
                                                     : Situation::lost;
    }
    return migration.state == State::backfilling && (open_pause(migration) != nullptr || migration.steering.paused)
               ? Situation::paused
               : Situation::running;
  }
  if (migration.state == State::contracted) {
    return Situation::done;
  }
  if (migration.state == State::rolled_back) {
    return Situation::rolled_back;
  }
  const bool failed =
      migration.run && migration.run->outcome && *migration.run->outcome != outcome_row(Outcome::done).name;
  return failed ? Situation::failed : Situation::waiting;
}

const PauseView* open_pause(const MigrationView& migration) {
  return migration.pauses.empty() || migration.pauses.back().to ? nullptr : &migration.pauses.back();
}

bool may_run_again(const RunView& run) {
  return std::ranges::any_of(k_outcomes,
                             [&](const OutcomeRow& row) { return row.name == run.outcome && row.retryable; });
}

std::optional<double> backfill_percent(const MigrationView& migration) {
  if (reached(migration, State::backfilled)) {
    return 100;
  }
  double pages = 0;
  double done = 0;
  for (const WalkView& walk : migration.walks) {
    const double weight = static_cast<double>(std::max<std::int64_t>(1, walk.pages));
    const auto progress = std::ranges::find_if(migration.progress, [&](const ProgressView& view) {
      return view.progress.phase == "backfill" && view.progress.relation == walk.relation;
    });
    pages += weight;
    done += weight * (walk.finished ? 1 : progress == migration.progress.end() ? 0 : progress->progress.percent / 100);
  }
  return pages == 0 || migration.state < State::backfilling ? std::nullopt
                                                            : std::optional(std::min(99.9, 100 * done / pages));
}

std::string compare_command(const MigrationView& migration) {
  return "ecmigrate compare " + plan_of(migration);
}

std::string command_of(const MigrationView& migration, std::string_view command) {
  std::string line = fmt::format("ecmigrate {} {}", command, plan_of(migration));
  return migration.run && !migration.run->target.empty() ? line + " -d " + shell_quote(migration.run->target) : line;
}

Answers answers_about(const MigrationView& migration, Instant now, const WaitingNow& waiting,
                      const std::vector<std::string>& dropped) {
  const Situation situation = situation_of(migration);
  Answers answers;
  answers.application = application_answer(migration, waiting);
  if (!migration.readable) {
    answers.migration = {"warn", phase_in_words(migration.state_text),
                         "Another version of ecmigrate began it; only a part can be shown."};
    answers.next = {"none", "Use that version", "ecmigrate.migrations.version names it."};
    answers.announce = answers.migration.lead;
    return answers;
  }
  answers.migration = migration_answer(migration, situation, now);
  answers.next = next_answer(migration, situation, now);
  answers.notice = notice_of(migration, situation);
  answers.phases = report::phases_of(migration, situation, now, dropped);
  answers.announce = announcement(migration, situation, answers);
  return answers;
}

Answers answers_about_plan(const std::string& plan_file, const std::vector<std::string>& dropped) {
  Answers answers;
  answers.application = {"ok", "Nobody waits for the migration", "It has not begun."};
  answers.migration = {"none", "Planned", "Nothing was changed so far."};
  answers.next = {"you", "Expand",
                  "Adds the new shape beside the old one:", "ecmigrate expand " + shell_quote(plan_file)};
  answers.phases = report::phases_of({}, Situation::waiting, 0, dropped);
  answers.announce = answers.migration.lead;
  return answers;
}

Answers answers_about_nothing(const std::string& no_right_of) {
  Answers answers;
  answers.application = {"none", "Nothing is under way", ""};
  MigrationView nothing;
  answers.phases = report::phases_of(nothing, Situation::waiting, 0, {});
  if (!no_right_of.empty()) {
    answers.migration = {"warn", fmt::format("The journal cannot be read as {}", no_right_of), ""};
    answers.next = {
        "warn", "Grant the right to read", "As the owner of schema ecmigrate:",
        fmt::format("grant usage on schema ecmigrate to {0}; grant select on all tables in schema ecmigrate to {0};",
                    quote_identifier(no_right_of))};
    answers.announce = answers.migration.lead;
    return answers;
  }
  answers.migration = {"none", "No migration yet", "There is no journal in this database, or it is empty."};
  answers.next = {"none", "Write a plan", "", "ecmigrate new split-full-name"};
  answers.notice =
      Notice{"",
             "Three commands to begin with",
             "",
             {{"Write a starter plan:", "ecmigrate new split-full-name"},
              {"See every statement with its lock; changes nothing:", "ecmigrate plan split-full-name.yaml"},
              {"Add the new shape beside the old one:", "ecmigrate expand split-full-name.yaml"}}};
  answers.announce = answers.migration.lead;
  return answers;
}

std::string blocker_words(const Blocker& blocker) {
  return report::who(blocker);
}

std::string_view stopped_by(std::string_view mode) {
  return mode == "ACCESS EXCLUSIVE"                                                ? "reads and writes"
         : mode == "SHARE ROW EXCLUSIVE" || mode == "SHARE" || mode == "EXCLUSIVE" ? "writes"
                                                                                   : "nothing";
}

std::string utc_time(Instant at) {
  const std::chrono::sys_time<std::chrono::milliseconds> time{std::chrono::milliseconds(at)};
  const auto seconds = std::chrono::floor<std::chrono::seconds>(time);
  return fmt::format("{:%Y-%m-%dT%H:%M:%S}.{:03}Z", fmt::gmtime(std::chrono::system_clock::to_time_t(seconds)),
                     (time - seconds).count());
}

std::string clock_time(Instant at, Instant now) {
  const std::tm time = fmt::gmtime(static_cast<std::time_t>(at / 1000));
  const std::tm today = fmt::gmtime(static_cast<std::time_t>(now / 1000));
  const bool same_day = time.tm_year == today.tm_year && time.tm_yday == today.tm_yday;
  return same_day ? fmt::format("{:%H:%M:%S}", time) : fmt::format("{} {:%b %H:%M}", time.tm_mday, time);
}

}  // namespace ecmigrate
