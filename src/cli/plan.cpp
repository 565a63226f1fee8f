#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>

#include "command.hpp"
#include "ecmigrate/base/text.hpp"
#include "ecmigrate/fill/backfill.hpp"
#include "ecmigrate/model/lifecycle.hpp"
#include "ecmigrate/phases/plan_summary.hpp"
#include "ecmigrate/phases/what_goes.hpp"
#include "ecmigrate/report/answers.hpp"
#include "ecmigrate/store/journal.hpp"
#include "output.hpp"

namespace ecmigrate {

namespace {

using Json = nlohmann::ordered_json;

/// The steps of a phase, as they are called where they are shown.
struct PhaseSteps {
  std::string_view phase;
  std::vector<std::string_view> in_journal;  ///< its names there
  std::vector<Step> steps;
};

std::vector<PhaseSteps> phases_of(const Recipe& recipe) {
  return {{"expand", {"expand"}, recipe.expand},
          {"backfill", {"after_fill"}, recipe.after_fill},
          {"verify", {"verify"}, recipe.validate},
          {"contract", {"before_contract", "contract"}, [&] {
             std::vector<Step> steps = recipe.before_contract;
             steps.insert(steps.end(), recipe.contract.begin(), recipe.contract.end());
             return steps;
           }()}};
}

struct Facts {
  State state = State::planned;
  std::vector<PlannedTable> tables;
  BackfillEstimate estimate;
  std::vector<std::string> lost;
  std::vector<Blocker> in_the_way;
  std::vector<Missing> missing;
  std::set<std::pair<std::string_view, std::string>> done;  ///< phase and id of steps

  [[nodiscard]] bool is_done(std::string_view phase, const Step& step) const { return done.contains({phase, step.id}); }
  /// The walks over the tables, which are no steps.
  [[nodiscard]] bool is_filled() const { return state >= State::backfilled && state <= State::contracted; }
  [[nodiscard]] bool is_compared() const { return state >= State::verified && state <= State::contracted; }
};

// ---- for people

std::string rows_words(const PlannedTable& facts) {
  return facts.rows_known ? "about " + with_thousands(facts.rows) + " rows"
                          : "an unknown number of rows (never analyzed)";
}

std::string_view written_words(const Facts& facts, const PlannedTable& table) {
  return !table.walked       ? "no row is written"
         : facts.is_filled() ? "the backfill has written each row"
                             : "the backfill writes each row once";
}

std::string tables_text(const Facts& facts) {
  std::string text = facts.tables.empty() ? "" : "tables\n";
  for (const PlannedTable& table : facts.tables) {
    const std::string partitions =
        table.partitions > 1 ? fmt::format(" in {} partitions", table.partitions) : std::string();
    text += fmt::format("  {}: {}{}, {}, {} with {}; {}\n", table.table.display(), rows_words(table), partitions,
                        format_bytes(table.bytes),
                        table.indexes == 1 ? "1 index" : fmt::format("{} indexes", table.indexes),
                        format_bytes(table.index_bytes), written_words(facts, table));
  }
  return text;
}

std::string lock_words(const Step& step) {
  std::vector<std::string> words;
  std::string_view worst = "nothing";
  for (const LockRequest& lock : step.locks) {
    words.push_back(fmt::format("{} on {}", lock_mode_name(lock.mode), lock.relation.display()));
    const std::string_view stops = stopped_by(lock_mode_name(lock.mode));
    worst = stops == "reads and writes" || worst == "nothing" ? stops : worst;
  }
  return words.empty() ? "the statement's own locks" : fmt::format("{}: stops {}", join(words, ", "), worst);
}

std::string hold_words(const Step& step) {
  return step.cost == "catalogue only" ? "some milliseconds: catalogue only" : step.cost;
}

/// What is done has one line, and what is to come says what it costs.
std::string step_text(std::string_view phase, const std::string& title, bool done,
                      const std::vector<std::string>& costs) {
  return fmt::format("  {:<8}  {}{}\n{}", phase, title, done ? ": done" : "",
                     done ? "" : fmt::format("              {}\n", fmt::join(costs, "\n              ")));
}

std::string steps_text(const Recipe& recipe, const Facts& facts) {
  std::string text = "steps\n";
  for (const PhaseSteps& phase : phases_of(recipe)) {
    for (const SyncedTable& table : recipe.synced) {
      for (const SyncedMapping& mapping : table.mappings) {
        text += phase.phase == "backfill" ? step_text(phase.phase, "fill " + mapping.label, facts.is_filled(),
                                                      {"in small batches, row locks alone; pauses by itself"})
                                          : "";
      }
      text += phase.phase == "verify" ? step_text(phase.phase, "compare every row of " + table.table.display(),
                                                  facts.is_compared(), {"reads beside everybody"})
                                      : "";
    }
    for (const Step& step : phase.steps) {
      text +=
          step_text(phase.phase, step.title, facts.is_done(phase.phase, step), {lock_words(step), hold_words(step)});
    }
  }
  return text;
}

std::string missing_text(const Facts& facts) {
  std::string text;
  for (const Missing& one : facts.missing) {
    text += fmt::format("  {}{}\n    {}\n",
                        one.refused ? fmt::format("{} will be refused: ", command_name(*one.refused)) : std::string(),
                        one.what, one.remedy);
  }
  return text.empty() ? "" : "missing\n" + text;
}

/// What each version of the application may do until contract.
std::string application_text(const Recipe& recipe) {
  std::string text;
  for (const SyncedTable& table : recipe.synced) {
    for (const SyncedMapping& mapping : table.mappings) {
      text += fmt::format("  {}: both versions may run until contract\n", table.table.display());
      if (std::ranges::any_of(mapping.new_columns,
                              [](const std::string& name) { return name.starts_with("_ecmigrate_"); })) {
        text += fmt::format("    from contract on {} is what the plan says; nothing may count on what it was\n",
                            join(mapping.old_columns, ", "));
        continue;
      }
      text += fmt::format("    the new one must not read {} before verify is clean\n", join(mapping.new_columns, ", "));
      if (!mapping.old_columns.empty()) {
        text += fmt::format("    when contract runs, nothing may use {} any more\n", join(mapping.old_columns, ", "));
      }
    }
  }
  const bool adds_constraints =
      std::ranges::any_of(recipe.added, [](const AddedObjects& added) { return !added.constraints.empty(); });
  if (!recipe.synced.empty() || adds_constraints) {
    text += fmt::format("  from expand on a write of either version fails\n    that {} not take\n",
                        recipe.synced.empty() ? "a new constraint does" : "up, down or a new constraint does");
  }
  return text.empty() ? text : "your application\n" + text;
}

std::string summary_text(const Plan& plan, const Recipe& recipe, const Facts& facts) {
  std::string text = plan.name + (plan.description.empty() ? "" : ": " + plan.description) + "\n";
  if (facts.state == State::contracted) {
    return text + "  it is contracted: nothing of it is left to run\n";
  }
  if (facts.state != State::planned && facts.state != State::rolled_back) {
    text += fmt::format("  it is {}: what has run is not run again\n", state_words(facts.state));
  }
  text += tables_text(facts) + steps_text(recipe, facts);
  if (const std::string words = estimate_words(facts.estimate); !words.empty() && !facts.is_filled()) {
    text +=
        fmt::format("the backfill\n  {}\n  a range by the tables' statistics and the rates of docs/benchmarks.md{}\n",
                    words, facts.estimate.rows_known ? "" : "; ANALYZE makes it a better one");
  }
  text += application_text(recipe);
  if (!facts.lost.empty()) {
    text += "lost at contract\n  " + join(facts.lost, "\n  ") + "\n";
  }
  if (!facts.in_the_way.empty()) {
    text += "in the way now\n";
    for (const Blocker& blocker : facts.in_the_way) {
      text += "  " + blocker_words(blocker) + "\n";
    }
  }
  return text + missing_text(facts) + "`ecmigrate plan --sql` prints the statements\n";
}

// ---- the statements

std::string as_comment(const std::string& text) {
  std::string comment = "-- " + text;
  for (std::size_t at = 0; (at = comment.find('\n', at)) != std::string::npos; at += 4) {
    comment.insert(at + 1, "-- ");
  }
  return comment + "\n";
}

std::string step_sql(const Step& step, int number) {
  std::string text = as_comment(fmt::format("{}. {}: {}; {}", number, step.title, lock_words(step), step.cost));
  if (step.kind != Step::Kind::transaction) {
    for (const std::string& statement : step.sql) {
      text += statement + ";\n";
    }
    return text;
  }
  text += "begin;\nset local lock_timeout = '500ms';\n";
  for (const LockRequest& lock : step.locks) {
    if (!lock.sequence) {
      text += fmt::format("lock table {} in {} mode;\n", lock.relation.sql(), lock_mode_name(lock.mode));
    }
  }
  for (const std::string& statement : step.sql) {
    text += statement + ";\n";
  }
  return text + "commit;\n";
}

std::string steps_sql(std::string_view phase, const std::vector<Step>& steps) {
  std::string text = steps.empty() ? std::string() : fmt::format("\n-- {}\n", phase);
  int number = 0;
  for (const Step& step : steps) {
    text += step_sql(step, ++number);
  }
  return text;
}

/// As psql could run it in a quiet moment. The runner does the same in tries, small batches and with its checkpoints.
std::string sql_text(const Plan& plan, const Recipe& recipe) {
  std::string text = as_comment(plan.name + ": what ecmigrate runs");
  text += "create schema if not exists ecmigrate;\ngrant usage on schema ecmigrate to public;\n";
  text += steps_sql("expand", recipe.expand);
  for (const SyncedTable& table : recipe.synced) {
    // The setting tells the sync trigger that this is no write of the new version.
    text +=
        "\n-- backfill: in batches of pages, each a transaction of its own\nbegin;\nset local ecmigrate.fill = 'on';\n";
    for (const SyncedMapping& mapping : table.mappings) {
      text += fmt::format("update {} as this set {} where {};\n", table.table.sql(), mapping.fill, mapping.pending);
    }
    text += "commit;\n";
  }
  text += steps_sql("at the end of backfill", recipe.after_fill);
  for (const SyncedTable& table : recipe.synced) {
    text += "\n-- verify: both have to be 0\n";
    for (const SyncedMapping& mapping : table.mappings) {
      text += fmt::format(
          "select count(*) filter (where {}) as pending, {} as inconsistent from {} as this;\n", mapping.pending,
          mapping.inconsistent.empty() ? "0" : fmt::format("count(*) filter (where {})", mapping.inconsistent),
          table.table.sql());
    }
  }
  text += steps_sql("at the end of verify", recipe.validate);
  text += steps_sql("contract, before its locks", recipe.before_contract);
  text += steps_sql("contract", recipe.contract);
  const std::string undo = steps_sql("rollback, instead of contract", undo_steps(recipe));
  return text + (undo.empty() ? "" : "\n" + as_comment(trim(undo)));
}

// ---- JSON

Json steps_as_json(std::string_view phase, const std::vector<Step>& steps, const Facts& facts) {
  Json list = Json::array();
  for (const Step& step : steps) {
    Json locks = Json::array();
    for (const LockRequest& lock : step.locks) {
      locks.push_back({{"relation", lock.relation.display()},
                       {"mode", lock_mode_name(lock.mode)},
                       {"stops", stopped_by(lock_mode_name(lock.mode))}});
    }
    const bool transaction = step.kind == Step::Kind::transaction || step.kind == Step::Kind::validate;
    list.push_back({{"phase", phase},
                    {"title", step.title},
                    {"locks", locks},
                    {"cost", step.cost},
                    {"transaction", transaction},
                    {"done", facts.is_done(phase, step)},
                    {"sql", step.sql}});
  }
  return list;
}

std::string json_of(const Recipe& recipe, const Facts& facts) {
  Json tables = Json::array();
  for (const PlannedTable& table : facts.tables) {
    tables.push_back({{"table", table.table.display()},
                      {"rows", table.rows_known ? Json(table.rows) : Json(nullptr)},
                      {"bytes", table.bytes},
                      {"index_bytes", table.index_bytes},
                      {"indexes", table.indexes},
                      {"partitions", table.partitions},
                      {"backfilled", table.walked}});
  }
  Json mappings = Json::array();
  for (const SyncedTable& table : recipe.synced) {
    for (const SyncedMapping& mapping : table.mappings) {
      mappings.push_back({{"table", table.table.display()},
                          {"mapping", mapping.label},
                          {"set", mapping.fill},
                          {"pending", mapping.pending},
                          {"inconsistent", mapping.inconsistent}});
    }
  }
  Json steps = Json::array();
  for (const PhaseSteps& phase : phases_of(recipe)) {
    for (Json& step : steps_as_json(phase.phase, phase.steps, facts)) {
      steps.push_back(std::move(step));
    }
  }
  Json blockers = Json::array();
  for (const Blocker& blocker : facts.in_the_way) {
    blockers.push_back(blocker_words(blocker));
  }
  Json missing = Json::array();
  for (const Missing& one : facts.missing) {
    missing.push_back({{"what", one.what},
                       {"remedy", one.remedy},
                       {"refused", one.refused ? Json(command_name(*one.refused)) : Json(nullptr)}});
  }
  const BackfillEstimate& estimate = facts.estimate;
  return Json{{"state", state_name(facts.state)},
              {"tables", tables},
              {"mappings", mappings},
              {"steps", steps},
              {"rollback", steps_as_json("rollback", undo_steps(recipe), facts)},
              {"estimate",
               {{"rows", estimate.rows},
                {"ms", {estimate.ms_low, estimate.ms_high}},
                {"wal_bytes", {estimate.wal_low, estimate.wal_high}}}},
              {"lost_at_contract", facts.lost},
              {"in_the_way", blockers},
              {"missing", missing}}
      .dump(-1, ' ', false, Json::error_handler_t::replace);  // names of roles may be in any encoding
}

std::set<std::pair<std::string_view, std::string>> done_steps(Session& session, const Plan& plan,
                                                              const Recipe& recipe) {
  std::set<std::pair<std::string_view, std::string>> done;
  Journal journal(session.connection());
  for (const PhaseSteps& phase : phases_of(recipe)) {
    for (const std::string_view name : phase.in_journal) {
      for (const std::string& id : journal.done_steps(plan.name, std::string(name))) {
        done.emplace(phase.phase, id);
      }
    }
  }
  return done;
}

void show_plan(Migration& migration, Session& session, const Plan& plan, bool sql, Invocation& invocation) {
  const Recipe recipe = migration.compile();
  const State state = migration.state().value_or(State::planned);
  const std::vector<Missing> missing = migration.missing(recipe);
  const bool begins = state == State::planned || state == State::rolled_back;
  if (sql && begins) {
    refuse_missing(missing, Command::expand);
  }
  if (sql && !invocation.flags.report.json) {
    print_whole(sql_text(plan, recipe));
    return;
  }
  Facts facts;
  facts.state = state;
  facts.missing = missing;
  if (!begins) {
    facts.done = done_steps(session, plan, recipe);
  }
  facts.tables = facts_of_tables(session, recipe);
  facts.estimate = estimate_backfill(facts.tables, expected_workers(session));
  facts.lost = what_goes(session, recipe);
  facts.in_the_way = sessions_in_the_way(session, recipe);
  invocation.observer.on(event::Document{"plan", json_of(recipe, facts)});
  if (!invocation.flags.report.json) {
    print_whole(summary_text(plan, recipe, facts));
  }
  if (begins) {
    refuse_missing(missing, Command::expand);
  }
}

/// For text that goes to psql: nothing else on standard output.
class OnlyWarnings final : public Observer {
 public:
  explicit OnlyWarnings(Observer& next) : m_next(next) {}
  void on(const Event& event) override {
    const auto* note = std::get_if<event::Note>(&event);
    const auto* trial = std::get_if<event::TrialFinished>(&event);
    if ((note != nullptr && note->level == event::Note::Level::warning) || (trial != nullptr && trial->lossy > 0)) {
      m_next.on(event);
    }
  }

 private:
  Observer& m_next;
};

void add_to(CLI::App& command, ChosenCommand& chosen) {
  const auto flags = std::make_shared<RunFlags>();
  const auto sql = std::make_shared<bool>(false);
  add_plan_argument(command, *flags);
  add_trial_flags(command, *flags);
  command.add_flag("--sql", *sql, "The statements of every phase instead, as text that psql can run");
  command.callback([&chosen, flags, sql] {
    chosen = [flags, sql](Invocation& invocation) {
      OnlyWarnings only_warnings(invocation.observer);
      Observer& observer = *sql && !invocation.flags.report.json ? only_warnings : invocation.observer;
      Invocation quiet{invocation.flags, invocation.interrupt, observer, invocation.result};
      with_migration(quiet, *flags, [&](Migration& migration, Session& session, const Plan& plan) {
        show_plan(migration, session, plan, *sql, invocation);
      });
    };
  });
}

const RegisterCommand k_plan({.place = 70,
                              .name = "plan",
                              .description = "Show what each phase will do and cost on this database; changes nothing",
                              .examples = {"ecmigrate plan plan.yaml -d postgres://app@db/shop",
                                           "ecmigrate plan plan.yaml --sql > review.sql"},
                              .outcomes = run_outcomes(),
                              .add_to = add_to});

}  // namespace

}  // namespace ecmigrate
