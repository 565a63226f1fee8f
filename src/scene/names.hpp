#pragma once

#include <cstddef>
#include <random>
#include <string>
#include <string_view>
#include <utility>

namespace ecmigrate::scene {

/// Of full_name, in characters.
inline constexpr std::size_t k_longest_name = 255;

/// Where the numbers and names of one client come from.
class Random {
 public:
  std::size_t below(std::size_t bound) { return std::uniform_int_distribution<std::size_t>(0, bound - 1)(m_engine); }
  /// A given and a family name; the latter may be empty.
  std::pair<std::string, std::string> name();

 private:
  std::mt19937_64 m_engine{std::random_device{}()};
};

/// The length of a UTF-8 text, as char_length has it.
std::size_t characters(std::string_view text);
/// As left() has it.
std::string first_characters(const std::string& text, std::size_t most);

}  // namespace ecmigrate::scene
