#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "complaints.hpp"
#include "ecmigrate/model/value.hpp"

namespace ecmigrate::planfile {

/// A YAML node as it stands in the file, before its meaning is known.
struct Node {
  struct Member;

  Value::Kind kind = Value::Kind::null;
  std::string text;
  bool plain = false;  ///< a scalar without quotes
  std::vector<Node> items;
  std::vector<Member> members;  ///< keys are unique and not empty
  bool has_bad_keys = false;    ///< members were left out, with a complaint
  Location at;
};

struct Node::Member {
  std::string key;
  Location at;  ///< of the key
  Node value;
};

inline constexpr std::size_t k_most_bytes = std::size_t{4} << 20U;

/// Reads the one YAML document of the file: UTF-8, at most 4 MiB, 64 levels and 100,000 values, no tags. Duplicate
/// keys are complained about and the first is kept. Nothing, with a complaint, when the text cannot be read to its
/// end; a file without a document gives a null node.
std::optional<Node> read_document(const Source& source, Complaints& complaints);

}  // namespace ecmigrate::planfile
