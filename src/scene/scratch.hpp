#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>

#include "ecmigrate/pg/connection.hpp"
#include "ecmigrate/scene/embedded_server.hpp"

namespace ecmigrate::scene {

/// Where comparisons run: databases of their own, each a copy of one with the tables to be migrated. All are dropped in
/// the end, and what an earlier process left is dropped in the beginning.
class Scratch {
 public:
  /// On a server of its own, in a folder for temporary files that goes with it. Throws Error{busy} while another
  /// comparison has it.
  explicit Scratch(std::stop_token stop);
  /// On the server of that database, which has to be there, and in no use when its tables are to be compared. Throws
  /// Error{refused} while a migration is under way in it.
  Scratch(std::string conninfo, std::stop_token stop);
  ~Scratch();
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;

  /// From now on, copies have that many sample users.
  void load_sample(std::int64_t rows);
  /// A new copy, instead of the one before. Gives its connection string.
  std::string copy();

 private:
  void begin();
  void drop(const std::string& database);
  void create(const std::string& database, const std::string& from);
  [[nodiscard]] std::string conninfo_of(const std::string& database) const;

  std::stop_token m_stop;
  std::unique_ptr<EmbeddedServer> m_server;
  std::string m_given;     ///< the connection string, empty for a server of its own
  std::string m_original;  ///< the database that is copied
  std::unique_ptr<pg::Connection> m_connection;
};

}  // namespace ecmigrate::scene
