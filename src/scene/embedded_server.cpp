#include "ecmigrate/scene/embedded_server.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <sstream>
#include <thread>

#include "ecmigrate/base/error.hpp"
#include "ecmigrate/base/text.hpp"
#include "programs.hpp"

namespace ecmigrate::scene {

namespace fs = std::filesystem;

namespace {

constexpr const char* k_marker = "ecmigrate-throwaway";
constexpr const char* k_half = "data.new";

/// A socket's path may have 107 bytes; its name in the folder takes 15.
constexpr std::size_t k_longest_folder = 90;

/// Also where a program that is about to end still writes.
void delete_whole(const fs::path& path) {
  constexpr int k_tries = 100;
  std::error_code error;
  for (int i = 0; i < k_tries; ++i) {
    fs::remove_all(path, error);
    if (!error) {
      return;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  throw Error(Outcome::failed, fmt::format("{} cannot be deleted: {}", path.string(), error.message()));
}

/// What a program said, its end if that is long.
std::string said(const fs::path& file) {
  constexpr std::size_t k_most = 2'000;
  std::ifstream in(file);
  std::ostringstream text;
  text << in.rdbuf();
  const std::string all = trim(text.str());
  return all.size() <= k_most ? all : "…" + all.substr(all.size() - k_most);
}

void give_to(const ServerUser& user, const fs::path& folder) {
  if (!user.other) {
    return;
  }
  const auto give = [&](const fs::path& path) {
    if (lchown(path.c_str(), user.uid, user.gid) != 0) {
      throw Error(Outcome::failed,
                  fmt::format("{} cannot be given to the user postgres: {}", path.string(), std::strerror(errno)));
    }
  };
  give(folder);
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    give(entry.path());
  }
}

/// A folder that somebody else prepared could have the server do anything.
bool is_ours(const fs::path& folder, const ServerUser& user) {
  struct stat facts {};
  return lstat(folder.c_str(), &facts) == 0 && S_ISDIR(facts.st_mode) &&
         (facts.st_uid == geteuid() || facts.st_uid == user.uid);
}

std::string quoted(const std::string& value) {
  std::string text = "'";
  for (const char c : value) {
    text += c == '\'' || c == '\\' ? std::string("\\") + c : std::string(1, c);
  }
  return text + "'";
}

}  // namespace

EmbeddedServer::EmbeddedServer(fs::path folder, std::vector<std::string> settings)
    : m_folder(std::move(folder)), m_settings(std::move(settings)) {}

EmbeddedServer::~EmbeddedServer() {
  release();
}

void EmbeddedServer::make_folder() {
  if (!m_folder.is_absolute() || m_folder.string().size() > k_longest_folder) {
    throw Error(
        Outcome::usage, fmt::format("{} cannot be a server's folder", m_folder.string()),
        fmt::format("Give an absolute path of at most {} bytes, or the socket's would be too long.", k_longest_folder));
  }
  const ServerUser user = server_user();
  std::error_code error;
  const bool exists = fs::exists(fs::symlink_status(m_folder, error));
  if (exists &&
      !(is_ours(m_folder, user) && (fs::exists(m_folder / k_marker, error) || fs::is_empty(m_folder, error)))) {
    throw Error(Outcome::usage, fmt::format("{} was not made by ecmigrate", m_folder.string()),
                "Give another folder, or delete it yourself.");
  }
  fs::create_directories(m_folder, error);
  claim();
  give_to(user, m_folder);
  // The server trusts whoever reaches the socket, so nobody else may.
  fs::permissions(m_folder, fs::perms::owner_all);
}

void EmbeddedServer::claim() {
  if (m_claim >= 0) {
    return;
  }
  const fs::path marker = m_folder / k_marker;
  m_claim = open(marker.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (m_claim < 0) {
    throw Error(Outcome::usage, fmt::format("{} cannot be made: {}", marker.string(), std::strerror(errno)),
                "Give a folder that can be written to.");
  }
  if (flock(m_claim, LOCK_EX | LOCK_NB) != 0) {
    release();
    throw Error(Outcome::busy, fmt::format("the server in {} is in use by another ecmigrate", m_folder.string()),
                "Wait for it, or end it.");
  }
}

void EmbeddedServer::release() {
  if (m_claim >= 0) {
    close(m_claim);
    m_claim = -1;
  }
}

void EmbeddedServer::make_cluster() {
  // Under another name until it is whole, so that an interrupted initdb is done again; one of our own, as the server
  // that such an initdb had started may still be at work in its folder for a moment.
  for (const auto& entry : fs::directory_iterator(m_folder)) {
    if (entry.path().filename().string().starts_with(k_half)) {
      delete_whole(entry.path());
    }
  }
  const fs::path half = m_folder / fmt::format("{}-{}", k_half, getpid());
  const fs::path log = m_folder / "initdb.log";
  const int status = run_as(server_user(),
                            {server_programs() / "initdb", "--pgdata", half, "--username", "postgres", "--auth",
                             "trust", "--encoding", "UTF8", "--locale", "C.UTF-8", "--no-sync"},
                            log);
  if (status != 0) {
    throw Error(Outcome::failed, fmt::format("initdb ended with status {}:\n{}", status, said(log)),
                "Look at the message; the package's name is postgresql.");
  }
  std::ofstream settings(half / "postgresql.conf", std::ios::app);
  settings << "listen_addresses = ''\nport = 5432\nunix_socket_directories = " << quoted(m_folder.string()) << "\n";
  for (const std::string& line : m_settings) {
    settings << line << "\n";
  }
  settings.close();
  if (!settings) {
    throw Error(Outcome::failed, fmt::format("{} could not be written", (half / "postgresql.conf").string()));
  }
  fs::rename(half, data());
}

bool EmbeddedServer::running() const {
  // By the process itself: after a crash of the machine the pid in the file may be another's, and pg_ctl would signal
  // that.
  std::ifstream file(data() / "postmaster.pid");
  std::string pid;
  std::error_code error;
  return std::getline(file, pid) && fs::read_symlink("/proc/" + pid + "/cwd", error) == fs::canonical(data(), error) &&
         !error;
}

void EmbeddedServer::start() {
  server_programs();  // before a folder is made for nothing
  make_folder();
  if (!fs::exists(data())) {
    make_cluster();
  }
  if (running()) {
    return;
  }
  fs::remove(data() / "postmaster.pid");  // of one that is gone
  const fs::path log = m_folder / "server.log";
  const int status =
      run_as(server_user(),
             {server_programs() / "pg_ctl", "--pgdata", data(), "--log", log, "--wait", "--silent", "start"}, {});
  if (status != 0) {
    throw Error(Outcome::failed,
                fmt::format("the PostgreSQL server in {} does not start:\n{}", m_folder.string(), said(log)));
  }
}

void EmbeddedServer::stop() {
  if (running()) {
    run_as(server_user(), {server_programs() / "pg_ctl", "--pgdata", data(), "--mode", "immediate", "--silent", "stop"},
           {});
  }
  release();
}

void EmbeddedServer::remove() {
  if (!fs::exists(m_folder / k_marker) || !is_ours(m_folder, server_user())) {
    return;
  }
  if (m_claim < 0) {
    claim();
  }
  if (running()) {
    stop();
  }
  delete_whole(m_folder);
  release();
}

std::string EmbeddedServer::conninfo(const std::string& database) const {
  return fmt::format("host={} port=5432 user=postgres dbname={}", quoted(m_folder.string()), quoted(database));
}

}  // namespace ecmigrate::scene
