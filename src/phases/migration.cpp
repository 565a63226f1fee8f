#include "ecmigrate/phases/migration.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <ranges>
#include <utility>

#include "compile_plan.hpp"
#include "contract_guard.hpp"
#include "ddl_trial.hpp"
#include "dependents.hpp"
#include "drift.hpp"
#include "ecmigrate/base/error.hpp"
#include "ecmigrate/base/text.hpp"
#include "ecmigrate/fill/backfill.hpp"
#include "ecmigrate/fill/upkeep.hpp"
#include "ecmigrate/fill/verify.hpp"
#include "ecmigrate/model/lifecycle.hpp"
#include "ecmigrate/pace/limits_check.hpp"
#include "ecmigrate/phases/old_use.hpp"
#include "ecmigrate/phases/plan_summary.hpp"
#include "ecmigrate/phases/what_goes.hpp"
#include "ecmigrate/session/confirm.hpp"
#include "ecmigrate/steps/step_runner.hpp"
#include "ecmigrate/store/catalog_reader.hpp"
#include "ecmigrate/store/journal.hpp"
#include "ecmigrate/store/sync_triggers.hpp"
#include "ecmigrate/store/walks.hpp"
#include "plan_change.hpp"
#include "rollback_guard.hpp"
#include "table_guard.hpp"
#include "trial.hpp"

namespace ecmigrate {

namespace {

constexpr int k_most_shown = 20;

}  // namespace

struct Migration::Run {
  Run(Session& the_session, const Plan& the_plan)
      : session(the_session), plan(the_plan), journal(the_session.connection()) {}

  Session& session;
  const Plan& plan;
  Journal journal;
  std::optional<MigrationRecord> record;
  std::string told_command{};
  std::int64_t id = 0;
  bool changed = false;
  bool locked = false;
  bool may_replace_role = false;
  Command last = Command::expand;  ///< the last phase that is to run now, as far as expand has to know
  Tables tables;                   ///< that the recipe was just compiled from
  std::vector<BadRow> bad_rows;

  /// Takes the run lock and reads where the migration stands. False when it was never begun.
  bool open(const std::string& command) {
    if (!locked) {
      session.require_writable();
      session.take_run_lock(plan.name);
      locked = true;
    }
    journal.check_trusted();
    if (!journal.installed()) {
      return false;
    }
    journal.install();  // one of an older format
    record = journal.find(plan.name);
    if (record) {
      follow_plan(command);
    }
    if (record) {
      begin_run(command);
      if (record->state < State::contracting && command != "rollback") {
        let_writers_note(session.connection(), plan.name, record->recipe.old_shapes);
      }
    }
    return record.has_value();
  }

  void begin_run(const std::string& command) {
    if (id == 0) {
      id = journal.begin_run(plan.name, {told_command.empty() ? command : told_command, plan.file,
                                         session.options().target, session.options().pace});
    }
  }

  [[nodiscard]] bool plan_differs() const {
    return record->plan != plan.canonical && record->state != State::rolled_back;
  }

  bool has_begun(const std::string& phase) { return !journal.started_steps(plan.name, phase).empty(); }

  /// Takes over what a changed plan says of parts that have not run.
  void follow_plan(const std::string& command) {
    if (!plan_differs()) {
      return;
    }
    if (record->state == State::expanding && !has_begun("expand")) {
      if (command != "rollback") {
        record.reset();  // nothing has run: it begins anew
      }
      return;
    }
    PlanChange change;
    try {
      change = read_change(session.connection(), plan, *record);
    } catch (const Error& error) {
      if (command != "rollback" || record->state == State::contracted) {
        throw;
      }
      confirm(fmt::format("the plan of \"{}\" has changed; rollback goes by the plan as it was, since {}", plan.name,
                          error.what()));
      return;
    }
    if (const auto other = journal.other_on(plan.name, change.recipe.tables)) {
      refuse_beside(*other);
    }
    const std::string text = fmt::format("the plan of \"{}\" has changed in parts that have not run{}{}", plan.name,
                                         change.texts.empty() ? "" : ":\n  ", join(change.texts, "\n  "));
    if (!change.only_mends_rollback && !change.texts.empty()) {
      confirm(text);
    }
    session.report(event::Note{event::Note::Level::info, text});
    journal.change_plan(plan, change.recipe);
    record->plan = plan.canonical;
    record->recipe = change.recipe;
    set_state(change.state);
  }

  /// Whoever runs the command has to say the migration's name, by --confirm or at the terminal.
  void confirm(const std::string& what) const { ecmigrate::confirm(session.options(), plan.name, what); }

  /// Where the migration stands, to those who look up whose turn it is. Whether contract has begun is for its steps to
  /// say: one that was killed before its first statement has taken nothing away, and after one there is no way back.
  [[nodiscard]] State standing() {
    if (!record) {
      return State::planned;
    }
    if (record->state != State::contracting && record->state != State::verified) {
      return record->state;
    }
    return has_begun("contract") ? State::contracting : State::verified;
  }

  /// Whether the command has work to do; says so where that is done. Throws Error{refused} where something else has to
  /// run first.
  bool is_turn(Command command, const std::string& else_do = "nothing to do") {
    const State state = standing();
    const Verdict verdict = verdict_on(state, command);
    if (verdict.turn == Turn::already) {
      session.report(event::Note{event::Note::Level::info,
                                 fmt::format("\"{}\" is {} already: {}", plan.name, state_words(state), else_do)});
    }
    if (verdict.turn == Turn::refused) {
      throw Error(Outcome::refused,
                  fmt::format("\"{}\" is {}: {} is not its turn", plan.name, state_words(state), command_name(command)),
                  verdict.instead ? fmt::format("Run: ecmigrate {} {}", command_name(*verdict.instead), plan.file)
                                  : std::string());
    }
    return verdict.turn == Turn::runs;
  }

  void set_state(State state) {
    const State before = record->state;
    if (before == state) {
      return;
    }
    journal.set_state(plan.name, state);
    record->state = state;
    session.report(event::StateChanged{plan.name, std::string(state_name(before)), std::string(state_name(state))});
  }

  /// A contract of which nothing was done: verified again, and the way back open.
  void take_contract_back() {
    if (journal.take_contract_back(plan.name)) {
      record->state = State::verified;
      session.report(event::StateChanged{plan.name, "contracting", "verified"});
    }
  }

  int run_steps(const std::string& phase, const std::vector<Step>& steps) {
    try {
      const int done = StepRunner(session, journal, plan.name, id, phase).run(steps);
      changed = changed || done > 0;
      return done;
    } catch (const pg::SqlError& error) {
      if (error.connection_lost()) {
        throw;
      }
      throw pg::SqlError(error.sqlstate(), error.what(),
                         fmt::format("{}{}{}", error.hint(), error.hint().empty() ? "" : "\n", way_out(phase)),
                         error.position());
    }
  }

  /// What can be done about a step that fails each time it is tried.
  std::string way_out(const std::string& phase) {
    const std::string command = phase == "after_fill" ? "backfill" : phase == "before_contract" ? "contract" : phase;
    const bool back = phase != "rollback" && (phase != "contract" || !has_begun("contract"));
    return fmt::format(
        "Mend the cause, or change the statement in the plan (what has not run may change), then run: "
        "ecmigrate {} {}{}",
        command, plan.file, back ? fmt::format("; or go back: ecmigrate rollback {}", plan.file) : "");
  }

  Recipe compile_now(const Catalog& catalog) {
    tables = catalog.tables;
    return compile_plan(session.connection(), plan, catalog);
  }

  /// What contract cannot do as long as there are things that somebody has to see to first.
  [[nodiscard]] std::vector<LongWork> try_all_steps(const Recipe& recipe, bool contract_too) {
    std::vector<std::string> phases{"expand", "backfill", "verify"};
    if (contract_too) {
      phases.emplace_back("before_contract");
      phases.emplace_back("contract");
    }
    return try_steps(session, recipe, phases);
  }

  /// The recipe, and what contract would meet. Where a type cannot change in place without long work under the lock, it
  /// changes through a copy.
  std::pair<Recipe, Dependents> compile_and_try(bool begins) {
    require_temporary_tables(session.connection());
    Catalog catalog = read_catalog(session.connection(), plan);
    may_replace_role = may_replace_replication_role(session.connection());
    bool told = false;
    for (;;) {
      Recipe recipe = compile_now(catalog);
      if (begins && !std::exchange(told, true)) {
        journal.check_may_install();
        name_missing_right();
      }
      Dependents dependents = find_dependents(session, recipe.drops);
      const std::vector<LongWork> work = try_all_steps(recipe, dependents.blocking.empty());
      bool other_way = false;
      for (const LongWork& one : work) {
        for (const ColumnDrop& change : recipe.drops) {
          Table& table = catalog.tables.at(change.table);
          // A copy in a partitioned table would get no indexes.
          if (change.type_change && !table.partitioned && changes_type(one, change)) {
            std::ranges::find(table.columns, change.column, &Column::name)->costly_in_place = true;
            other_way = true;
            session.report(event::Note{event::Note::Level::info,
                                       fmt::format("{}.{} changes its type through a copy: in place, contract {}",
                                                   change.table.display(), change.column, one.what)});
          }
        }
      }
      if (!other_way) {
        refuse_long_work(work);
        return {std::move(recipe), std::move(dependents)};
      }
    }
  }

  [[noreturn]] static void refuse_beside(const std::string& other) {
    throw Error(Outcome::refused, fmt::format("migration \"{}\" is under way on the same table", other),
                "Contract it or roll it back first.");
  }

  /// What is left of it would need, or do better with, and is not there.
  [[nodiscard]] std::vector<Missing> missing(const Recipe& recipe) {
    return what_is_missing(session, recipe, limits_now(), record ? record->state : State::planned);
  }

  /// Everything that can be known before the first lock. Who does not begin, but only looks, says himself what is
  /// missing.
  Recipe prepare(bool begins) {
    check_limits(session.connection(), limits_now());
    const auto [recipe, dependents] = compile_and_try(begins);
    const bool installed = journal.installed();
    if (const auto other = installed ? journal.other_on(plan.name, recipe.tables) : std::nullopt) {
      refuse_beside(*other);
    }
    const std::vector<Missing> lacking = missing(recipe);
    if (begins) {
      refuse_missing(lacking, last);
    }
    for (const Trial& trial : recipe.trials) {
      try_on_rows(session, trial);
    }
    std::vector<std::string> warnings = recipe.warnings;
    const bool own_sql = std::ranges::any_of(recipe.contract, [](const Step& step) { return is_plans_own_sql(step); });
    for (const std::string& text : dependents.blocking) {
      warnings.push_back(fmt::format("contract will be refused as long as there is {}{}", text,
                                     own_sql ? ", unless the plan's own sql of contract removes it first" : ""));
    }
    for (const std::string& text : dependents.lost) {
      warnings.push_back(fmt::format("contract would also drop {}, and will ask for --accept-drop", text));
    }
    // `plan` lists what is missing, and warns of it only where that counts.
    const bool warns = begins || session.options().strict;
    for (const Missing& one : lacking) {
      if (warns && one.refused == Command::backfill) {
        warnings.push_back(fmt::format("backfill will be refused: {}. {}", one.what, one.remedy));
      }
    }
    for (const SyncedTable& table : recipe.synced) {
      if (table.user_update_triggers && !may_replace_role && warns) {
        warnings.push_back(
            fmt::format("the triggers of {} will fire for every row of the backfill: this role may not set "
                        "session_replication_role",
                        table.table.display()));
      }
    }
    for (const std::string& warning : warnings) {
      session.warn(warning);
    }
    if (session.options().strict && !warnings.empty()) {
      throw Error(Outcome::refused, "there are warnings, and --strict was given", "Nothing was changed.");
    }
    return recipe;
  }

  /// Once, and not wherever something of another role's session cannot be seen.
  void name_missing_right() const {
    if (!sees_other_sessions(session.connection())) {
      session.report(event::Note{event::Note::Level::info, std::string(k_without_pg_monitor)});
    }
  }

  void begin_migration() {
    const Recipe recipe = prepare(true);
    const State before = record ? record->state : State::planned;
    journal.install();
    let_writers_note(session.connection(), plan.name, recipe.old_shapes);
    if (const auto other = journal.begin(plan, recipe, tables)) {
      refuse_beside(*other);
    }
    record = journal.find(plan.name);
    begin_run("expand");
    const BackfillEstimate estimate = estimate_backfill(facts_of_tables(session, recipe), expected_workers(session));
    if (const std::string words = estimate_words(estimate); !words.empty()) {
      session.report(event::Note{event::Note::Level::info, "  estimate: the backfill writes " + words});
    }
    session.report(event::StateChanged{plan.name, std::string(state_name(before)), "expanding"});
  }

  void refuse_bad_rows() const {
    if (bad_rows.empty()) {
      return;
    }
    std::vector<std::string> lines;
    for (const BadRow& row : bad_rows | std::views::take(k_most_shown)) {
      lines.push_back(fmt::format("{}: {}", row.key, row.error));
    }
    throw Error(Outcome::work_remains,
                fmt::format("{} rows are set aside, as they cannot be filled:\n  {}",
                            with_thousands(static_cast<std::int64_t>(bad_rows.size())), join(lines, "\n  ")),
                "Mend or delete them (all are in ecmigrate.bad_rows) and run the same command again: it tries these "
                "rows alone.");
  }

  [[nodiscard]] PaceLimits limits_now() {
    return record ? limits_in_force(session.options().pace, journal.steering(plan.name)) : session.options().pace;
  }

  /// Before the first row.
  void check_may_fill() {
    const PaceLimits limits = limits_now();
    check_limits(session.connection(), limits);
    if (!record->recipe.synced.empty()) {
      refuse_missing(unmet_limits(session.connection(), limits), Command::backfill);
    }
  }

  /// Gives whether it wrote anything; rows that it set aside are in bad_rows.
  bool fill_tables(bool again) {
    may_replace_role = may_replace_replication_role(session.connection());
    for (const SyncedTable& table : record->recipe.synced) {
      for (const SyncedMapping& mapping : table.mappings) {
        may_replace_role =
            may_replace_role && !has_validated_foreign_key(session.connection(), table.table, mapping.new_columns);
      }
    }
    Backfill backfill(session, plan.name, id, may_replace_role, again);
    for (const SyncedTable& table : record->recipe.synced) {
      if (table.user_update_triggers && !may_replace_role) {
        session.warn(fmt::format(
            "the triggers of {} fire for every row of the backfill: this role may not set session_replication_role, "
            "or a validated foreign key has to see the rows",
            table.table.display()));
      }
      for (const auto& [leaf, walked] : leaves(session.connection(), plan.name, table.table)) {
        backfill.add(table, leaf);
      }
    }
    const bool wrote = backfill.run();
    changed = changed || wrote;
    bad_rows = backfill.bad_rows();
    return wrote;
  }

  std::int64_t compare_tables() {
    may_replace_role = may_replace_replication_role(session.connection());
    std::int64_t differences = 0;
    for (const SyncedTable& table : record->recipe.synced) {
      for (const auto& [leaf, walked] : leaves(session.connection(), plan.name, table.table)) {
        const event::VerifyFinished result = verify_relation(session, table, leaf, may_replace_role);
        journal.record_verification(plan.name, id, result);
        differences += result.pending + result.inconsistent - result.repaired;
        changed = changed || result.repaired > 0;
      }
    }
    return differences;
  }

  void refuse_if_gone() {
    ecmigrate::refuse_if_gone(session.connection(), plan, *record, standing() == State::contracting);
  }

  /// What was verified is no longer known: verify, and before it perhaps the backfill, has to be run again.
  void check_still_true(const std::string& marks) {
    if (const auto doubt = why_doubt(session, plan, record->recipe, marks, id)) {
      set_state(State::backfilled);
      throw Error(*doubt);
    }
  }

  /// Sync triggers that are missing or off are made again. What was written meanwhile, verify has to find.
  bool remake_triggers() {
    const std::vector<SyncTrigger>& all = record->recipe.triggers;
    std::vector<Step> steps;
    for (const SyncTrigger& trigger : all) {
      std::vector<OldShape> shapes = record->recipe.old_shapes;
      std::erase_if(shapes, [&](const OldShape& shape) { return shape.table != trigger.table; });
      if (!trigger.make.empty() && (notes_are_missing(session.connection(), shapes) ||
                                    !find_trigger_faults(session.connection(), {trigger}, {}).broken.empty())) {
        Step& step = steps.emplace_back();
        step.id = fmt::format("{}.sync trigger in run {}", trigger.table.display(), id);
        step.title = "make the sync trigger of " + trigger.table.display() + " again";
        step.locks = {{trigger.table, LockMode::access_exclusive}};
        step.sql = trigger.make;
        step.cost = "catalogue only";
      }
    }
    if (steps.empty()) {
      return false;
    }
    run_steps("expand", steps);
    set_state(std::min(record->state, State::backfilled));
    session.warn(
        "writes may have passed the sync trigger by: `verify --repair` finds and mends what they left, "
        "`--repair=new` where the new version wrote");
    return true;
  }

  /// Nothing where an older program began the migration: then what was there at expand is not known.
  Drift drift() {
    if (!record->tables) {
      return {};
    }
    const Tables now = read_catalog(session.connection(), plan).tables;
    Recipe recipe = record->recipe;
    for (ColumnDrop& drop : recipe.drops) {
      const auto table = now.find(drop.table);
      const Column* going = table == now.end() ? nullptr : table->second.find_column(drop.column);
      if (going != nullptr && !drop.interim_default.empty()) {
        drop.interim_default = printed_default(session.connection(), *going, drop.interim_default);
      }
    }
    return find_drift(recipe, *record->tables, now, session.options().accept_drop);
  }

  void refuse_lost(const Drift& drift) const {
    if (!drift.lost.empty()) {
      throw Error(
          Outcome::refused,
          "somebody changed these since expand, and contract would lose the change:\n  " + join(drift.lost, "\n  "),
          fmt::format("Put it back, contract, and change it again on the new column; --accept-drop NAME lets "
                      "go what would go. Or go back, and begin again from what is there now: ecmigrate "
                      "rollback {}",
                      plan.file));
    }
  }

  /// A name in --accept-drop that nothing has is a slip; the right one would still stand in the way.
  void check_accepted_names() {
    for (const std::string& name : session.options().accept_drop) {
      const bool known =
          session.connection()
              .query(
                  "select exists (select from pg_catalog.pg_class where relname = $1) or exists (select from "
                  "pg_catalog.pg_constraint where conname = $1) or exists (select from pg_catalog.pg_statistic_ext "
                  "where stxname = $1) or exists (select from pg_catalog.pg_policy where polname = $1) or exists "
                  "(select from pg_catalog.pg_trigger where tgname = $1) or exists (select from "
                  "pg_catalog.pg_publication where pubname = $1) or exists (select from pg_catalog.pg_proc where "
                  "proname = $1) or exists (select from pg_catalog.pg_attribute where attname = $1)",
                  {name})
              .boolean(0, 0);
      if (!known) {
        throw Error(Outcome::usage, fmt::format("--accept-drop \"{}\": nothing has that name", name),
                    "Give the names that contract's refusal lists.");
      }
    }
  }

  /// Looks at the use of the old columns, and says what it finds; the journal keeps it for later looks.
  std::vector<event::OldUse> look_at_old_use(const std::string& phase) {
    std::vector<event::OldUse> uses =
        find_old_use(session.connection(), record->recipe.old_shapes, journal.old_use_looks(plan.name));
    for (event::OldUse& use : uses) {
      use.phase = phase;
      session.report(use);
    }
    return uses;
  }

  void refuse_recent_use() {
    const auto looks = journal.old_use_looks(plan.name);
    const std::vector<event::OldUse> uses = look_at_old_use("contract");
    const std::chrono::milliseconds quiet_for = session.options().quiet_for;
    if (const std::vector<std::string> recent = uses_within(quiet_for, uses, looks); !recent.empty()) {
      throw Error(Outcome::refused,
                  fmt::format("the old columns have not been out of use for {}:\n  {}",
                              format_milliseconds(static_cast<double>(quiet_for.count())), join(recent, "\n  ")),
                  "Roll out the new version, wait, and run the same command again; ecmigrate status shows their "
                  "use. Nothing was changed.");
    }
  }

  /// Once nothing else stands in contract's way.
  void confirm_contract() {
    const std::vector<std::string> going =
        session.options().confirm_contract ? what_goes(session, record->recipe) : std::vector<std::string>();
    if (!going.empty()) {
      confirm("contract takes away for good:\n  " + join(going, "\n  ") + "\nconnected now: " + connected_now(session) +
              "\nWhere an instance of the old version still runs, it fails from then on");
    }
  }

  /// Indexes of ours that somebody dropped: contract would look for them in vain, each time anew.
  void rebuild_dropped_indexes() {
    const Recipe& recipe = record->recipe;
    for (const auto& [phase, all] : {std::pair("expand", &recipe.expand), std::pair("after_fill", &recipe.after_fill),
                                     std::pair("before_contract", &recipe.before_contract)}) {
      const std::vector<std::string> done = journal.done_steps(plan.name, phase);
      std::vector<Step> dropped = *all;
      std::erase_if(dropped, [&](const Step& step) {
        return step.kind != Action::Kind::index_build || std::ranges::find(done, step.id) == done.end() ||
               has_valid_index(session.connection(), *step.index);
      });
      for (const Step& step : dropped) {
        session.warn(fmt::format("{} was dropped by somebody, and is built again", step.index->display()));
        journal.record_step(plan.name, phase, step.id, false);
      }
      run_steps(phase, dropped);
    }
  }

  void backfill(bool look_again) {
    open("backfill");
    const State state = standing();
    if (state >= State::expanded && state < State::contracting) {
      refuse_if_gone();
    }
    const bool filled = state == State::backfilled || state == State::verified;
    // A partition that came since has rows that nobody has filled.
    const bool more_to_fill = filled && !unwalked_leaves(session, plan.name, record->recipe).empty();
    if (!more_to_fill &&
        !is_turn(Command::backfill, filled && look_again ? "looking at every row once more" : "nothing to do")) {
      if (filled && look_again) {
        check_may_fill();
        if (fill_tables(true) || !bad_rows.empty()) {
          set_state(State::backfilled);  // what was verified is no longer known
        }
      }
      refuse_bad_rows();
      return;
    }
    check_may_fill();
    set_state(State::backfilling);
    fill_tables(false);
    refuse_bad_rows();
    run_steps("after_fill", record->recipe.after_fill);
    set_state(State::backfilled);
  }
};

Migration::Migration(Session& session, const Plan& plan, std::string command)
    : m_run(std::make_unique<Run>(session, plan)) {
  m_run->told_command = std::move(command);
}

Migration::~Migration() = default;

bool Migration::changed() const {
  return m_run->changed;
}

std::optional<State> Migration::state() {
  if (m_run->record) {
    return m_run->record->state;
  }
  return std::nullopt;
}

Recipe Migration::compile() {
  Run& run = *m_run;
  run.session.require_writable();  // a trial makes tables, if only to take them back
  run.journal.check_trusted();
  if (run.journal.installed()) {
    run.record = run.journal.find(run.plan.name);
    if (run.record && run.record->state != State::rolled_back) {
      if (!run.plan_differs()) {
        return run.record->recipe;
      }
      const PlanChange change = read_change(run.session.connection(), run.plan, *run.record);
      run.session.report(
          event::Note{event::Note::Level::info, "the plan has changed since expand:\n  " + join(change.texts, "\n  ")});
      return change.recipe;
    }
  }
  return run.prepare(false);
}

std::vector<Missing> Migration::missing(const Recipe& recipe) {
  return m_run->missing(recipe);
}

std::int64_t Migration::run_id() const {
  return m_run->id;
}

void Migration::end(const RunEnd& end) {
  if (m_run->id != 0) {
    m_run->journal.end_run(m_run->id, end);
  }
}

void Migration::expand() {
  Run& run = *m_run;
  run.open("expand");
  const State state = run.standing();
  const bool synced = state >= State::expanded && state < State::contracting;
  if (synced || state == State::expanding) {
    run.refuse_if_gone();
  }
  if ((synced && run.remake_triggers()) || !run.is_turn(Command::expand)) {
    return;
  }
  if (!run.record || run.record->state == State::rolled_back) {
    run.begin_migration();
  }
  run.run_steps("expand", run.record->recipe.expand);
  run.journal.record_columns(run.plan.name, run.record->recipe.tables, true);
  if (run.record->trigger_marks.empty()) {
    run.journal.record_trigger_marks(run.plan.name,
                                     trigger_marks(run.session.connection(), run.record->recipe.triggers));
  }
  run.look_at_old_use("expand");
  run.set_state(State::expanded);
}

void Migration::expand_to_fill() {
  m_run->last = Command::backfill;
  expand();
}

void Migration::backfill() {
  m_run->backfill(true);
}

void Migration::backfill_if_needed() {
  m_run->backfill(false);
}

void Migration::verify() {
  Run& run = *m_run;
  run.open("verify");
  if (!run.is_turn(Command::verify)) {
    return;
  }
  run.refuse_if_gone();
  run.check_still_true({});
  const std::string marks = trigger_marks(run.session.connection(), run.record->recipe.triggers);
  const std::int64_t differences = run.compare_tables();
  if (differences > 0) {
    run.set_state(State::backfilled);
    throw Error(Outcome::differences_found, fmt::format("{} rows differ", with_thousands(differences)),
                "`verify --repair` fills pending rows; --repair=old or --repair=new also says which side is right "
                "where both are filled.");
  }
  run.run_steps("verify", run.record->recipe.validate);
  for (const SyncedTable& table : run.record->recipe.synced) {
    analyze_new_columns(run.session, table);
  }
  run.journal.record_trigger_marks(run.plan.name, marks);
  run.look_at_old_use("verify");
  run.set_state(State::verified);
}

void Migration::contract() {
  Run& run = *m_run;
  run.open("contract");
  if (!run.is_turn(Command::contract)) {
    return;
  }
  run.refuse_if_gone();
  if (run.standing() == State::verified) {
    run.check_still_true(run.record->trigger_marks);
    refuse_if_columns_are_needed(run.session, run.record->recipe);
    run.refuse_lost(run.drift());
    run.check_accepted_names();
    run.refuse_recent_use();
    run.confirm_contract();
    run.rebuild_dropped_indexes();
    // Before the state says that there is no way back: what cannot be built ends here.
    run.run_steps("before_contract", run.record->recipe.before_contract);
    refuse_long_work(try_steps(run.session, run.record->recipe, {"contract"}));
    refuse_missing(run.missing(run.record->recipe), Command::contract);
    run.set_state(State::contracting);
  }
  try {
    run.run_steps("contract", guarded_contract(run.plan, run.record->recipe, run.record->trigger_marks, run.drift()));
  } catch (const pg::SqlError& error) {
    if (!error.connection_lost()) {
      run.take_contract_back();
    }
    throw;
  } catch (const Error& error) {
    // Of any other the run lock, and with it the migration, may be somebody else's by now.
    if (error.outcome() == Outcome::lock_not_obtained) {
      run.take_contract_back();
    }
    throw;
  }
  run.set_state(State::contracted);
}

void Migration::rollback() {
  Run& run = *m_run;
  run.open("rollback");
  const State state = run.standing();
  if (state == State::contracting || state == State::contracted) {
    throw Error(
        Outcome::refused, fmt::format("\"{}\" is {}: the old columns are gone", run.plan.name, state_words(state)),
        state == State::contracted
            ? "Write a plan that goes the other way."
            : fmt::format("Run: ecmigrate contract {}. A statement of it that fails may be changed in the plan.",
                          run.plan.file));
  }
  if (!run.is_turn(Command::rollback)) {
    return;
  }
  const std::vector<TableFate> fates = fates_unless_renamed(run.session.connection(), *run.record);
  for (const TableFate& fate : fates) {
    if (fate.gone()) {
      run.session.warn(
          fmt::format("{} {}: nothing is left to take back there", fate.table.display(), fate_words(fate)));
    }
  }
  if (run.record->state != State::rolling_back) {
    check_nothing_is_lost(run.session, run.plan, *run.record, fates);
  }
  const std::vector<Step> steps = guarded_rollback(run.session, *run.record, fates);
  run.set_state(State::rolling_back);
  run.run_steps("rollback", steps);
  run.set_state(State::rolled_back);
}

}  // namespace ecmigrate
