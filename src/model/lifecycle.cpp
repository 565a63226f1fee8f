#include "ecmigrate/model/lifecycle.hpp"

#include <algorithm>
#include <array>

namespace ecmigrate {

namespace {

constexpr Verdict k_runs{Turn::runs};
constexpr Verdict k_already{Turn::already};
constexpr Verdict k_never{Turn::refused};

constexpr Verdict first(Command command) {
  return {Turn::refused, command};
}

constexpr Verdict k_expand = first(Command::expand);
constexpr Verdict k_backfill = first(Command::backfill);
constexpr Verdict k_verify = first(Command::verify);
constexpr Verdict k_contract = first(Command::contract);
constexpr Verdict k_rollback = first(Command::rollback);

struct Row {
  State state;
  std::optional<Command> next;
  std::array<Verdict, 6> verdicts;  ///< in the order of Command
};

// What is refused and what is done already differs by one thing: whether the command's outcome is there. A backfill
// that is asked for again looks at every row once more, which is its own "already". Steering is for a walk over the
// rows, which a repair has too.
constexpr std::array<Row, k_state_names.size()> k_rows{{
    // clang-format off
    //                                         expand      backfill    verify      contract    rollback    steer
    {State::planned,      Command::expand,   {k_runs,     k_expand,   k_expand,   k_expand,   k_already,  k_expand}},
    {State::expanding,    Command::expand,   {k_runs,     k_expand,   k_expand,   k_expand,   k_runs,     k_runs}},
    {State::expanded,     Command::backfill, {k_already,  k_runs,     k_backfill, k_backfill, k_runs,     k_runs}},
    {State::backfilling,  Command::backfill, {k_already,  k_runs,     k_backfill, k_backfill, k_runs,     k_runs}},
    {State::backfilled,   Command::verify,   {k_already,  k_already,  k_runs,     k_verify,   k_runs,     k_runs}},
    {State::verified,     Command::contract, {k_already,  k_already,  k_runs,     k_runs,     k_runs,     k_runs}},
    {State::contracting,  Command::contract, {k_already,  k_already,  k_already,  k_runs,     k_contract, k_never}},
    {State::contracted,   std::nullopt,      {k_already,  k_already,  k_already,  k_already,  k_never,    k_never}},
    {State::rolling_back, Command::rollback, {k_rollback, k_rollback, k_rollback, k_rollback, k_runs,     k_never}},
    {State::rolled_back,  Command::expand,   {k_runs,     k_expand,   k_expand,   k_expand,   k_already,  k_expand}},
    // clang-format on
}};

constexpr bool in_order() {
  for (std::size_t i = 0; i < k_rows.size(); ++i) {
    if (k_rows[i].state != static_cast<State>(i)) {
      return false;
    }
  }
  return true;
}
static_assert(in_order());

const Row& row_of(State state) {
  return k_rows[static_cast<std::size_t>(state)];
}

}  // namespace

std::string state_words(State state) {
  std::string words(state == State::planned ? "not begun" : state_name(state));
  std::ranges::replace(words, '_', ' ');
  return words;
}

std::string_view command_name(Command command) {
  constexpr std::array<std::string_view, 6> k_names{"expand", "backfill", "verify", "contract", "rollback", "steer"};
  return k_names[static_cast<std::size_t>(command)];
}

Verdict verdict_on(State state, Command command) {
  return row_of(state).verdicts[static_cast<std::size_t>(command)];
}

std::optional<Command> next_command(State state) {
  return row_of(state).next;
}

}  // namespace ecmigrate
