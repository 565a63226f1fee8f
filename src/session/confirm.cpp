#include "ecmigrate/session/confirm.hpp"

#include <fmt/format.h>

#include "ecmigrate/base/error.hpp"
#include "ecmigrate/base/text.hpp"

namespace ecmigrate {

void confirm(const RunOptions& options, const std::string& migration, const std::string& what,
             const std::string& instead) {
  if (options.confirmed == migration || (options.ask && options.ask(what))) {
    return;
  }
  throw Error(Outcome::refused, options.ask ? "not confirmed" : what,
              fmt::format("Nothing was changed. {}To go on, {}give --confirm {}.", instead,
                          options.ask ? "type the name, or " : "", shell_quote(migration)));
}

}  // namespace ecmigrate
