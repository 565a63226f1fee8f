#include "ecmigrate/pg/connection.hpp"

#include <fmt/format.h>
#include <libpq-fe.h>
#include <poll.h>

#include <array>
#include <cstdlib>

#include "ecmigrate/base/text.hpp"
#include "ecmigrate/pg/sqlstate.hpp"
#include "missing_right.hpp"

namespace ecmigrate::pg {

namespace {

/// How long to wait for an answer before looking at the stop request again.
constexpr std::chrono::milliseconds k_poll{100};

std::string field(const PGresult* result, int code) {
  const char* text = PQresultErrorField(result, code);
  return text == nullptr ? std::string() : std::string(text);
}

SqlError error_of(const PGresult* result, const char* role) {
  const std::string position = field(result, PG_DIAG_STATEMENT_POSITION);
  std::string message = field(result, PG_DIAG_MESSAGE_PRIMARY);
  if (const std::string detail = field(result, PG_DIAG_MESSAGE_DETAIL); !detail.empty()) {
    message += "\n  " + detail;
  }
  std::string sqlstate = field(result, PG_DIAG_SQLSTATE);
  if (sqlstate.empty()) {
    sqlstate = sqlstate::k_connection_failure;
    message = trim(PQresultErrorMessage(result));
  }
  std::string hint = field(result, PG_DIAG_MESSAGE_HINT);
  const bool undefined = sqlstate == sqlstate::k_undefined_function || sqlstate == sqlstate::k_undefined_table ||
                         sqlstate == sqlstate::k_undefined_object;
  if (undefined && field(result, PG_DIAG_CONTEXT).find("function") != std::string::npos) {
    // Our sessions have none of the application's schemas in their search_path.
    hint =
        "A function looks for it in the search_path of the session, which is not the same for everybody: name its "
        "schema in the function, or give the function a path of its own (ALTER FUNCTION … SET search_path = …).";
  }
  if (sqlstate == sqlstate::k_insufficient_privilege && hint.empty()) {
    hint = how_to_grant(field(result, PG_DIAG_MESSAGE_PRIMARY), role == nullptr ? "" : role);
  }
  return SqlError(sqlstate, message, hint, position.empty() ? 0 : std::stoi(position));
}

[[noreturn]] void refuse_uri() {
  throw Error(Outcome::cannot_connect, "the URI of the database cannot be read",
              "Characters other than letters and digits have to be percent-encoded in it, % itself as %25; or give "
              "the password in PGPASSWORD.");
}

/// "postgres:/user:password@host": a slip of the finger that would be taken for a database's name, and told.
bool is_broken_uri(const std::string& conninfo) {
  return conninfo.find('=') == std::string::npos && conninfo.find("://") == std::string::npos &&
         conninfo.find(':') != std::string::npos && conninfo.find('@') != std::string::npos;
}

/// An @ or a / in a password that is not encoded: the rest of it would be taken for the host, the port or the database,
/// and be told to everybody.
bool has_stray_at(const std::string& uri) {
  const std::string rest = uri.substr(uri.find("://") + 3);
  const std::string path = rest.substr(0, rest.find('?'));
  const std::size_t first = path.find('@');
  return first != std::string::npos && (path.find('@', first + 1) != std::string::npos || path.find('/') < first);
}

void ignore_notice(void*, const PGresult*) {}

}  // namespace

bool SqlError::connection_lost() const {
  // 57P01..57P03: shutdown, crash recovery, starting up; 57P05: idle for too long. The server has dropped the session
  // in each.
  return is_class(sqlstate::k_connection_exception) || m_sqlstate == sqlstate::k_admin_shutdown ||
         m_sqlstate == sqlstate::k_crash_shutdown || m_sqlstate == sqlstate::k_cannot_connect_now ||
         m_sqlstate == sqlstate::k_idle_session_timeout;
}

Rows::Rows(pg_result* result) : m_result(result, PQclear) {}

int Rows::size() const {
  return PQntuples(m_result.get());
}

int Rows::columns() const {
  return PQnfields(m_result.get());
}

bool Rows::is_null(int row, int column) const {
  return PQgetisnull(m_result.get(), row, column) != 0;
}

std::string Rows::text(int row, int column) const {
  return {PQgetvalue(m_result.get(), row, column), static_cast<std::size_t>(PQgetlength(m_result.get(), row, column))};
}

std::optional<std::string> Rows::maybe(int row, int column) const {
  return is_null(row, column) ? std::nullopt : std::optional(text(row, column));
}

std::int64_t Rows::integer(int row, int column) const {
  return is_null(row, column) ? 0 : std::strtoll(PQgetvalue(m_result.get(), row, column), nullptr, 10);
}

double Rows::number(int row, int column) const {
  return is_null(row, column) ? 0 : std::strtod(PQgetvalue(m_result.get(), row, column), nullptr);
}

bool Rows::boolean(int row, int column) const {
  return PQgetvalue(m_result.get(), row, column)[0] == 't';
}

std::int64_t Rows::affected() const {
  return std::strtoll(PQcmdTuples(m_result.get()), nullptr, 10);
}

Connection::Connection(Target target)
    : m_target(std::move(target)), m_connection(nullptr, PQfinish), m_cancel(nullptr, PQfreeCancel) {
  connect();
}

Connection::~Connection() = default;

void Connection::connect() {
  // Values before "dbname" are defaults that the connection string overrides; an environment variable of libpq would
  // be overridden by them, so they step back for one.
  std::vector<const char*> keys;
  std::vector<const char*> values;
  const auto add = [&](const char* key, const char* value) {
    keys.push_back(key);
    values.push_back(value);
  };
  if (std::getenv("PGCONNECT_TIMEOUT") == nullptr) {
    add("connect_timeout", "10");
  }
  // A dead peer frees the run lock within about a minute.
  add("keepalives_idle", "30");
  add("keepalives_interval", "10");
  add("keepalives_count", "3");
  if (!m_target.conninfo.empty()) {
    add("dbname", m_target.conninfo.c_str());
  }
  // Plans and everything of ours are UTF-8, whatever PGCLIENTENCODING or the connection string says.
  add("client_encoding", "UTF8");
  add("fallback_application_name", m_target.application_name.c_str());
  keys.push_back(nullptr);
  values.push_back(nullptr);
  if (is_broken_uri(m_target.conninfo)) {
    refuse_uri();
  }
  if (m_target.conninfo.find("://") != std::string::npos) {
    if (has_stray_at(m_target.conninfo)) {
      refuse_uri();
    }
    // What libpq says of a URI that it cannot read quotes a part of it, which may be the password's.
    const std::unique_ptr<PQconninfoOption, void (*)(PQconninfoOption*)> read(
        PQconninfoParse(m_target.conninfo.c_str(), nullptr), PQconninfoFree);
    if (read == nullptr) {
      refuse_uri();
    }
  }
  m_connection.reset(PQconnectdbParams(keys.data(), values.data(), 1));
  if (PQstatus(m_connection.get()) != CONNECTION_OK) {
    std::string hint =
        "The target is taken from --dbname, ECMIGRATE_DATABASE_URL, DATABASE_URL, or libpq's own variables.";
    if (PQconnectionNeedsPassword(m_connection.get()) != 0) {
      hint = "The server asks for a password: give it in PGPASSWORD, .pgpass or a service file.";
    }
    throw Error(Outcome::cannot_connect, trim(PQerrorMessage(m_connection.get())), hint);
  }
  PQsetNoticeReceiver(m_connection.get(), ignore_notice, nullptr);
  m_backend_pid = PQbackendPID(m_connection.get());
  m_cancel.reset(PQgetCancel(m_connection.get()));
}

Rows Connection::query(const std::string& sql, const Parameters& parameters) {
  begin_call(sql, true);
  std::vector<const char*> values;
  values.reserve(parameters.size());
  for (const auto& parameter : parameters) {
    values.push_back(parameter ? parameter->c_str() : nullptr);
  }
  if (PQsendQueryParams(m_connection.get(), sql.c_str(), static_cast<int>(values.size()), nullptr, values.data(),
                        nullptr, nullptr, 0) == 0) {
    fail_lost();
  }
  return finish_call().front();
}

std::vector<Rows> Connection::script(const std::string& sql) {
  send_script(sql);
  return finish_script();
}

void Connection::send_script(const std::string& sql) {
  begin_call(sql, false);
  if (PQsendQuery(m_connection.get(), sql.c_str()) == 0) {
    fail_lost();
  }
}

bool Connection::answered() {
  if (PQconsumeInput(m_connection.get()) == 0) {
    return true;  // finish_script() says what is wrong
  }
  collect();
  return m_answer.complete;
}

std::vector<Rows> Connection::finish_script() {
  try {
    return finish_call();
  } catch (...) {
    if (PQtransactionStatus(m_connection.get()) == PQTRANS_INERROR ||
        PQtransactionStatus(m_connection.get()) == PQTRANS_INTRANS) {
      PQclear(PQexec(m_connection.get(), "rollback"));
    }
    throw;
  }
}

void Connection::begin_call(const std::string& sql, bool single) {
  if (m_stop.stop_requested() || m_abandon.stop_requested()) {
    throw Stopped();
  }
  if (m_target.hook) {
    m_target.hook(CallMoment::before, PQsocket(m_connection.get()), sql);
  }
  m_answer = Answer{sql, single, false, false, {}, {}};
}

void Connection::collect() {
  while (!m_answer.complete && PQisBusy(m_connection.get()) == 0) {
    PGresult* result = PQgetResult(m_connection.get());
    if (result == nullptr) {
      m_answer.complete = true;
      break;
    }
    const ExecStatusType status = PQresultStatus(result);
    if (status == PGRES_FATAL_ERROR) {
      if (!m_answer.error) {
        m_answer.error = error_of(result, PQuser(m_connection.get()));
      }
      PQclear(result);
    } else if (status == PGRES_TUPLES_OK || *PQcmdTuples(result) != '\0' || m_answer.single) {
      m_answer.results.emplace_back(result);
    } else {
      PQclear(result);
    }
  }
}

void Connection::give_up(std::chrono::milliseconds patience, std::stop_token stop) {
  m_patience = patience;
  m_abandon = std::move(stop);
}

std::vector<Rows> Connection::finish_call() {
  const auto begin = std::chrono::steady_clock::now();
  for (collect(); !m_answer.complete; collect()) {
    if (m_abandon.stop_requested()) {
      throw Stopped();
    }
    if (m_patience.count() > 0 && std::chrono::steady_clock::now() - begin > m_patience) {
      throw SqlError(std::string(sqlstate::k_connection_failure),
                     fmt::format("the server has not answered for {}",
                                 format_milliseconds(static_cast<double>(m_patience.count()))),
                     "", 0);
    }
    if (m_stop.stop_requested()) {
      m_answer.stopped = true;
      cancel();  // again at each turn: the first may arrive between two statements of a script
    }
    wait_for_any({this}, k_poll);
    if (PQconsumeInput(m_connection.get()) == 0) {
      fail_lost();
    }
  }
  if (m_answer.error && m_answer.stopped && m_answer.error->sqlstate() == sqlstate::k_query_canceled) {
    throw Stopped();
  }
  if (m_answer.error) {
    throw SqlError(*m_answer.error);
  }
  if (m_target.hook) {
    m_target.hook(CallMoment::after, PQsocket(m_connection.get()), m_answer.sql);
  }
  return std::move(m_answer.results);
}

void wait_for_any(const std::vector<Connection*>& connections, std::chrono::milliseconds longest) {
  std::vector<pollfd> sockets;
  for (const Connection* connection : connections) {
    sockets.push_back({PQsocket(connection->m_connection.get()), POLLIN, 0});
  }
  poll(sockets.data(), sockets.size(), static_cast<int>(longest.count()));  // woken by a signal: as good as an answer
}

void Connection::fail_lost() {
  throw SqlError(std::string(sqlstate::k_connection_failure), trim(PQerrorMessage(m_connection.get())), "", 0);
}

void Connection::cancel() const {
  std::array<char, 256> message{};
  PQcancel(m_cancel.get(), message.data(), static_cast<int>(message.size()));
}

int Connection::server_version() const {
  return PQserverVersion(m_connection.get());
}

bool Connection::has_every_character() const {
  const char* encoding = PQparameterStatus(m_connection.get(), "server_encoding");
  const std::string_view name = encoding == nullptr ? "" : encoding;
  return name.empty() || name == "UTF8" || name == "SQL_ASCII";
}

bool Connection::on_this_machine() const {
  const char* host = PQhost(m_connection.get());
  const std::string_view name = host == nullptr ? "" : host;
  return name.empty() || name.starts_with('/') || name == "localhost" || name == "::1" || name.starts_with("127.");
}

std::string Connection::description() const {
  const auto text = [](const char* value) { return value == nullptr ? std::string_view() : std::string_view(value); };
  PGconn* connection = m_connection.get();
  const std::string_view host = text(PQhost(connection));
  return fmt::format("{} on {}{}{} as {}, PostgreSQL {}", text(PQdb(connection)), host,
                     host.starts_with('/') ? " port " : ":", text(PQport(connection)), text(PQuser(connection)),
                     text(PQparameterStatus(connection, "server_version")));
}

bool Connection::through_pooler() {
  return query("select pg_catalog.pg_backend_pid()").integer(0, 0) != m_backend_pid;
}

int library_version() {
  return PQlibVersion();
}

std::string without_password(const std::string& conninfo) {
  if (is_broken_uri(conninfo)) {
    return {};
  }
  if (conninfo.find('=') == std::string::npos && conninfo.find("://") == std::string::npos) {
    return conninfo;  // a database's name
  }
  if (conninfo.find("://") != std::string::npos && has_stray_at(conninfo)) {
    return {};
  }
  const std::unique_ptr<PQconninfoOption, void (*)(PQconninfoOption*)> options(
      PQconninfoParse(conninfo.c_str(), nullptr), PQconninfoFree);
  std::string shown;
  bool secret = false;
  for (const PQconninfoOption* option = options.get(); option != nullptr && option->keyword != nullptr; ++option) {
    if (option->val == nullptr || *option->val == '\0') {
      continue;
    }
    if (std::string_view(option->keyword) == "password" || std::string_view(option->keyword) == "sslpassword") {
      secret = true;
      continue;
    }
    std::string value;
    for (const char* c = option->val; *c != '\0'; ++c) {
      value += *c == '\'' || *c == '\\' ? std::string("\\") + *c : std::string(1, *c);
    }
    const bool plain = value.find_first_of(" '\\") == std::string::npos;
    shown += fmt::format("{}{}={}", shown.empty() ? "" : " ", option->keyword, plain ? value : "'" + value + "'");
  }
  return options == nullptr || secret ? shown : conninfo;
}

}  // namespace ecmigrate::pg
