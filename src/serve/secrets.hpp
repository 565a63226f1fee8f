#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace ecmigrate::serve {

/// So many random bytes as hexadecimal digits, from the system's generator.
std::string random_hex(std::size_t bytes);

/// Takes as long for a wrong guess as for a right one, so that the time tells nothing of the secret.
bool is_secret(std::string_view guess, std::string_view secret);

}  // namespace ecmigrate::serve
