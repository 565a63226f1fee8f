#pragma once

#include <array>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "caller.hpp"

namespace ecmigrate::scene {

/// The columns that versions of the shop's application write.
inline constexpr std::array<std::string_view, 3> k_name_columns{"full_name", "first_name", "last_name"};

/// Values of k_name_columns; nothing where a column was not written.
using NameValues = std::array<std::optional<std::string>, k_name_columns.size()>;

/// What the server acknowledged to one client, by the row's id.
class Ledger {
 public:
  /// A row was written. What the other shape had written there holds no longer.
  void wrote(std::int64_t id, const NameValues& values);
  void deleted(std::int64_t id);
  /// Whether the server did the last write of this row is not known.
  void forget(std::int64_t id) { m_rows.erase(id); }

  /// A row, at `id` or behind it; nothing when there is none.
  [[nodiscard]] std::optional<std::int64_t> row_from(std::int64_t id) const;
  /// Holds a row against what was acknowledged; `found` is nothing where there is no such row, and has no value for
  /// columns that were not asked for. Gives what is wrong, or nothing.
  [[nodiscard]] std::optional<std::string> wrong_with(std::int64_t id, const std::optional<NameValues>& found) const;
  /// Holds all rows against the table (as SQL), by those columns that it has.
  ReadBack read_back(Caller& caller, const std::string& table) const;

 private:
  struct Row {
    NameValues values;
    bool deleted = false;
  };
  std::map<std::int64_t, Row> m_rows;
  std::deque<std::int64_t> m_deleted;  ///< oldest first; only so many are kept, as an application may run for days
};

}  // namespace ecmigrate::scene
