#pragma once

#include <sys/wait.h>

#include <array>
#include <cstdio>
#include <string>

#include "support/catch.hpp"

namespace ecmigrate::test {

struct Answer {
  int status = 0;
  std::string text;  ///< what came on standard output, and on standard error unless it was sent elsewhere
};

/// Runs a command of the shell.
inline Answer run_shell(const std::string& command) {
  std::FILE* pipe = popen(command.c_str(), "r");
  REQUIRE(pipe != nullptr);
  Answer answer;
  std::array<char, 4096> buffer{};
  while (const std::size_t length = std::fread(buffer.data(), 1, buffer.size(), pipe)) {
    answer.text.append(buffer.data(), length);
  }
  answer.status = WEXITSTATUS(pclose(pipe));
  return answer;
}

/// Runs the program.
inline Answer run_program(const std::string& arguments, const std::string& redirection = " 2>&1") {
  return run_shell(std::string(ECMIGRATE_PROGRAM) + " " + arguments + redirection);
}

}  // namespace ecmigrate::test
