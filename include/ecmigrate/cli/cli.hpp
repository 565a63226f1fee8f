#pragma once

namespace ecmigrate {

/// The whole program: parses the command line, runs one command, and gives the exit status of `k_outcomes`. Blocks
/// SIGINT and SIGTERM for the process and handles them in a thread of its own.
int run_command_line(int argc, char** argv);

}  // namespace ecmigrate
