#include "ecmigrate/phases/old_use.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "ecmigrate/base/error.hpp"
#include "ecmigrate/base/quote.hpp"
#include "ecmigrate/base/text.hpp"

namespace ecmigrate {

namespace {

/// Of the statements that name a column, those that are called most.
constexpr int k_most_statements = 200;
constexpr int k_statement_characters = 200;

/// What this role may not see, what is not there, and what cannot be shown (texts of another database, in another
/// encoding) are no errors here: whoever reads the answer learns that it is not known. Outside of a transaction only.
std::optional<pg::Rows> if_possible(pg::Connection& connection, const std::string& sql) {
  try {
    return connection.query(sql);
  } catch (const pg::SqlError& error) {
    if (error.connection_lost()) {
      throw;
    }
    return std::nullopt;
  }
}

/// A regular expression that finds a name as a whole word, quoted or not.
std::string word(const std::string& name) {
  std::string escaped;
  for (const char c : name) {
    if (std::string_view(R"(.^$*+?()[]{}|\)").find(c) != std::string_view::npos) {
      escaped += '\\';
    }
    escaped += c;
  }
  return fmt::format("(^|[^[:alnum:]_$]){}($|[^[:alnum:]_$])", escaped);
}

/// The statement `text`, an SQL expression, names the table and a column that goes.
std::string names_old_shape(const OldShape& shape, const std::string& text) {
  std::vector<std::string> columns;
  for (const std::string& column : shape.columns) {
    columns.push_back(fmt::format("{} ~* {}", text, quote_literal(word(column))));
  }
  return fmt::format("({} ~* {} and ({}))", text, quote_literal(word(shape.table.name)), join(columns, " or "));
}

void find_last_write(pg::Connection& connection, const OldShape& shape, event::OldUse& use) {
  if (shape.last_write.name.empty()) {
    return;
  }
  const auto rows = if_possible(
      connection, fmt::format("select is_called, date_part('epoch', clock_timestamp()) * 1000 - last_value from {}",
                              shape.last_write.sql()));
  if (rows && rows->size() == 1) {
    use.noted = true;
    (rows->boolean(0, 0) ? use.last_write_ms : use.noted_ms) = std::max(0.0, rows->number(0, 1));
  }
}

/// Whoever holds the lock of the sequence has written in its transaction that still runs; of the others the last
/// statement tells.
void find_writers(pg::Connection& connection, const OldShape& shape, event::OldUse& use) {
  const auto rows = if_possible(
      connection,
      fmt::format("select distinct coalesce(nullif(a.application_name, ''), 'without application_name') "
                  "from pg_catalog.pg_stat_activity a where a.datname = current_database() and a.backend_type = "
                  "'client backend' and a.pid <> pg_catalog.pg_backend_pid() and a.application_name not like "
                  "'ecmigrate%' and (exists (select from pg_catalog.pg_locks l where l.pid = a.pid and l.relation = "
                  "pg_catalog.to_regclass({}) and l.mode = 'RowExclusiveLock') or (a.query ~* "
                  "'^[^[:alpha:]]*(insert|update|merge|copy|with|execute)' and {})) order by 1",
                  quote_literal(shape.last_write.sql()), names_old_shape(shape, "a.query")));
  for (int row = 0; rows && row < rows->size(); ++row) {
    use.by.push_back(rows->text(row, 0));
  }
}

void find_statements(pg::Connection& connection, const OldShape& shape, event::OldUse& use) {
  const pg::Rows schema = connection.query(
      "select n.nspname from pg_catalog.pg_extension e join pg_catalog.pg_namespace n on n.oid = e.extnamespace where "
      "e.extname = 'pg_stat_statements'");
  if (schema.size() == 0 ||
      !connection.query("select pg_catalog.pg_has_role('pg_read_all_stats', 'usage')").boolean(0, 0)) {
    return;
  }
  // The application's alone: ours name the journal's schema or our settings, or call a table without its heirs `this`,
  // and what a trigger runs is not the top level.
  const auto rows = if_possible(
      connection,
      fmt::format("select s.queryid, pg_catalog.pg_get_userbyid(s.userid), s.calls, "
                  "left(regexp_replace(btrim(s.query), '\\s+', ' ', 'g'), {}) from {}.pg_stat_statements s "
                  "where s.dbid = (select oid from pg_catalog.pg_database where datname = current_database()) and "
                  "s.toplevel and s.queryid is not null and s.query !~* "
                  "'^\\s*(alter|create|drop|comment|grant|revoke|analyze|vacuum|explain|lock|truncate)' and "
                  "s.query !~ 'ecmigrate' and s.query !~* 'only .* as this\\M' and {} order by s.calls desc limit {}",
                  k_statement_characters, quote_identifier(schema.text(0, 0)), names_old_shape(shape, "s.query"),
                  k_most_statements));
  use.statements_known = rows.has_value();
  for (int row = 0; rows && row < rows->size(); ++row) {
    use.statements.push_back(
        {rows->text(row, 0), rows->text(row, 1), rows->integer(row, 2), rows->integer(row, 2), rows->text(row, 3)});
  }
}

const event::OldUse::Statement* find_same(const event::OldUse& use, const event::OldUse::Statement& statement) {
  const auto same = std::ranges::find_if(use.statements, [&](const event::OldUse::Statement& one) {
    return one.id == statement.id && one.role == statement.role;
  });
  return same == use.statements.end() ? nullptr : &*same;
}

bool is_of(const OldUseLook& look, const event::OldUse& use) {
  return look.second.relation == use.relation && look.second.columns == use.columns && look.second.statements_known;
}

void count_calls_since(const std::vector<OldUseLook>& looks, event::OldUse& use) {
  const auto oldest =
      std::find_if(looks.rbegin(), looks.rend(), [&](const OldUseLook& look) { return is_of(look, use); });
  if (oldest == looks.rend()) {
    // This is the first: what was called before is not of interest.
    for (event::OldUse::Statement& statement : use.statements) {
      statement.calls_since = 0;
    }
    return;
  }
  for (event::OldUse::Statement& statement : use.statements) {
    const event::OldUse::Statement* then = find_same(oldest->second, statement);
    // Fewer than then: the statistics were reset meanwhile.
    if (then != nullptr && then->calls <= statement.calls) {
      statement.calls_since = statement.calls - then->calls;
    }
  }
}

std::string ago(double milliseconds) {
  return format_milliseconds(milliseconds) + " ago";
}

/// Why it is not certain that nobody wrote; empty where it is.
std::string write_within(double time, const event::OldUse& use) {
  if (!use.noted) {
    return use.shape() + ": nothing notes its writes, so it cannot be known: leave --quiet-for out";
  }
  if (use.last_write_ms && *use.last_write_ms < time) {
    return fmt::format("{} was last written {}{}", use.shape(), ago(*use.last_write_ms),
                       use.by.empty() ? "" : " by " + join(use.by, ", "));
  }
  if (use.noted_ms && *use.noted_ms < time) {
    return fmt::format("{}: its writes have been noted only since {}", use.shape(), ago(*use.noted_ms));
  }
  return {};
}

/// The server tells how often a statement was called, but not when: only two looks with equal counts do.
void add_calls_within(std::chrono::milliseconds time, const event::OldUse& use, const std::vector<OldUseLook>& looks,
                      std::vector<std::string>& lines) {
  const auto before =
      std::ranges::find_if(looks, [&](const OldUseLook& look) { return look.first >= time && is_of(look, use); });
  for (const event::OldUse::Statement& statement : use.statements) {
    if (before == looks.end()) {
      lines.push_back(
          fmt::format("when this was last called is not known, as the first look is not as old: {}", statement.text));
      continue;
    }
    const event::OldUse::Statement* then = find_same(before->second, statement);
    if (then == nullptr || then->calls != statement.calls) {
      lines.push_back(fmt::format("called since the look {}, by {}: {}",
                                  ago(static_cast<double>(before->first.count())), statement.role, statement.text));
    }
  }
}

}  // namespace

std::vector<event::OldUse> find_old_use(pg::Connection& connection, const std::vector<OldShape>& shapes,
                                        const std::vector<OldUseLook>& looks) {
  std::vector<event::OldUse> uses;
  for (const OldShape& shape : shapes) {
    event::OldUse& use = uses.emplace_back();
    use.relation = shape.table.display();
    use.columns = shape.columns;
    find_last_write(connection, shape, use);
    if (use.last_write_ms) {
      find_writers(connection, shape, use);
    }
    find_statements(connection, shape, use);
    count_calls_since(looks, use);
  }
  return uses;
}

void let_writers_note(pg::Connection& connection, const std::string& name, const std::vector<OldShape>& shapes) {
  /// Whether the right had been missing.
  const auto grant_where_missing = [&](const std::string& has, const std::string& grant) {
    if (connection.query("select " + has).boolean(0, 0)) {
      return false;
    }
    if_possible(connection, grant);
    if (!connection.query("select " + has).boolean(0, 0)) {
      throw Error(Outcome::refused,
                  "whoever writes the table has to be let into schema ecmigrate, where the last write is noted",
                  fmt::format("Have its owner run: {};", grant));
    }
    return true;
  };
  bool missed = false;
  for (const OldShape& shape : shapes) {
    if (shape.last_write.name.empty()) {
      continue;
    }
    const std::string sequence = quote_literal(shape.last_write.sql());
    missed = grant_where_missing("pg_catalog.has_schema_privilege('public', 'ecmigrate', 'usage')",
                                 "grant usage on schema ecmigrate to public") ||
             missed;
    missed = grant_where_missing(
                 fmt::format("coalesce(pg_catalog.has_sequence_privilege('public', pg_catalog.to_regclass({}), "
                             "'update'), true)",
                             sequence),
                 fmt::format("grant select, update on sequence {} to public", shape.last_write.sql())) ||
             missed;
    if_possible(
        connection,
        fmt::format("select pg_catalog.setval({0}, (date_part('epoch', clock_timestamp()) * 1000)::bigint) from "
                    "{1} s, ecmigrate.migrations m where m.name = {2} and ({3} or s.last_value not between "
                    "(date_part('epoch', m.started_at) * 1000)::bigint - 1 and "
                    "(date_part('epoch', clock_timestamp()) * 1000)::bigint + 60000)",
                    sequence, shape.last_write.sql(), quote_literal(name), missed));
  }
}

bool notes_are_missing(pg::Connection& connection, const std::vector<OldShape>& shapes) {
  return std::ranges::any_of(shapes, [&](const OldShape& shape) {
    return !shape.last_write.name.empty() &&
           connection.query("select pg_catalog.to_regclass($1) is null", {shape.last_write.sql()}).boolean(0, 0);
  });
}

std::vector<std::string> uses_within(std::chrono::milliseconds time, const std::vector<event::OldUse>& uses,
                                     const std::vector<OldUseLook>& looks) {
  std::vector<std::string> lines;
  if (time.count() == 0) {
    return lines;
  }
  for (const event::OldUse& use : uses) {
    if (std::string line = write_within(static_cast<double>(time.count()), use); !line.empty()) {
      lines.push_back(std::move(line));
    }
    add_calls_within(time, use, looks, lines);
  }
  return lines;
}

}  // namespace ecmigrate
