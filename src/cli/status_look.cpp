#include <fmt/format.h>

#include <algorithm>

#include "ecmigrate/base/error.hpp"
#include "ecmigrate/model/fixed_settings.hpp"
#include "ecmigrate/pg/sqlstate.hpp"
#include "ecmigrate/phases/old_use.hpp"
#include "ecmigrate/store/catalog_reader.hpp"
#include "ecmigrate/store/journal.hpp"
#include "status.hpp"

namespace ecmigrate {

namespace {

std::vector<TableFate> changed_tables(pg::Connection& connection, ReadModel& model, const std::string& name) {
  const auto shape = model.shape(name);
  if (!shape) {
    return {};
  }
  std::vector<TableFate> fates = fates_of_tables(connection, name, shape->tables, shape->triggers);
  std::erase_if(fates, [](const TableFate& fate) { return fate.fate == TableFate::Fate::there; });
  return fates;
}

void read_history(ReadModel& model, Shown& shown) {
  constexpr int k_most = 2'000;
  shown.history = model.events(shown.view.name, 0, k_most + 1);
  shown.history_is_cut = shown.history.size() > k_most;
  if (shown.history_is_cut) {
    shown.history.pop_back();
  }
  std::ranges::reverse(shown.history);
}

/// Outside of a transaction: what this role may not see would end it.
void look_at_old_use(pg::Connection& connection, Look& look) {
  Journal journal(connection);
  for (Shown& shown : look.migrations) {
    const MigrationView& migration = shown.view;
    if (migration.state >= State::expanded && migration.state < State::contracting) {
      if (const auto shape = ReadModel(connection, journal.format()).shape(migration.name)) {
        shown.old_use = find_old_use(connection, shape->old_shapes, journal.old_use_looks(migration.name));
      }
    }
  }
}

Look look_at(pg::Connection& connection, const std::string& name, bool history) {
  connection.script("begin read only; " + own_settings_for_now());
  Look look;
  if (Journal journal(connection); journal.installed()) {
    ReadModel model(connection, journal.format());
    std::vector<std::string> names{name};
    if (name.empty()) {
      names.clear();
      for (const MigrationSummary& summary : model.list()) {
        names.push_back(summary.name);
      }
    }
    JournalView view = model.look(names);
    std::ranges::sort(view.migrations, {},
                      [](const MigrationView& migration) { return std::pair(migration.started_at, migration.name); });
    look.now = view.now;
    for (MigrationView& migration : view.migrations) {
      Shown& shown = look.migrations.emplace_back();
      shown.view = std::move(migration);
      if (shown.view.readable && !is_over(shown.view.state)) {
        shown.tables = changed_tables(connection, model, shown.view.name);
      }
      if (history) {
        read_history(model, shown);
      }
    }
  }
  look.sees_all = sees_other_sessions(connection);
  connection.script("commit");
  look_at_old_use(connection, look);
  return look;
}

}  // namespace

bool is_over(State state) {
  return state == State::contracted || state == State::rolled_back;
}

StatusReader::StatusReader(Invocation& invocation, std::string name, bool history)
    : m_invocation(invocation),
      m_name(std::move(name)),
      m_history(history),
      m_connection({connection_string(invocation.flags), "ecmigrate status", nullptr}) {}

Look StatusReader::read() {
  try {
    return look_at(m_connection, m_name, m_history);
  } catch (const pg::SqlError& error) {
    if (error.sqlstate() != pg::sqlstate::k_insufficient_privilege) {
      throw;
    }
    m_connection.script("rollback");
    const Answers answers = answers_about_nothing(m_connection.query("select current_user").text(0, 0));
    throw Error(Outcome::refused, answers.migration.lead, answers.next.more + " " + answers.next.command);
  }
}

std::optional<Look> StatusReader::look() {
  constexpr std::chrono::milliseconds k_reconnect_for{60'000};
  try {
    if (m_lost_since) {
      m_connection.reconnect();
      m_lost_since.reset();
    }
    return read();
  } catch (const pg::SqlError& error) {
    if (!error.connection_lost()) {
      throw;
    }
    m_lost_since = system_clock().now();
    m_invocation.observer.on(
        event::Note{event::Note::Level::info, "the connection was lost, and is made again when the server is there"});
  } catch (const Error& error) {
    if (error.outcome() != Outcome::cannot_connect) {
      throw;
    }
    if (system_clock().now() - *m_lost_since >= k_reconnect_for) {
      throw Error(Outcome::cannot_connect,
                  fmt::format("the connection was lost and could not be made again: {}", error.what()), error.hint());
    }
  }
  return std::nullopt;
}

}  // namespace ecmigrate
