#include "ddl_trial.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <optional>
#include <set>

#include "ecmigrate/base/error.hpp"
#include "ecmigrate/base/text.hpp"
#include "ecmigrate/model/fixed_settings.hpp"
#include "ecmigrate/store/table_clones.hpp"

namespace ecmigrate {

namespace {

const std::vector<Step>& steps_of(const Recipe& recipe, const std::string& phase) {
  return phase == "expand"            ? recipe.expand
         : phase == "backfill"        ? recipe.after_fill
         : phase == "verify"          ? recipe.validate
         : phase == "before_contract" ? recipe.before_contract
                                      : recipe.contract;
}

/// The sync trigger is not on the copy, and the plan's own `sql` could do anything.
bool left_out(const std::string& statement) {
  if (statement == users_settings_for_now() || statement == no_longer_users_settings()) {
    return false;
  }
  constexpr std::array<std::string_view, 9> k_beginnings{"do ",
                                                         "create or replace function ",
                                                         "create trigger ",
                                                         "drop trigger ",
                                                         "drop function ",
                                                         "create sequence ",
                                                         "select pg_catalog.setval(",
                                                         "grant select, update on sequence ",
                                                         "drop sequence "};
  return std::ranges::any_of(k_beginnings, [&](std::string_view words) { return statement.starts_with(words); }) ||
         (statement.starts_with("alter table ") && statement.find(" enable always trigger ") != std::string::npos);
}

std::string not_concurrently(std::string sql) {
  constexpr std::string_view k_words = "index concurrently ";
  const std::size_t at = sql.find(k_words);
  return at == std::string::npos ? sql : sql.replace(at, k_words.size(), "index ");
}

class Trying {
 public:
  Trying(Session& session, const Recipe& recipe, const std::vector<std::string>& phases)
      : m_connection(session.connection()), m_recipe(recipe), m_phases(phases), m_clones(make_clones(session)) {}

  std::vector<LongWork> run() {
    for (const std::string& phase : m_phases) {
      for (const Step& step : steps_of(m_recipe, phase)) {
        try_step(phase, step);
      }
    }
    return std::move(m_found);
  }

 private:
  /// Nothing where the tables cannot be copied: then the steps will be seen when they run.
  std::optional<TableClones> make_clones(Session& session) {
    std::vector<QualifiedName> neighbours;
    for (const std::string& phase : m_phases) {
      for (const Step& step : steps_of(m_recipe, phase)) {
        for (const LockRequest& lock : step.locks) {
          if (!lock.sequence && std::ranges::find(m_recipe.tables, lock.relation) == m_recipe.tables.end()) {
            neighbours.push_back(lock.relation);
          }
        }
      }
    }
    try {
      return std::optional<TableClones>(std::in_place, m_connection, m_recipe.tables, neighbours);
    } catch (const pg::SqlError& error) {
      if (error.connection_lost()) {
        throw;
      }
      session.warn(fmt::format("the steps cannot be tried on an empty copy of the table: {}", error.what()));
      return std::nullopt;
    }
  }

  void try_step(const std::string& phase, const Step& step) {
    if (is_plans_own_sql(step)) {
      return;  // it names what it likes, and is not analysed
    }
    if (!m_clones) {
      return;
    }
    if (step.index) {
      m_clones->expect_index(*step.index);
    }
    for (const std::string& statement : step.sql) {
      if (left_out(statement)) {
        continue;
      }
      const bool stops_writers = step.kind == Step::Kind::transaction;
      const std::vector<TableClones::Stored> before =
          stops_writers ? m_clones->stored() : std::vector<TableClones::Stored>();
      try {
        m_connection.query(not_concurrently(m_clones->aimed(statement)));
      } catch (const pg::SqlError& error) {
        if (error.connection_lost()) {
          throw;
        }
        throw Error(error.outcome() == Outcome::refused ? Outcome::refused : Outcome::plan_invalid,
                    fmt::format("{}, {}: {}", phase, step.title, error.what()),
                    error.hint().empty() ? "Tried on an empty copy of the table; nothing was changed." : error.hint());
      }
      if (stops_writers) {
        compare({phase, step.title, statement, ""}, before, m_clones->stored());
      }
    }
  }

  void compare(LongWork work, const std::vector<TableClones::Stored>& before,
               const std::vector<TableClones::Stored>& after) {
    // An index that is renamed, or made anew upon what is stored, keeps its file: the name does not tell.
    for (const TableClones::Stored& now : after) {
      const auto same = std::ranges::find(before, now.file, &TableClones::Stored::file);
      if (same == before.end()) {
        work.what = now.index ? "rebuilds index " + now.name : "rewrites the table";
      } else if (!now.index && now.scans > same->scans) {
        work.what = "reads the whole table";
      } else {
        continue;
      }
      m_found.push_back(work);
    }
  }

  pg::Connection& m_connection;
  const Recipe& m_recipe;
  const std::vector<std::string>& m_phases;
  std::optional<TableClones> m_clones;
  std::vector<LongWork> m_found;
};

}  // namespace

std::vector<LongWork> try_steps(Session& session, const Recipe& recipe, const std::vector<std::string>& phases) {
  pg::Connection& connection = session.connection();
  connection.query("begin");
  std::vector<LongWork> found;
  try {
    found = Trying(session, recipe, phases).run();
  } catch (...) {
    try {
      connection.query("rollback");
    } catch (const Error&) {  // the first failure is the one to tell
    }
    throw;
  }
  connection.query("rollback");
  return found;
}

bool changes_type(const LongWork& work, const ColumnDrop& change) {
  return work.statement.starts_with(
      fmt::format("alter table {} alter column {} type ", change.table.sql(), quote_identifier(change.column)));
}

void refuse_long_work(const std::vector<LongWork>& work) {
  if (work.empty()) {
    return;
  }
  std::set<std::string> lines;
  for (const LongWork& one : work) {
    lines.insert(fmt::format("{}, {}: {} under the lock ({})", one.phase, one.step, one.what, one.statement));
  }
  throw Error(Outcome::refused,
              "everybody would wait for as long as the table is large:\n  " +
                  join(std::vector<std::string>(lines.begin(), lines.end()), "\n  "),
              "Drop the index and build it again afterwards, or add a new column with `up` in the old one's place. "
              "Nothing was changed.");
}

}  // namespace ecmigrate
