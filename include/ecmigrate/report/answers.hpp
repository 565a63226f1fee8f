#pragma once

#include <optional>
#include <string>
#include <vector>

#include "ecmigrate/model/event.hpp"
#include "ecmigrate/store/read_model.hpp"

/// The three questions that somebody has who looks at a migration (is my application fine, where is the migration, what
/// happens next), answered in words from what the journal says. Made here once; `status`, the page and its title show
/// them and judge nothing themselves.
namespace ecmigrate {

/// What a migration is doing, as far as its state and its newest run tell.
enum class Situation {
  waiting,  ///< between phases: somebody has to run the next
  running,
  paused,  ///< a run is alive, and a signal or somebody holds its backfill up
  failed,  ///< the newest run ended without having done its work
  lost,    ///< the newest run has not ended, and its runner is gone
  done,
  rolled_back,
};
std::string_view situation_name(Situation situation);
Situation situation_of(const MigrationView& migration);

/// The pause that a backfill is in; nothing where it is in none.
const PauseView* open_pause(const MigrationView& migration);

/// Of a run that has ended: the same command, run again, goes on.
bool may_run_again(const RunView& run);

/// One answer. `level` is a word for its mark: "ok", "run", "pause", "warn", "bad", "you", "none".
struct Answer {
  std::string level = "none";
  std::string lead;
  std::string more;
  std::string command{};  ///< to copy, or nothing
};

/// What went wrong, that nothing is half done, and what to do.
struct Notice {
  struct Step {
    std::string text;
    std::string command{};
  };
  std::string level = "warn";
  std::string title;
  std::string text;
  std::vector<Step> steps;
};

struct PhaseView {
  std::string name;  ///< "expand", "backfill", "verify", "release", "contract"
  std::string title;
  std::string status;  ///< "done", "now", "paused", "failed", "todo", "you", "skipped"
  std::vector<std::string> facts;
};

struct Answers {
  Answer application;
  Answer migration;
  Answer next;
  std::optional<Notice> notice;
  std::vector<PhaseView> phases;
  std::string announce;  ///< for who listens instead of looking: changes at states, pauses, failures and quarters only
};

/// Who waits for the migration's sessions at this moment.
struct WaitingNow {
  int sessions = 0;
  double longest_ms = 0;
};

/// `dropped`: the columns that contract drops.
Answers answers_about(const MigrationView& migration, Instant now, const WaitingNow& waiting,
                      const std::vector<std::string>& dropped);

/// Of a plan that was not begun.
Answers answers_about_plan(const std::string& plan_file, const std::vector<std::string>& dropped);

/// Where there is no migration. `no_right`: the role that may not read the journal, or nothing.
Answers answers_about_nothing(const std::string& no_right_of);

/// Of all relations together, by their sizes; nothing before there is any progress. 100 only when all are done.
std::optional<double> backfill_percent(const MigrationView& migration);

/// The whole command that runs a phase of this migration, as it was given last: plan and target as a shell reads them.
std::string command_of(const MigrationView& migration, std::string_view command);

/// The one that measures both ways on a server of its own.
std::string compare_command(const MigrationView& migration);

/// An event for people: a level ("info", "warn", "bad", "ok") and one line.
struct EventWords {
  std::string level;
  std::string text;
};
EventWords words_of(const Event& event);

/// What is known of the use of old columns: a line about the writes, and one about the statements.
std::vector<std::string> old_use_words(const event::OldUse& use);

/// The same of the writes alone, in words that change once a minute: "users.full_name was last written 3 min ago."
std::string old_writes_words(const MigrationView& migration, Instant now);

/// "pid 4121 report@metabase, idle in transaction for 2m05s".
std::string blocker_words(const Blocker& blocker);

/// "2026-11-24T14:31:07.120Z".
std::string utc_time(Instant at);
/// "14:31:07", and the day before it where it is another one: "23 Nov 14:31".
std::string clock_time(Instant at, Instant now);

/// What a lock mode keeps from going on: "reads and writes", "writes", "nothing".
std::string_view stopped_by(std::string_view mode);

}  // namespace ecmigrate
