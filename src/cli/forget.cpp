#include <fmt/format.h>

#include "command.hpp"
#include "ecmigrate/base/error.hpp"
#include "ecmigrate/base/text.hpp"
#include "ecmigrate/phases/undo.hpp"
#include "ecmigrate/session/confirm.hpp"
#include "ecmigrate/store/journal.hpp"
#include "migration_name.hpp"

namespace ecmigrate {

namespace {

MigrationRecord find_migration(Journal& journal, pg::Connection& connection, const std::string& name) {
  auto record = journal.installed() ? journal.find(name) : std::nullopt;
  if (!record) {
    refuse_unknown_migration(connection, name);
  }
  return *record;
}

/// What is left of a table that is not as it was, as far as whoever reads the statements below has to know.
std::string table_line(const TableFate& fate) {
  const std::string line = fmt::format("{} {}", fate.table.display(), fate_words(fate));
  switch (fate.fate) {
    case TableFate::Fate::renamed:
      return line + ": give it its name back before you run any of these";
    case TableFate::Fate::made_anew:
      return line + ": the new one is not the migration's, and none of these touches it";
    default:
      return line + ", and the columns and triggers that were made on it with it";
  }
}

/// What the migration made and nobody took back: a line each, with the SQL that does.
std::vector<std::string> left_behind(pg::Connection& connection, Journal& journal, const MigrationRecord& record) {
  std::vector<std::string> lines;
  if (record.state == State::contracted || record.state == State::rolled_back) {
    return lines;
  }
  if (!journal.started_steps(record.name, "contract").empty()) {
    // What is new may be the only copy by now.
    return {"contract has begun: old columns are gone, and what is left of its steps is for contract to do"};
  }
  const std::vector<TableFate> fates =
      fates_of_tables(connection, record.name, record.recipe.tables, record.recipe.triggers);
  for (const TableFate& fate : fates) {
    if (fate.fate != TableFate::Fate::there) {
      lines.push_back(table_line(fate));
    }
  }
  for (const Step& undo : begun_undos(connection, record, fates)) {
    for (const std::string& sql : undo.sql) {
      lines.push_back(fmt::format("{};", sql));
    }
  }
  return lines;
}

/// What is better than forgetting, where there is something.
std::string other_way(Journal& journal, const MigrationRecord& record) {
  if (record.state == State::contracted || record.state == State::rolled_back) {
    return {};
  }
  return journal.started_steps(record.name, "contract").empty() ? "With its plan, `ecmigrate rollback` takes all back. "
                                                                : "With its plan, `ecmigrate contract` finishes it. ";
}

void forget(const std::string& name, const std::string& confirmed, Invocation& invocation) {
  invocation.result.migration = name;
  RunFlags flags;
  flags.confirm = confirmed;
  Plan nothing;
  nothing.name = name;
  const RunOptions options = flags.options(nothing);
  Session session({connection_string(invocation.flags), "ecmigrate forget", nullptr}, options, invocation.observer,
                  system_clock(), invocation.interrupt.token());
  pg::Connection& connection = session.connection();
  Journal journal(connection);
  session.require_writable();
  find_migration(journal, connection, name);  // or nobody would be waited for
  session.take_run_lock(name);
  journal.check_trusted();
  const MigrationRecord record = find_migration(journal, connection, name);
  const std::vector<std::string> left = left_behind(connection, journal, record);
  const std::string what =
      fmt::format("\"{}\" is {}; forgetting it leaves the tables as they are", name, state_words(record.state)) +
      (left.empty() ? std::string() : ", and these to you:\n  " + join(left, "\n  "));
  confirm(options, name, what, other_way(journal, record));
  journal.forget(name);
  invocation.result.changed = true;
  invocation.result.message = fmt::format("forgot \"{}\"", name);
}

struct ForgetFlags {
  std::string name;
  std::string confirm;
};

void add_to(CLI::App& command, ChosenCommand& chosen) {
  const auto flags = std::make_shared<ForgetFlags>();
  command.add_option("name", flags->name, "The migration's name")->required()->type_name("NAME");
  command.add_option("--confirm", flags->confirm, "The name once more, where no terminal can ask")->type_name("NAME");
  command.callback([&chosen, flags] {
    chosen = [flags](Invocation& invocation) { forget(flags->name, flags->confirm, invocation); };
  });
}

const RegisterCommand k_forget({.place = 95,
                                .name = "forget",
                                .description = "Close a migration whose table or plan is gone; shows what it leaves",
                                .examples = {"ecmigrate forget split-full-name"},
                                .outcomes = {Outcome::cannot_connect, Outcome::busy, Outcome::refused},
                                .add_to = add_to});

}  // namespace

}  // namespace ecmigrate
