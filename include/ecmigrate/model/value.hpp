#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace ecmigrate {

/// A place in a plan file; both count from 1, 0 means unknown.
struct Location {
  int line = 0;
  int column = 0;
};

struct Member;

/// A YAML node after parsing: plain data that remembers where it stood. What operations are built from, so that they
/// need no YAML library.
struct Value {
  enum class Kind { null, scalar, list, map };

  Kind kind = Kind::null;
  std::string scalar;
  std::vector<Value> items;
  std::vector<Member> members;  ///< in the order of the file; keys are unique
  Location at;

  /// The member of that name, or nullptr.
  [[nodiscard]] const Value* find(std::string_view key) const;
  /// The scalar of that member, or `fallback` when it is absent or null.
  [[nodiscard]] std::string text(std::string_view key, std::string_view fallback = {}) const {
    const Value* value = find(key);
    return value != nullptr && value->kind == Kind::scalar ? value->scalar : std::string(fallback);
  }
  /// The boolean of that member (the plan reader has checked that it is one).
  [[nodiscard]] bool flag(std::string_view key, bool fallback) const {
    const Value* value = find(key);
    return value != nullptr && value->kind == Kind::scalar ? value->scalar == "true" : fallback;
  }
  [[nodiscard]] bool has(std::string_view key) const { return find(key) != nullptr; }
};

/// One key of a map.
struct Member {
  std::string name;
  Value value;
};

inline const Value* Value::find(std::string_view key) const {
  for (const auto& [name, value] : members) {
    if (name == key) {
      return &value;
    }
  }
  return nullptr;
}

}  // namespace ecmigrate
