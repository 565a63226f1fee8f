#include "output.hpp"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>

namespace ecmigrate {

void hold_standard_files() {
  for (const int file : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    if (fcntl(file, F_GETFD) < 0 && errno == EBADF) {
      // The lowest number that is free is this one. Not for writing where that has to fail.
      [[maybe_unused]] const int opened = open("/dev/null", file == STDOUT_FILENO ? O_RDONLY : O_WRONLY);
    }
  }
}

void print_whole(std::string_view text) {
  if (std::fwrite(text.data(), 1, text.size(), stdout) != text.size() || std::fflush(stdout) != 0) {
    throw OutputLost();
  }
}

std::optional<std::string> output_error() {
  // What could not be written is still in the buffer, and fails for the same reason.
  if (std::fflush(stdout) != 0) {
    return std::strerror(errno);
  }
  return std::ferror(stdout) == 0 ? std::nullopt : std::optional<std::string>("some of it is lost");
}

bool reader_has_gone() {
  pollfd output{STDOUT_FILENO, 0, 0};
  return poll(&output, 1, 0) > 0 && (output.revents & (POLLERR | POLLHUP)) != 0;
}

void do_without_output() {
  if (const int nothing = open("/dev/null", O_WRONLY); nothing >= 0) {
    dup2(nothing, STDOUT_FILENO);
    close(nothing);
  }
  std::clearerr(stdout);
}

}  // namespace ecmigrate
