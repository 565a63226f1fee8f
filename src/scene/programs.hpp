#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace ecmigrate::scene {

/// The user that a server's programs run as: this one, or the user postgres for root.
struct ServerUser {
  unsigned uid = 0;
  unsigned gid = 0;
  std::vector<unsigned> groups;
  bool other = false;  ///< not the user of this process
};

/// Throws Error{failed} for root where there is no user postgres.
ServerUser server_user();

/// Of initdb and pg_ctl. Throws Error{failed} with the package's name where there are none.
std::filesystem::path server_programs();

/// Runs a program to its end as that user, in the folder /, without input, and writes what it prints to `output`, if
/// that is not empty. Gives its exit status, 128 + N after signal N.
int run_as(const ServerUser& user, const std::vector<std::string>& command, const std::filesystem::path& output);

}  // namespace ecmigrate::scene
