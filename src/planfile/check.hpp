#pragma once

#include <span>
#include <string>
#include <string_view>

#include "complaints.hpp"
#include "document.hpp"
#include "ecmigrate/model/field.hpp"
#include "ecmigrate/model/value.hpp"

namespace ecmigrate::planfile {

/// Checks nodes against tables of fields and turns them into values. `path` is where a node stands, for messages
/// ("split_column.into"), and empty for the plan itself. What a function returns after it complained means nothing.
class Checker {
 public:
  explicit Checker(Complaints& complaints) : m_complaints(complaints) {}

  /// A map with these fields.
  Value object(const Node& node, std::span<const Field> fields, const std::string& path);
  /// Complains about unknown and missing keys of a map.
  void keys(const Node& map, std::span<const Field> fields, const std::string& path);
  /// The value of a field.
  Value value(const Node& node, const Field& field, const std::string& path);
  /// Whether the node is of that kind, with a complaint where it is not ("expected a list, found a string").
  bool expect(const Node& node, Value::Kind kind, const std::string& path, const std::string& hint = {});
  void add(Location at, std::string message, std::string hint = {}) {
    m_complaints.add(at, std::move(message), std::move(hint));
  }

 private:
  Value text(const Node& node, const Field& field, const std::string& path);
  Value boolean(const Node& node, const std::string& path);
  Value integer(const Node& node, const std::string& path);
  Value duration(const Node& node, const std::string& path);
  Value sql(const Node& node, const std::string& path);
  Value map_of(const Node& node, const Field& element, const std::string& path);
  Value list_of(const Node& node, const Field& field, const std::string& path);

  Complaints& m_complaints;
};

}  // namespace ecmigrate::planfile
