#include "programs.hpp"

#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "ecmigrate/base/error.hpp"

namespace ecmigrate::scene {

namespace {

/// Numbers inside names by their value, so that 9.6 comes before 14 (as `sort -V`).
bool older(const std::filesystem::path& a, const std::filesystem::path& b) {
  return std::strtod(a.filename().c_str(), nullptr) < std::strtod(b.filename().c_str(), nullptr);
}

/// Variables of libpq and of the server's programs: what they say here is not about this server.
std::vector<char*> environment() {
  std::vector<char*> variables;
  for (char** variable = environ; *variable != nullptr; ++variable) {
    if (std::strncmp(*variable, "PG", 2) != 0) {
      variables.push_back(*variable);
    }
  }
  variables.push_back(nullptr);
  return variables;
}

/// In the child, where only what a signal handler may do is allowed: the parent has other threads.
[[noreturn]] void become(const ServerUser& user, const std::vector<gid_t>& groups, const char* output,
                         char* const* arguments, char* const* variables) {
  const int in = open("/dev/null", O_RDONLY);
  const int out =
      *output == '\0' ? open("/dev/null", O_WRONLY) : open(output, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW, 0600);
  if (in < 0 || out < 0 || dup2(in, 0) < 0 || dup2(out, 1) < 0 || dup2(out, 2) < 0) {
    _exit(126);
  }
  close_range(3, ~0U, 0);  // our listening ports, say, must not stay open with the server
  setsid();                // a terminal's Ctrl-C is for us alone
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  if (user.other && (setgroups(groups.size(), groups.data()) != 0 || setgid(user.gid) != 0 || setuid(user.uid) != 0)) {
    _exit(126);
  }
  // An initdb without us would go on writing into a folder that the next start cleans up. What pg_ctl starts is not
  // meant.
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  // From /, because that user may not enter the folder of whoever called, and the programs look where they are.
  if (chdir("/") == 0) {
    execve(arguments[0], arguments, variables);
  }
  _exit(127);
}

}  // namespace

ServerUser server_user() {
  if (geteuid() != 0) {
    return {geteuid(), getegid(), {}, false};
  }
  const passwd* entry = getpwnam("postgres");
  if (entry == nullptr) {
    throw Error(Outcome::failed, "there is no user postgres, as whom root would run a PostgreSQL server",
                "Install the package postgresql, or run as another user.");
  }
  ServerUser user{entry->pw_uid, entry->pw_gid, {}, true};
  int count = 64;
  std::vector<gid_t> groups(static_cast<std::size_t>(count));
  if (getgrouplist("postgres", entry->pw_gid, groups.data(), &count) < 0) {
    count = 1;
    groups[0] = entry->pw_gid;
  }
  user.groups.assign(groups.begin(), groups.begin() + count);
  return user;
}

std::filesystem::path server_programs() {
  if (const char* named = std::getenv("PG_BINDIR"); named != nullptr && *named != '\0') {
    if (access((std::filesystem::path(named) / "initdb").c_str(), X_OK) != 0) {
      throw Error(Outcome::failed, std::string("PG_BINDIR is ") + named + ", which has no initdb",
                  "Set it to the folder of initdb and pg_ctl.");
    }
    return named;
  }
  std::vector<std::filesystem::path> versions;
  std::error_code none;
  for (const auto& entry : std::filesystem::directory_iterator("/usr/lib/postgresql", none)) {
    if (access((entry.path() / "bin/initdb").c_str(), X_OK) == 0) {
      versions.push_back(entry.path());
    }
  }
  if (versions.empty()) {
    throw Error(Outcome::failed, "no PostgreSQL server is installed on this machine",
                "Install the package postgresql, or set PG_BINDIR to the folder of initdb.");
  }
  return *std::ranges::max_element(versions, older) / "bin";
}

int run_as(const ServerUser& user, const std::vector<std::string>& command, const std::filesystem::path& output) {
  std::vector<char*> arguments;
  for (const std::string& word : command) {
    arguments.push_back(const_cast<char*>(word.c_str()));
  }
  arguments.push_back(nullptr);
  const std::vector<char*> variables = environment();
  const std::vector<gid_t> groups(user.groups.begin(), user.groups.end());
  const std::string file = output.string();
  const pid_t child = fork();
  if (child < 0) {
    throw Error(Outcome::failed, command.front() + " cannot be started: " + std::strerror(errno));
  }
  if (child == 0) {
    become(user, groups, file.c_str(), arguments.data(), variables.data());
  }
  int status = 0;
  while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

}  // namespace ecmigrate::scene
