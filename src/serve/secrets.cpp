#include "secrets.hpp"

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <stdexcept>
#include <vector>

#include "ecmigrate/base/error.hpp"
#include "ecmigrate/base/text.hpp"
#include "ecmigrate/serve/serve.hpp"

namespace ecmigrate::serve {

std::string random_hex(std::size_t bytes) {
  std::vector<unsigned char> random(bytes);
  if (::getentropy(random.data(), random.size()) != 0) {
    throw std::runtime_error("the system gives no random numbers");
  }
  std::string hex;
  for (const unsigned char byte : random) {
    hex += fmt::format("{:02x}", byte);
  }
  return hex;
}

bool is_secret(std::string_view guess, std::string_view secret) {
  unsigned different = guess.size() == secret.size() ? 0U : 1U;
  for (std::size_t at = 0; at < guess.size(); ++at) {
    different |= static_cast<unsigned char>(guess[at]) ^ static_cast<unsigned char>(secret[at % secret.size()]);
  }
  return different == 0;
}

std::string read_token(const std::string& file) {
  constexpr std::size_t k_shortest = 16;
  constexpr std::size_t k_longest = 1'000;
  const std::string how = fmt::format("Make one: (umask 077; od -An -tx1 -N24 /dev/urandom | tr -d ' \\n' > {})", file);
  struct stat facts {};
  if (::stat(file.c_str(), &facts) != 0) {
    throw Error(Outcome::usage, fmt::format("--token-file {}: {}", file, std::strerror(errno)), how);
  }
  if ((facts.st_mode & (S_IRWXG | S_IRWXO)) != 0 && S_ISREG(facts.st_mode)) {
    throw Error(Outcome::usage, fmt::format("--token-file {}: others than its owner may use the file", file),
                fmt::format("Run: chmod 600 {}", file));
  }
  std::ifstream stream(file, std::ios::binary);
  std::string text(k_longest + 2, '\0');
  stream.read(text.data(), static_cast<std::streamsize>(text.size()));
  if (stream.bad() || !stream.is_open()) {
    throw Error(Outcome::usage, fmt::format("--token-file {} cannot be read", file), how);
  }
  text.resize(static_cast<std::size_t>(stream.gcount()));
  std::string token(trim(text));
  if (token.size() < k_shortest || token.size() > k_longest) {
    throw Error(Outcome::usage,
                fmt::format("--token-file {}: a token has {} to {} characters", file, k_shortest, k_longest), how);
  }
  if (!std::ranges::all_of(token, [](char c) { return c > ' ' && c < '\x7f'; })) {
    throw Error(Outcome::usage,
                fmt::format("--token-file {}: a token is one line of letters, digits and signs, without spaces", file),
                how);
  }
  return token;
}

}  // namespace ecmigrate::serve
