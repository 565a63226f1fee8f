#include "ledger.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "ecmigrate/base/text.hpp"

namespace ecmigrate::scene {

namespace {

constexpr std::size_t k_most_deleted = 1'000;
constexpr std::size_t k_rows_a_query = 5'000;

}  // namespace

void Ledger::wrote(std::int64_t id, const NameValues& values) {
  Row& row = m_rows[id];
  const bool new_shape = values[1] || values[2];
  if (values[0] || new_shape) {
    row.values[0] = new_shape ? std::nullopt : row.values[0];
    row.values[1] = new_shape ? row.values[1] : std::nullopt;
    row.values[2] = new_shape ? row.values[2] : std::nullopt;
  }
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (values[i]) {
      row.values[i] = values[i];
    }
  }
}

void Ledger::deleted(std::int64_t id) {
  m_rows[id].deleted = true;
  m_deleted.push_back(id);
  if (m_deleted.size() > k_most_deleted) {
    m_rows.erase(m_deleted.front());
    m_deleted.pop_front();
  }
}

std::optional<std::int64_t> Ledger::row_from(std::int64_t id) const {
  const auto at = m_rows.lower_bound(id);
  return m_rows.empty() ? std::nullopt : std::optional(at == m_rows.end() ? m_rows.begin()->first : at->first);
}

std::optional<std::string> Ledger::wrong_with(std::int64_t id, const std::optional<NameValues>& found) const {
  const Row& row = m_rows.at(id);
  if (found.has_value() == row.deleted) {
    return fmt::format("lost write: row {}: {}", id, row.deleted ? "deleted, but there again" : "gone");
  }
  for (std::size_t i = 0; found && i < row.values.size(); ++i) {
    if (row.values[i] && (*found)[i] && (*found)[i] != row.values[i]) {
      return fmt::format("lost write: row {}: {} is `{}`, acknowledged was `{}`", id, k_name_columns[i], *(*found)[i],
                         *row.values[i]);
    }
  }
  return std::nullopt;
}

ReadBack Ledger::read_back(Caller& caller, const std::string& table) const {
  constexpr std::size_t k_most_told = 5;
  ReadBack result;
  auto row = m_rows.begin();
  while (row != m_rows.end()) {
    std::vector<std::string> ids;
    const auto first = row;
    for (; row != m_rows.end() && ids.size() < k_rows_a_query; ++row) {
      ids.push_back(std::to_string(row->first));
    }
    // As JSON, as it depends on how far the migration is which columns there are. A null where a value was acknowledged
    // is wrong.
    const pg::Rows rows =
        caller.call(fmt::format("select u.id, j ? 'full_name', coalesce(j ->> 'full_name', 'null'), j ? 'first_name', "
                                "coalesce(j ->> 'first_name', 'null'), j ? 'last_name', "
                                "coalesce(j ->> 'last_name', 'null') from {} as u, to_jsonb(u) as j where u.id in ({})",
                                table, join(ids, ",")));
    std::map<std::int64_t, NameValues> found;
    for (int at = 0; at < rows.size(); ++at) {
      NameValues& values = found[rows.integer(at, 0)];
      for (std::size_t i = 0; i < values.size(); ++i) {
        const int column = 1 + 2 * static_cast<int>(i);
        values[i] = rows.boolean(at, column) ? std::optional(rows.text(at, column + 1)) : std::nullopt;
      }
    }
    for (auto checked = first; checked != row; ++checked) {
      const auto at = found.find(checked->first);
      if (const auto wrong = wrong_with(checked->first, at == found.end() ? std::nullopt : std::optional(at->second))) {
        ++result.lost;
        if (result.losses.size() < k_most_told) {
          result.losses.push_back(*wrong);
        }
      }
    }
  }
  result.checked = static_cast<std::int64_t>(m_rows.size());
  return result;
}

}  // namespace ecmigrate::scene
