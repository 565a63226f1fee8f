#pragma once

#include <CLI/CLI.hpp>
#include <string>

#include "command.hpp"
#include "ecmigrate/serve/serve.hpp"

namespace ecmigrate {

/// Flags of the commands that have the page.
struct ServeFlags {
  serve::ServeOptions options;
  std::string token_file;

  [[nodiscard]] serve::ServeOptions read() const;
};
void add_serve_flags(CLI::App& command, ServeFlags& flags);

/// On standard output, as text or as a JSON line.
void tell_addresses(const serve::Addresses& addresses, Invocation& invocation);

}  // namespace ecmigrate
