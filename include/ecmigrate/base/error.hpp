#pragma once

#include <array>
#include <stdexcept>
#include <string>
#include <string_view>

namespace ecmigrate {

/// Everything a command can end with. Exit status, wording and whether a retry helps are in `k_outcomes`, the one
/// table from which the program, its help text and docs/commands.md are made.
enum class Outcome {
  done,
  failed,
  usage,
  plan_invalid,
  cannot_connect,
  lock_not_obtained,
  busy,
  refused,
  work_remains,
  differences_found,
  outcome_unknown,
  interrupted,
  terminated,
};

struct OutcomeRow {
  Outcome outcome;
  std::string_view name;  ///< the value of "error.code" in JSON output
  int exit_code;
  bool retryable;  ///< running the same command again is the right reaction
  std::string_view meaning;
};

inline constexpr std::array<OutcomeRow, 13> k_outcomes{{
    {Outcome::done, "done", 0, false, "done, or nothing to do"},
    {Outcome::failed, "failed", 1, false, "a statement failed; nothing is half done, the message says what to do"},
    {Outcome::usage, "usage", 2, false, "wrong command line"},
    {Outcome::plan_invalid, "plan_invalid", 3, false, "the plan is wrong, or does not fit the database"},
    {Outcome::cannot_connect, "cannot_connect", 4, false, "no usable connection to the database"},
    {Outcome::lock_not_obtained, "lock_not_obtained", 5, true, "a table lock was not obtained within its budget"},
    {Outcome::busy, "busy", 6, true, "another runner holds the migration"},
    {Outcome::refused, "refused", 7, false, "refused: wrong state, no right, not verified, or something would be lost"},
    {Outcome::work_remains, "work_remains", 8, true, "work remains"},
    {Outcome::differences_found, "differences_found", 9, false, "verify found rows that differ"},
    {Outcome::outcome_unknown, "outcome_unknown", 10, false, "the server's answer was lost: look first"},
    {Outcome::interrupted, "interrupted", 130, true, "interrupted (SIGINT) at a clean checkpoint"},
    {Outcome::terminated, "terminated", 143, true, "terminated (SIGTERM) at a clean checkpoint"},
}};

/// The row of `k_outcomes` for an outcome.
constexpr const OutcomeRow& outcome_row(Outcome outcome) {
  for (const OutcomeRow& row : k_outcomes) {
    if (row.outcome == outcome) {
      return row;
    }
  }
  return k_outcomes[1];
}

/// A failure on its way to the user. `what()` names the object, is lowercase and has no full stop; `hint()` is a
/// sentence that says what to do, or empty. Thrown, and caught in few places: the command line, the step runner,
/// and where all complaints about a plan are collected.
class Error : public std::runtime_error {
 public:
  Error(Outcome outcome, const std::string& message, std::string hint = {})
      : std::runtime_error(message), m_outcome(outcome), m_hint(std::move(hint)) {}

  [[nodiscard]] Outcome outcome() const { return m_outcome; }
  [[nodiscard]] const std::string& hint() const { return m_hint; }

 private:
  Outcome m_outcome;
  std::string m_hint;
};

}  // namespace ecmigrate
