#include "names.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>

namespace ecmigrate::scene {

namespace {

bool begins_character(char byte) {
  return (static_cast<unsigned char>(byte) & 0xC0U) != 0x80U;
}

}  // namespace

std::pair<std::string, std::string> Random::name() {
  static constexpr std::array<const char*, 10> k_given{"Ann",  "Anna Maria", "Zoë", "Łukasz",   "Nguyễn",
                                                       "美咲", "Mary  Ann",  "J.",  "Thandiwe", "Юлия"};
  static constexpr std::array<const char*, 8> k_family{
      "Lee", "O'Neil", "van 't Hoff", "García Márquez", "Okafor", "Smith-Jones", "", "Østergård"};
  const std::size_t number = below(1000);
  return {fmt::format("{}{}", k_given[below(k_given.size())], number), k_family[below(k_family.size())]};
}

std::size_t characters(std::string_view text) {
  return static_cast<std::size_t>(std::ranges::count_if(text, begins_character));
}

std::string first_characters(const std::string& text, std::size_t most) {
  std::size_t left = most;
  const auto end = std::ranges::find_if(text, [&](char byte) { return begins_character(byte) && left-- == 0; });
  return {text.begin(), end};
}

}  // namespace ecmigrate::scene
