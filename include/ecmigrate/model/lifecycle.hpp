#pragma once

#include <optional>
#include <string_view>

#include "ecmigrate/model/state.hpp"

/// The life of a migration as one table: what each command does in each state, and what comes next. Commands, `status`,
/// the page and JSON read it, so that none of them sends anybody where another one refuses.
namespace ecmigrate {

enum class Command {
  expand,
  backfill,
  verify,
  contract,
  rollback,
  steer,  ///< pause, resume, throttle, set
};
std::string_view command_name(Command command);

/// Whether it is a command's turn.
enum class Turn {
  runs,
  already,  ///< done before: nothing to do, and no error
  refused,
};

struct Verdict {
  Turn turn = Turn::refused;
  std::optional<Command> instead{};  ///< of a refused one, what has to run first; nothing where nothing helps
};
Verdict verdict_on(State state, Command command);

/// The command that goes on from a state, or nothing where the migration is over.
std::optional<Command> next_command(State state);

}  // namespace ecmigrate
