#include "app_table.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "ecmigrate/base/error.hpp"
#include "ecmigrate/base/text.hpp"

namespace ecmigrate::scene {

namespace {

constexpr std::int64_t k_sample_rows = 2'000;

/// Columns that only expand-contract has; the application sees them under another name, after contract.
bool hidden(const std::string& column) {
  return column.starts_with("_ecmigrate_");
}

class Reading {
 public:
  Reading(pg::Connection& connection, const TableDraft& draft, const Recipe& recipe)
      : m_connection(connection), m_draft(draft), m_table(*draft.table), m_recipe(recipe) {}

  AppTable read() {
    m_result.table = m_table.name.sql();
    read_columns();
    read_key();
    choose_other_column(m_result.old_view);
    choose_other_column(m_result.new_view);
    m_result.may_delete = m_table.incoming.empty();
    m_result.exchange_values = may_exchange();
    read_sample();
    return std::move(m_result);
  }

 private:
  std::size_t add_column(const std::string& name) {
    m_names.push_back(name);
    m_result.columns.push_back(quote_identifier(name));
    return m_names.size() - 1;
  }

  [[nodiscard]] std::size_t place_of(const std::string& name) const {
    return static_cast<std::size_t>(std::ranges::find(m_names, name) - m_names.begin());
  }

  /// Columns that the new version no longer knows: dropped, or known by another name.
  [[nodiscard]] std::set<std::string> gone() const {
    std::set<std::string> names;
    for (const ColumnDrop& drop : m_draft.drops) {
      if (!drop.type_change) {
        names.insert(drop.column);
      }
    }
    for (const Mapping& mapping : m_draft.mappings) {
      for (const NewColumn& column : mapping.news) {
        if (hidden(column.name)) {
          names.erase(mapping.olds.front().column->name);  // a copy takes its place
        } else if (names.contains(column.name)) {
          names.insert(mapping.olds.front().column->name);  // it takes the copy's name
        }
      }
    }
    return names;
  }

  void read_columns() {
    const std::set<std::string> lost = gone();
    for (const Column& column : m_table.columns) {
      if (column.generated) {
        continue;
      }
      const std::size_t at = add_column(column.name);
      m_result.old_view.all.push_back(at);
      if (!lost.contains(column.name)) {
        m_result.new_view.all.push_back(at);
      }
    }
    for (const Mapping& mapping : m_draft.mappings) {
      for (const OldColumn& old : mapping.olds) {
        m_result.old_view.mapped.push_back(place_of(old.column->name));
      }
      for (const NewColumn& column : mapping.news) {
        if (hidden(column.name)) {
          m_result.new_view.mapped.push_back(place_of(mapping.olds.front().column->name));
          continue;
        }
        const std::size_t at = add_column(column.name);
        m_result.new_view.all.push_back(at);
        m_result.new_view.mapped.push_back(at);
      }
    }
  }

  void read_key() {
    for (const Constraint& constraint : m_table.constraints) {
      if (constraint.type == 'p') {
        for (const std::string& column : constraint.columns) {
          m_result.key.push_back(place_of(column));
        }
      }
    }
    if (m_result.key.empty()) {
      throw Error(
          Outcome::refused,
          fmt::format("{} has no primary key, so no application could name a row of it", m_table.name.display()),
          "Compare on a copy of the table that has one.");
    }
  }

  /// A version from which the plan takes or to which it gives nothing writes some other column, to the value that it
  /// has.
  void choose_other_column(AppTable::View& view) const {
    if (!view.mapped.empty()) {
      return;
    }
    const auto at = std::ranges::find_if(
        view.all, [&](std::size_t place) { return std::ranges::find(m_result.key, place) == m_result.key.end(); });
    view.mapped = {at == view.all.end() ? m_result.key.front() : *at};
  }

  /// Whether the written columns are free of constraints that hold between rows, or between several columns.
  [[nodiscard]] bool may_exchange() const {
    std::set<std::string> written;
    for (const AppTable::View* view : {&m_result.old_view, &m_result.new_view}) {
      for (const std::size_t place : view->mapped) {
        written.insert(m_names[place]);
      }
    }
    const auto touches = [&](const std::vector<std::string>& columns) {
      return std::ranges::any_of(columns, [&](const std::string& column) { return written.contains(column); });
    };
    const bool unique = std::ranges::any_of(m_table.indexes, [&](const Index& index) {
      return (index.unique || index.constraint_type == 'x') && touches(index.columns);
    });
    const bool joint = std::ranges::any_of(m_table.constraints, [&](const Constraint& constraint) {
      return constraint.columns.size() > 1 && touches(constraint.columns);
    });
    return !unique && !joint && std::ranges::none_of(m_draft.indexes, &IndexBuild::unique);
  }

  /// Rows from all over the table, with the new columns as `up` makes them.
  void read_sample() {
    m_result.row_count = m_connection.query("select count(*) from " + m_result.table).integer(0, 0);
    const double percent = std::min(100.0, 120.0 * static_cast<double>(k_sample_rows) /
                                               static_cast<double>(std::max<std::int64_t>(1, m_result.row_count)));
    const std::string rows =
        fmt::format("(select * from {} tablesample bernoulli ({}) limit {})", m_result.table, percent, k_sample_rows);
    std::string source = rows + " as this";
    for (const Trial& trial : m_recipe.trials) {
      if (trial.table == m_table.name && trial.violates.empty()) {  // the last of these has the new columns of all
        source = trial.source;
        source.replace(source.rfind("%s"), 2, rows);
      }
    }
    std::vector<std::string> texts;
    for (const std::string& column : m_result.columns) {
      texts.push_back(fmt::format("this.{}::text", column));
    }
    const pg::Rows sample = m_connection.query(fmt::format("select {} from {}", join(texts, ", "), source));
    for (int row = 0; row < sample.size(); ++row) {
      AppTable::Values& values = m_result.rows.emplace_back();
      for (int column = 0; column < sample.columns(); ++column) {
        values.push_back(sample.maybe(row, column));
      }
    }
    if (m_result.rows.empty()) {
      throw Error(Outcome::refused, fmt::format("{} is empty: there is nothing to migrate", m_table.name.display()));
    }
  }

  pg::Connection& m_connection;
  const TableDraft& m_draft;
  const Table& m_table;
  const Recipe& m_recipe;
  AppTable m_result;
  std::vector<std::string> m_names;  ///< of m_result.columns, unquoted
};

}  // namespace

std::vector<AppTable> app_tables(pg::Connection& connection, const Draft& draft, const Recipe& recipe) {
  std::vector<AppTable> tables;
  for (const TableDraft& table : draft.tables()) {
    tables.push_back(Reading(connection, table, recipe).read());
  }
  if (tables.empty()) {
    throw Error(Outcome::refused, "the plan changes no table that ecmigrate knows of: there is nothing to compare",
                "What `sql` does is not analysed.");
  }
  return tables;
}

}  // namespace ecmigrate::scene
