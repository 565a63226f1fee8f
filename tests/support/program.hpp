#pragma once

#include <sys/wait.h>

#include <array>
#include <cstdio>
#include <stdexcept>
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
  if (pipe == nullptr) {
    throw std::runtime_error("no pipe for " + command);
  }
  Answer answer;
  std::array<char, 4096> buffer{};
  while (const std::size_t length = std::fread(buffer.data(), 1, buffer.size(), pipe)) {
    answer.text.append(buffer.data(), length);
  }
  const int ended = pclose(pipe);
  answer.status = WIFEXITED(ended) ? WEXITSTATUS(ended) : 128 + WTERMSIG(ended);
  return answer;
}

/// What commands of the shell print, standard error too. The last has to end with 0.
inline std::string output_of(const std::string& commands) {
  const Answer answer = run_shell("{ " + commands + "\n} 2>&1 </dev/null");
  INFO(commands << "\n" << answer.text);
  CHECK(answer.status == 0);
  return answer.text;
}

/// Runs the program.
inline Answer run_program(const std::string& arguments, const std::string& redirection = " 2>&1") {
  return run_shell(std::string(ECMIGRATE_PROGRAM) + " " + arguments + redirection);
}

}  // namespace ecmigrate::test
