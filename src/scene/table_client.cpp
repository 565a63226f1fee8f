#include <fmt/format.h>

#include "app_table.hpp"
#include "caller.hpp"
#include "ecmigrate/base/quote.hpp"
#include "ecmigrate/base/text.hpp"
#include "names.hpp"

namespace ecmigrate::scene {

namespace {

std::string literal(const std::optional<std::string>& value) {
  return value ? quote_literal(*value) : "null";
}

/// Each connection writes rows of its own, so that what it does to a row is done to what it left there.
class TableClient final : public Client {
 public:
  TableClient(const std::string& conninfo, std::shared_ptr<const std::vector<AppTable>> tables, int number,
              int connections)
      : m_caller(conninfo, "application"),
        m_tables(std::move(tables)),
        m_number(static_cast<std::size_t>(number)),
        m_connections(static_cast<std::size_t>(connections)),
        m_removed(m_tables->size()) {}

  void request(Shape shape, SteadyClock::time_point deadline) override {
    m_caller.begin(deadline);
    const std::size_t which = m_random.below(m_tables->size());
    const AppTable& table = (*m_tables)[which];
    const AppTable::View& view = table.view(shape);
    const std::size_t kind = m_random.below(10);
    const auto row = own_row(table);
    if (kind < 4 || !row || (m_removed[which] == row && kind < 8)) {
      read(table, view);
    } else if (kind < 8 || !table.may_delete) {
      update(table, view, *row);
    } else if (m_removed[which]) {
      put_back(table, view, *m_removed[which]);
      m_removed[which].reset();
    } else {
      remove(table, *row);
      m_removed[which] = row;
    }
  }

  /// What it wrote is not kept: the figures are what counts here.
  ReadBack read_back() override { return {}; }

 private:
  [[nodiscard]] std::optional<std::size_t> own_row(const AppTable& table) {
    const std::size_t rows = table.rows.size();
    const std::size_t mine = rows > m_number ? (rows - m_number - 1) / m_connections + 1 : 0;
    return mine == 0 ? std::nullopt : std::optional(m_random.below(mine) * m_connections + m_number);
  }

  [[nodiscard]] static std::string where(const AppTable& table, std::size_t row) {
    std::vector<std::string> terms;
    for (const std::size_t column : table.key) {
      terms.push_back(fmt::format("{} = {}", table.columns[column], literal(table.rows[row][column])));
    }
    return " where " + join(terms, " and ");
  }

  [[nodiscard]] static std::string names(const AppTable& table, const std::vector<std::size_t>& columns) {
    std::vector<std::string> list;
    for (const std::size_t column : columns) {
      list.push_back(table.columns[column]);
    }
    return join(list, ", ");
  }

  void read(const AppTable& table, const AppTable::View& view) {
    const std::size_t row = m_random.below(table.rows.size());
    m_caller.call(fmt::format("select {} from {}{}", names(table, view.all), table.table, where(table, row)));
  }

  void update(const AppTable& table, const AppTable::View& view, std::size_t row) {
    const AppTable::Values& values = table.rows[table.exchange_values ? m_random.below(table.rows.size()) : row];
    std::vector<std::string> sets;
    for (const std::size_t column : view.mapped) {
      sets.push_back(fmt::format("{} = {}", table.columns[column], literal(values[column])));
    }
    write(fmt::format("update {} set {}{}", table.table, join(sets, ", "), where(table, row)));
  }

  void remove(const AppTable& table, std::size_t row) {
    write(fmt::format("delete from {}{}", table.table, where(table, row)));
  }

  void put_back(const AppTable& table, const AppTable::View& view, std::size_t row) {
    std::vector<std::string> values;
    for (const std::size_t column : view.all) {
      values.push_back(literal(table.rows[row][column]));
    }
    write(fmt::format("insert into {} ({}) overriding system value values ({})", table.table, names(table, view.all),
                      join(values, ", ")));
  }

  void write(const std::string& sql) {
    if (m_caller.call(sql).affected() != 1) {
      throw Error(Outcome::failed, "a write met no row: " + abbreviate(sql, 100));
    }
  }

  Caller m_caller;
  std::shared_ptr<const std::vector<AppTable>> m_tables;
  std::size_t m_number;
  std::size_t m_connections;
  Random m_random;
  std::vector<std::optional<std::size_t>> m_removed;  ///< of each table, the row that was deleted and not put back yet
};

}  // namespace

std::unique_ptr<Client> connect_to_tables(const std::string& conninfo,
                                          std::shared_ptr<const std::vector<AppTable>> tables, int number,
                                          int connections) {
  return std::make_unique<TableClient>(conninfo, std::move(tables), number, connections);
}

}  // namespace ecmigrate::scene
