#include <fmt/format.h>

#include "ecmigrate/scene/embedded_server.hpp"
#include "users_sql.hpp"

namespace ecmigrate::scene {

void load_users(pg::Connection& connection, std::int64_t rows) {
  connection.script(fmt::format("set demo.users = '{}'", rows));
  connection.script(k_users_sql);
}

}  // namespace ecmigrate::scene
