#include "ecmigrate/cli/cli.hpp"

int main(int argc, char** argv) {
  return ecmigrate::run_command_line(argc, argv);
}
