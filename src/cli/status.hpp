#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "command.hpp"
#include "ecmigrate/report/answers.hpp"
#include "ecmigrate/store/read_model.hpp"
#include "ecmigrate/store/table_fates.hpp"

/// The parts of `status`: what it reads, and how it shows that.
namespace ecmigrate {

struct StatusFlags {
  std::string plan_file;
  std::string wait_for;
  std::string timeout;
  bool watch = false;
  bool history = false;
  bool locks = false;
  bool exit_code = false;
};

/// What is shown of one migration.
struct Shown {
  MigrationView view;
  std::vector<TableFate> tables;  ///< those of it that are not as they were
  std::vector<event::OldUse> old_use;
  std::vector<EventView> history;  ///< oldest first, if it was asked for
  bool history_is_cut = false;     ///< there are older ones
};

struct Look {
  Instant now = 0;
  bool sees_all = true;  ///< other roles' sessions, too
  std::vector<Shown> migrations;
};

/// Looks at every migration, or at the one of that name, again and again.
class StatusReader {
 public:
  /// Connects. Throws Error{cannot_connect}.
  StatusReader(Invocation& invocation, std::string name, bool history);

  /// Nothing while the connection is lost; no migration where there is no journal. Throws Error{refused} where the role
  /// may not read it, and Error{cannot_connect} when the connection was lost for a minute.
  std::optional<Look> look();

 private:
  Look read();

  Invocation& m_invocation;
  std::string m_name;
  bool m_history;
  pg::Connection m_connection;
  std::optional<std::chrono::milliseconds> m_lost_since;
};

bool is_over(State state);

/// A run that ended without having done its work; nothing where there is nothing to mend.
const RunView* failed_run(const MigrationView& migration);

std::string text_of(const Look& look, const std::string& name, const StatusFlags& flags);
std::string json_of(const Look& look, const StatusFlags& flags);

}  // namespace ecmigrate
