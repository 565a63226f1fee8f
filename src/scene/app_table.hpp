#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "client.hpp"
#include "ecmigrate/op/draft.hpp"
#include "ecmigrate/pg/connection.hpp"

namespace ecmigrate::scene {

/// A table as two versions of any application use it, with a sample of its rows as both write them.
struct AppTable {
  using Values = std::vector<std::optional<std::string>>;

  /// What a version knows of it: places in `columns`.
  struct View {
    std::vector<std::size_t> all;  ///< what an insert gives
    std::vector<std::size_t>
        mapped;  ///< what the plan changes, or another column where it changes none of this version's
  };

  std::string table;                 ///< as SQL
  std::vector<std::string> columns;  ///< as SQL
  std::vector<std::size_t> key;      ///< places in `columns`
  View old_view;
  View new_view;
  bool may_delete = true;       ///< no other table points here
  bool exchange_values = true;  ///< a row may get another row's values without breaking a constraint
  std::vector<Values> rows;     ///< the sample, as text, in the order of `columns`
  std::int64_t row_count = 0;   ///< of the whole table

  [[nodiscard]] const View& view(Shape shape) const { return shape == Shape::old_shape ? old_view : new_view; }
};

/// The tables that a plan changes, before it has changed anything. Throws Error{refused} where a table has no primary
/// key.
std::vector<AppTable> app_tables(pg::Connection& connection, const Draft& draft, const Recipe& recipe);

/// One connection of an application on these tables: reads, updates with values of other rows, deletes that the next
/// insert puts back.
std::unique_ptr<Client> connect_to_tables(const std::string& conninfo,
                                          std::shared_ptr<const std::vector<AppTable>> tables, int number,
                                          int connections);

}  // namespace ecmigrate::scene
