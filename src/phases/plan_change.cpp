#include "plan_change.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "compile_plan.hpp"
#include "ecmigrate/base/error.hpp"
#include "ecmigrate/base/text.hpp"
#include "ecmigrate/planfile/planfile.hpp"
#include "ecmigrate/store/recipe_json.hpp"

namespace ecmigrate {

namespace {

const Step* find_step(const std::vector<Step>& steps, const std::string& id) {
  const auto at = std::ranges::find(steps, id, &Step::id);
  return at == steps.end() ? nullptr : &*at;
}

std::string words(const Action& action) {
  std::string text = join(action.sql, "; ");
  std::ranges::replace(text, '\n', ' ');
  return text;
}

/// Everything that decides what is filled, compared and kept in step.
std::string data_of(const Recipe& recipe) {
  Recipe part;
  part.synced = recipe.synced;
  part.triggers = recipe.triggers;
  return recipe_to_json(part);
}

class Change {
 public:
  Change(std::string name, const BegunSteps& begun, State state) : m_name(std::move(name)), m_begun(begun) {
    m_change.state = state;
  }

  PlanChange make(const Recipe& kept, const Recipe& was, const Recipe& now) {
    if (data_of(was) != data_of(now)) {
      refuse("how old and new columns are kept equal");
    }
    Recipe& recipe = m_change.recipe = kept;
    recipe.expand = phase("expand", kept.expand, was.expand, now.expand, m_begun.expand, State::expanding);
    recipe.after_fill =
        phase("backfill", kept.after_fill, was.after_fill, now.after_fill, m_begun.after_fill, State::backfilling);
    recipe.validate = phase("verify", kept.validate, was.validate, now.validate, m_begun.validate, State::backfilled);
    recipe.before_contract = phase("contract", kept.before_contract, was.before_contract, now.before_contract,
                                   m_begun.before_contract, State::verified);
    recipe.contract =
        phase("contract", kept.contract, was.contract, now.contract, m_begun.contract, State::contracting);
    recipe.tables = now.tables;
    recipe.drops = now.drops;
    recipe.added = now.added;
    m_change.only_mends_rollback = m_change.state == State::rolling_back && !m_asks;
    return std::move(m_change);
  }

 private:
  [[noreturn]] void refuse(const std::string& what) const {
    throw Error(Outcome::refused,
                fmt::format("\"{}\" was started with another plan, and what differs has run: {}", m_name, what),
                "Restore that part; or roll back with the plan as it was and begin again.");
  }

  void say(const std::string& text, bool asks = true) {
    m_change.texts.push_back(text);
    m_asks = m_asks || asks;
  }

  /// A step is to run in a phase that may be over.
  void goes_back_to(State state, const std::string& title) {
    if (m_change.state == State::rolling_back || (m_change.state == State::contracting && !m_begun.contract.empty())) {
      if (state < State::contracting) {
        throw Error(Outcome::refused, fmt::format("the changed plan adds a step to a phase that is over: {}", title),
                    m_change.state == State::rolling_back
                        ? "Run rollback to its end, then begin again with the changed plan."
                        : "Leave it out here, and put it into a plan of its own for afterwards.");
      }
      return;
    }
    m_change.state = std::min(m_change.state, state);
  }

  void undo_of(Step& step, const Step& was, const Step& now, const std::string& name) {
    if (was.undo == now.undo) {
      return;
    }
    if (m_begun.rollback.contains(step.id)) {
      refuse("the rollback of " + step.title);
    }
    step.undo = now.undo;
    if (!was.undo) {
      say(fmt::format("{}: gets a rollback", name), false);
    } else if (!now.undo) {
      say(fmt::format("{}: would no longer be undone by rollback", name));
    } else {
      say(fmt::format("rollback of {}:{}", step.title, first_difference(words(*was.undo), words(*now.undo))), false);
    }
  }

  std::vector<Step> phase(const std::string& phase, const std::vector<Step>& kept, const std::vector<Step>& was,
                          const std::vector<Step>& now, const std::set<std::string>& begun, State state) {
    const auto same_ids = [](const std::vector<Step>& a, const std::vector<Step>& b) {
      return std::ranges::equal(a, b, {}, &Step::id, &Step::id);
    };
    if (!same_ids(kept, was)) {
      throw Error(Outcome::refused,
                  "the plan has changed, and this program would part it into other steps than the one "
                  "that began the migration",
                  "Change it with the version that began it; ecmigrate.migrations.version names it.");
    }
    std::vector<Step> steps;
    for (const Step& wanted : now) {
      const std::string name = fmt::format("{}: {}", phase, wanted.title);
      const Step* before = find_step(was, wanted.id);
      if (before == nullptr) {
        say(name + ": is new");
        goes_back_to(state, wanted.title);
        steps.push_back(wanted);
      } else if (static_cast<const Action&>(*before) == wanted) {
        steps.push_back(*find_step(kept, wanted.id));
        undo_of(steps.back(), *before, wanted, name);
      } else if (begun.contains(wanted.id)) {
        refuse(name);
      } else {
        say(fmt::format("{}:{}", name, first_difference(words(*before), words(wanted))));
        goes_back_to(state, wanted.title);
        steps.push_back(wanted);
      }
    }
    for (const Step& before : was) {
      if (find_step(now, before.id) == nullptr) {
        if (begun.contains(before.id)) {
          refuse(fmt::format("{}: {} is no longer in it", phase, before.title));
        }
        say(fmt::format("{}: {}: is left out", phase, before.title));
      }
    }
    return steps;
  }

  std::string m_name;
  const BegunSteps& m_begun;
  PlanChange m_change;
  bool m_asks = false;
};

}  // namespace

PlanChange change_plan(const std::string& name, const Recipe& kept, const Recipe& was, const Recipe& now,
                       const BegunSteps& begun, State state) {
  return Change(name, begun, state).make(kept, was, now);
}

PlanChange read_change(pg::Connection& connection, const Plan& plan, const MigrationRecord& record) {
  if (record.state == State::contracted || !record.tables) {
    throw Error(
        Outcome::refused,
        fmt::format("\"{}\" was started with another plan{}", plan.name, first_difference(record.plan, plan.canonical)),
        record.state == State::contracted ? "Give the changed plan a new name."
                                          : "Restore the plan; or roll back with the old one first.");
  }
  Plan old = parse_plan(record.plan, plan.name + ".yaml");
  old.name = plan.name;
  old.file = plan.file;
  // Both from the tables as they were before expand, whatever stands there by now.
  const Recipe was = compile_plan_for(connection, old, *record.tables);
  const Recipe now = compile_plan_for(connection, plan, *record.tables);
  Journal journal(connection);
  const auto begun = [&](const char* phase) {
    const std::vector<std::string> ids = journal.started_steps(plan.name, phase);
    return std::set<std::string>(ids.begin(), ids.end());
  };
  try {
    return change_plan(plan.name, record.recipe, was, now,
                       {begun("expand"), begun("after_fill"), begun("verify"), begun("before_contract"),
                        begun("contract"), begun("rollback")},
                       record.state);
  } catch (const Error& error) {
    throw Error(error.outcome(), error.what() + first_difference(record.plan, plan.canonical), error.hint());
  }
}

std::string first_difference(const std::string& before, const std::string& after) {
  const auto [a, b] = std::ranges::mismatch(before, after);
  auto from = static_cast<std::size_t>(std::max<std::ptrdiff_t>(0, a - before.begin() - 40));
  while (from > 0 && (static_cast<unsigned char>(before[from]) & 0xC0) == 0x80) {
    --from;  // not in the middle of a character
  }
  return fmt::format("\n  was: …{}\n  now: …{}", abbreviate(before.substr(from), 120),
                     abbreviate(after.substr(from), 120));
}

}  // namespace ecmigrate
