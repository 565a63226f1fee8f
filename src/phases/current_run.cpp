#include "current_run.hpp"

#include <fmt/format.h>

#include <utility>

#include "ecmigrate/base/error.hpp"
#include "ecmigrate/base/text.hpp"
#include "ecmigrate/pace/limits_check.hpp"
#include "ecmigrate/phases/old_use.hpp"
#include "ecmigrate/session/confirm.hpp"
#include "ecmigrate/steps/step_runner.hpp"
#include "plan_change.hpp"
#include "table_guard.hpp"

namespace ecmigrate {

CurrentRun::CurrentRun(Session& the_session, const Plan& the_plan, std::string told)
    : session(the_session), plan(the_plan), journal(the_session.connection()), m_told(std::move(told)) {}

void CurrentRun::open(Command command) {
  if (!m_locked) {
    session.require_writable();
    session.take_run_lock(plan.name);
    m_locked = true;
  }
  journal.check_trusted();
  if (!journal.installed()) {
    return;
  }
  journal.install();  // one of an older format
  record = journal.find(plan.name);
  if (record) {
    follow_plan(command);
  }
  if (record && verdict_on(standing(), command).turn != Turn::refused) {
    begin(command);
    if (record->state < State::contracting && command != Command::rollback) {
      let_writers_note(session.connection(), plan.name, record->recipe.old_shapes);
    }
  }
}

void CurrentRun::begin(Command command) {
  if (id == 0) {
    id = journal.begin_run(plan.name, {m_told.empty() ? std::string(command_name(command)) : m_told, plan.file,
                                       session.options().target, session.options().pace});
  }
}

bool CurrentRun::plan_differs() const {
  return record->plan != plan.canonical && record->state != State::rolled_back;
}

bool CurrentRun::has_begun(const std::string& phase) {
  return !journal.started_steps(plan.name, phase).empty();
}

void CurrentRun::follow_plan(Command command) {
  if (!plan_differs()) {
    return;
  }
  if (record->state == State::expanding && !has_begun("expand")) {
    if (command != Command::rollback) {
      record.reset();  // nothing has run: it begins anew
    }
    return;
  }
  PlanChange change;
  try {
    change = read_change(session.connection(), plan, *record);
  } catch (const Error& error) {
    if (command != Command::rollback || record->state == State::contracted) {
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

void CurrentRun::confirm(const std::string& what) const {
  ecmigrate::confirm(session.options(), plan.name, what);
}

State CurrentRun::standing() {
  if (!record) {
    return State::planned;
  }
  if (record->state != State::contracting && record->state != State::verified) {
    return record->state;
  }
  return has_begun("contract") ? State::contracting : State::verified;
}

bool CurrentRun::is_turn(Command command, const std::string& else_do) {
  const State state = standing();
  const Verdict verdict = verdict_on(state, command);
  if (verdict.turn == Turn::already) {
    session.report(
        event::Note{event::Note::Level::info, fmt::format("\"{}\" is {}{}: {}", plan.name, state_words(state),
                                                          state == State::planned ? "" : " already", else_do)});
  }
  if (verdict.turn == Turn::refused) {
    throw Error(Outcome::refused,
                fmt::format("\"{}\" is {}: {} is not its turn", plan.name, state_words(state), command_name(command)),
                verdict.instead ? fmt::format("Run: ecmigrate {} {}", command_name(*verdict.instead), plan.file)
                                : std::string());
  }
  return verdict.turn == Turn::runs;
}

void CurrentRun::refuse_if_gone() {
  ecmigrate::refuse_if_gone(session.connection(), plan, *record, standing() == State::contracting);
}

PaceLimits CurrentRun::limits_now() {
  return record ? limits_in_force(session.options().pace, journal.steering(plan.name)) : session.options().pace;
}

std::vector<event::OldUse> CurrentRun::look_at_old_use(const std::string& phase) {
  std::vector<event::OldUse> uses =
      find_old_use(session.connection(), record->recipe.old_shapes, journal.old_use_looks(plan.name));
  for (event::OldUse& use : uses) {
    use.phase = phase;
    session.report(use);
  }
  return uses;
}

void CurrentRun::set_state(State state) {
  const State before = record->state;
  if (before == state) {
    return;
  }
  journal.set_state(plan.name, state);
  record->state = state;
  session.report(event::StateChanged{plan.name, std::string(state_name(before)), std::string(state_name(state))});
}

void CurrentRun::take_contract_back() {
  if (journal.take_contract_back(plan.name)) {
    record->state = State::verified;
    session.report(event::StateChanged{plan.name, "contracting", "verified"});
  }
}

void CurrentRun::run_steps(const std::string& phase, const std::vector<Step>& steps) {
  try {
    const int done = StepRunner(session, journal, plan.name, id, phase).run(steps);
    changed = changed || done > 0;
  } catch (const pg::SqlError& error) {
    if (error.connection_lost()) {
      throw;
    }
    // The server's advice to drop with CASCADE is none here: it would take what somebody needs.
    const std::string hint = error.hint().find("CASCADE") == std::string::npos ? error.hint() : std::string();
    throw pg::SqlError(error.sqlstate(), error.what(),
                       fmt::format("{}{}{}", hint, hint.empty() ? "" : "\n", way_out(phase)), error.position());
  }
}

std::string CurrentRun::way_out(const std::string& phase) {
  const std::string command = phase == "after_fill" ? "backfill" : phase == "before_contract" ? "contract" : phase;
  const bool back = phase != "rollback" && (phase != "contract" || !has_begun("contract"));
  return fmt::format(
      "Mend the cause, or change the statement in the plan (what has not run may change), then run: "
      "ecmigrate {} {}{}",
      command, plan.file, back ? fmt::format("; or go back: ecmigrate rollback {}", plan.file) : "");
}

void refuse_beside(const std::string& other) {
  throw Error(Outcome::refused, fmt::format("migration \"{}\" is under way on the same table", other),
              "Contract it or roll it back first.");
}

}  // namespace ecmigrate
