#pragma once

#include <optional>
#include <string>
#include <vector>

#include "ecmigrate/model/windows.hpp"
#include "ecmigrate/pg/connection.hpp"

namespace ecmigrate {

/// When the next of the windows begins, as text for people; nothing while one of them is open, or there are none. `at`
/// is a time by the server's clock.
std::optional<std::string> next_window(pg::Connection& connection, const std::vector<Window>& windows,
                                       const std::string& at = "now");

/// A zone of the windows that the server does not know.
std::optional<std::string> unknown_zone(pg::Connection& connection, const std::vector<Window>& windows);

}  // namespace ecmigrate
