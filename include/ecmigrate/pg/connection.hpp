#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "ecmigrate/base/error.hpp"
#include "ecmigrate/pg/sqlstate.hpp"

struct pg_conn;
struct pg_result;
struct pg_cancel;

namespace ecmigrate::pg {

/// An error that the server reported, or a lost connection (SQLSTATE 08006). A right that the role lacks is a refusal,
/// whose hint says what would grant it.
class SqlError : public Error {
 public:
  SqlError(std::string sqlstate, const std::string& message, std::string hint, int position)
      : Error(sqlstate == sqlstate::k_insufficient_privilege ? Outcome::refused : Outcome::failed, message,
              std::move(hint)),
        m_sqlstate(std::move(sqlstate)),
        m_position(position) {}

  [[nodiscard]] const std::string& sqlstate() const { return m_sqlstate; }
  /// Where in the statement, in characters from 1; 0 when the server did not say.
  [[nodiscard]] int position() const { return m_position; }
  [[nodiscard]] bool is_class(std::string_view prefix) const { return m_sqlstate.starts_with(prefix); }
  /// The connection is gone, so what the statement did is unknown until the journal has been read again.
  [[nodiscard]] bool connection_lost() const;

 private:
  std::string m_sqlstate;
  int m_position;
};

/// A stop was requested while the statement ran, and it was cancelled.
class Stopped : public std::exception {
 public:
  [[nodiscard]] const char* what() const noexcept override { return "stopped"; }
};

/// The rows of one statement; owns them. Row and column count from 0.
class Rows {
 public:
  explicit Rows(pg_result* result);

  [[nodiscard]] int size() const;
  [[nodiscard]] int columns() const;
  [[nodiscard]] bool is_null(int row, int column) const;
  [[nodiscard]] std::string text(int row, int column) const;  ///< empty for null
  [[nodiscard]] std::optional<std::string> maybe(int row, int column) const;
  [[nodiscard]] std::int64_t integer(int row, int column) const;
  [[nodiscard]] double number(int row, int column) const;
  [[nodiscard]] bool boolean(int row, int column) const;
  /// Rows changed by INSERT, UPDATE or DELETE.
  [[nodiscard]] std::int64_t affected() const;

 private:
  std::shared_ptr<pg_result> m_result;
};

/// Called before a statement is sent and after its answer came: the seam for fault injection. May throw (the runner
/// then stops as if it were killed there) or shut the socket down (as if the network were).
enum class CallMoment { before, after };
using CallHook = std::function<void(CallMoment moment, int socket, std::string_view sql)>;

struct Target {
  std::string conninfo;  ///< what libpq takes as dbname: a name, key=value pairs, a URI, or empty
  std::string application_name;
  CallHook hook;
};

using Parameters = std::vector<std::optional<std::string>>;

/// One session on the server. Owned by one thread at a time, except cancel(). Not copyable.
class Connection {
 public:
  /// Throws Error{cannot_connect}; never prints a password.
  explicit Connection(Target target);
  ~Connection();
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  /// A new session in place of a lost one, with nothing of the old one's settings. Throws as the constructor.
  void reconnect() { connect(); }

  /// One statement, with parameters $1, $2, … as text. Refuses several statements in one string.
  Rows query(const std::string& sql, const Parameters& parameters = {});
  /// Several statements in one message: no round trip between them. The result of each that returns rows, and of each
  /// that changes rows, in order. After an error an open transaction has been rolled back.
  std::vector<Rows> script(const std::string& sql);
  /// script() in two halves, so that one thread can keep several connections at work: send_script() does not wait,
  /// finish_script() does. Between the two, only answered() and cancel() may be called, and wait_for_any().
  void send_script(const std::string& sql);
  /// The whole answer is here: finish_script() will not wait.
  [[nodiscard]] bool answered();
  std::vector<Rows> finish_script();
  /// From now on, a stop request cancels the running statement, and query and script throw Stopped.
  void cancel_on_stop(std::stop_token stop) { m_stop = std::move(stop); }
  /// For a connection that nobody's work depends on: an answer is waited for so long at most, then the connection
  /// counts as lost; and a stop request ends the wait at once (Stopped), without a word to the server, which may not
  /// hear it.
  void give_up(std::chrono::milliseconds patience, std::stop_token stop);
  /// From any thread: asks the server to cancel the running statement.
  void cancel() const;

  [[nodiscard]] int backend_pid() const { return m_backend_pid; }
  [[nodiscard]] int server_version() const;
  /// The database's: every character of ours can be stored in it.
  [[nodiscard]] bool has_every_character() const;
  /// The server was reached through a socket file or the loopback interface.
  [[nodiscard]] bool on_this_machine() const;
  /// "shop on db1:5432 as migrator, PostgreSQL 15.18": never a password.
  [[nodiscard]] std::string description() const;
  /// A pooler answers in the server's place.
  [[nodiscard]] bool through_pooler();

 private:
  friend void wait_for_any(const std::vector<Connection*>& connections, std::chrono::milliseconds longest);

  /// The answer that is under way.
  struct Answer {
    std::string sql;
    bool single = false;  ///< of query(): results without rows count too
    bool complete = false;
    bool stopped = false;
    std::vector<Rows> results;
    std::optional<SqlError> error;
  };

  void connect();
  void begin_call(const std::string& sql, bool single);
  /// Takes in what has come, without waiting.
  void collect();
  std::vector<Rows> finish_call();
  [[noreturn]] void fail_lost();

  Target m_target;
  std::unique_ptr<pg_conn, void (*)(pg_conn*)> m_connection;
  std::unique_ptr<pg_cancel, void (*)(pg_cancel*)> m_cancel;
  std::stop_token m_stop;
  std::stop_token m_abandon;
  std::chrono::milliseconds m_patience{0};  ///< 0: without end
  Answer m_answer;
  int m_backend_pid = 0;
};

/// The version of libpq, as PQlibVersion: 150018.
int library_version();

/// A connection string that may be shown and written down: the same without password. What cannot be read as one is
/// left out whole, as a part of it might be the password.
std::string without_password(const std::string& conninfo);

/// Waits until an answer comes on one of the connections, at most so long.
void wait_for_any(const std::vector<Connection*>& connections, std::chrono::milliseconds longest);

}  // namespace ecmigrate::pg
