#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "ecmigrate/pg/connection.hpp"

namespace ecmigrate::scene {

/// A throwaway PostgreSQL on this machine, made by the initdb and pg_ctl of PG_BINDIR or of the newest version that
/// Debian has installed, and reached by a socket in its folder only. A folder that it made has the file
/// `ecmigrate-throwaway`; no other is ever taken or deleted. For root, who may not run a server, it runs as the user
/// postgres. What a crash of this program leaves (half a cluster, a server at work), the next start takes over.
class EmbeddedServer {
 public:
  /// `folder`: an absolute path, so short that a socket's path fits. `settings`: lines of postgresql.conf, in force
  /// when the cluster is made. Does nothing yet.
  explicit EmbeddedServer(std::filesystem::path folder, std::vector<std::string> settings = {});
  /// Leaves the server as it is.
  ~EmbeddedServer();
  EmbeddedServer(const EmbeddedServer&) = delete;
  EmbeddedServer& operator=(const EmbeddedServer&) = delete;

  /// Makes the cluster where there is none, and starts it unless it runs. Throws Error{busy} while another process has
  /// this folder's server in use, Error{usage} for a folder that cannot be, Error{failed} with what the programs said.
  void start();
  [[nodiscard]] bool running() const;
  /// At once, as in a crash: nothing in it is worth waiting for.
  void stop();
  /// Stops it and deletes the folder. Harmless where there is none.
  void remove();

  [[nodiscard]] const std::filesystem::path& folder() const { return m_folder; }
  [[nodiscard]] std::string conninfo(const std::string& database) const;

 private:
  void make_folder();
  void claim();
  void release();
  void make_cluster();
  [[nodiscard]] std::filesystem::path data() const { return m_folder / "data"; }

  std::filesystem::path m_folder;
  std::vector<std::string> m_settings;
  int m_claim = -1;  ///< the marker file, locked as long as this process uses the server
};

/// Makes the sample table `users`: that many honest users, with the names that people have.
void load_users(pg::Connection& connection, std::int64_t rows);

}  // namespace ecmigrate::scene
