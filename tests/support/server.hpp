#pragma once

#include <memory>
#include <string>
#include <vector>

#include "ecmigrate/model/event.hpp"
#include "ecmigrate/model/plan.hpp"
#include "ecmigrate/pg/connection.hpp"
#include "ecmigrate/session/session.hpp"

namespace ecmigrate::test {

/// Connection string of the test run's own server, without dbname; started at the first call, removed at exit. A test
/// binary without a server fails, it does not skip.
const std::string& server();

/// A server with settings of its own, beside the test run's; stopped and removed with the object.
class OwnServer {
 public:
  /// `settings` are words NAME=VALUE of postgresql.conf.
  explicit OwnServer(const std::string& settings);
  /// A streaming replica.
  OwnServer(const OwnServer* primary, const std::string& settings);
  ~OwnServer();
  OwnServer(const OwnServer&) = delete;
  OwnServer& operator=(const OwnServer&) = delete;

  /// Connection string without dbname.
  [[nodiscard]] std::string conninfo() const;
  [[nodiscard]] const std::string& folder() const { return m_folder; }
  /// At once, as in a crash.
  void stop() const;
  /// Again, after stop().
  void start() const;
  /// Another server in the same place.
  void replace() const;
  /// `alter system set`, in force when this returns; an empty value takes the setting back.
  void set(const std::string& name, const std::string& value) const;

 private:
  std::string m_folder;
};

/// A new, empty database, dropped with the object. Sessions on it are ended then.
class Database {
 public:
  /// On the test run's server, or on another; of this encoding, or of the test run's.
  explicit Database(std::string on = server(), std::string encoding = {});
  /// A copy of one that leave() was called of.
  explicit Database(const Database* model);
  ~Database();
  Database(const Database&) = delete;
  Database& operator=(const Database&) = delete;

  [[nodiscard]] const std::string& name() const { return m_name; }
  [[nodiscard]] std::string conninfo(const std::string& more = {}) const;
  /// Ends the test's own session, so that the database can be copied; enter() begins another.
  void leave() { m_connection.reset(); }
  void enter() { m_connection = connect(); }
  /// A further session.
  [[nodiscard]] std::unique_ptr<pg::Connection> connect(const std::string& more = {}) const;
  /// Several statements on the test's own session.
  void exec(const std::string& sql);
  /// One value as text; "null" for null, "" without a row.
  std::string value(const std::string& sql);
  /// Asks until the condition holds; fails the test after a minute.
  void wait_for(const std::string& condition);
  /// All rows, columns joined by "|", rows by a line break; null as "null".
  std::string rows(const std::string& sql);
  /// pg_dump -s of everything but the journal, without what differs from call to call.
  [[nodiscard]] std::string schema() const;

 private:
  void create(const std::string& more);

  std::string m_server;
  std::string m_name;
  std::string m_user;  ///< that its sessions are of, where that is not the server's own
  std::unique_ptr<pg::Connection> m_connection;
};

/// Keeps every event.
class Recorder final : public Observer {
 public:
  void on(const Event& event) override;

  std::vector<Event> events;

  template <typename T>
  [[nodiscard]] std::vector<T> all() const {
    std::vector<T> found;
    for (const Event& event : events) {
      if (const T* one = std::get_if<T>(&event)) {
        found.push_back(*one);
      }
    }
    return found;
  }
  /// Texts of all warnings, one a line.
  [[nodiscard]] std::string warnings() const;
};

/// Runs phases of a plan in this process, each with a session of its own as the commands do. `phases`: words of
/// "expand backfill verify contract rollback". Throws what the phase throws.
void migrate(const Database& database, const std::string& yaml, const std::string& phases, Recorder* recorder = nullptr,
             const RunOptions& options = {}, pg::CallHook hook = nullptr);

/// Whether a call hook was called for the UPDATE of a backfill's batch.
inline bool fills(std::string_view sql) {
  return sql.find("update only") != std::string_view::npos;
}

/// What the program printed and its exit status.
struct ProgramResult {
  int status = 0;
  std::string out;
  std::string err;
};

/// Runs the real binary with ECMIGRATE_DATABASE_URL set to the database; `input` (a plan) is written to a file whose
/// path replaces every "PLAN" among the arguments.
ProgramResult run_program(const Database& database, std::vector<std::string> arguments, const std::string& plan = {});

/// Path of a file with this text, deleted at exit.
std::string temporary_file(const std::string& text, const std::string& suffix);

/// What a file holds; empty where there is none.
std::string text_of(const std::string& path);

/// Runs a shell command; throws when it fails. Gives its standard output.
std::string shell(const std::string& command);

}  // namespace ecmigrate::test
