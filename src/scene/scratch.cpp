#include "scratch.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include "ecmigrate/base/error.hpp"
#include "ecmigrate/base/quote.hpp"
#include "ecmigrate/pg/sqlstate.hpp"
#include "ecmigrate/store/journal.hpp"

namespace ecmigrate::scene {

namespace {

constexpr const char* k_base = "ecmigrate_compare_base";
constexpr const char* k_copy = "ecmigrate_compare_copy";

/// A server in use: durable, with room for the WAL of a large UPDATE. Autovacuum is on, but does not start meanwhile,
/// so that no side is measured with it and the other without.
const std::vector<std::string> k_settings{
    "fsync=on",         "full_page_writes=on",      "synchronous_commit=on", "shared_buffers=512MB", "max_wal_size=4GB",
    "min_wal_size=1GB", "checkpoint_timeout=15min", "autovacuum_naptime=7d", "max_connections=100"};

/// One place a user, so that what a process that was killed left is found again.
std::filesystem::path own_folder() {
  std::error_code error;
  const std::filesystem::path folder = std::filesystem::temp_directory_path(error);
  if (error) {
    throw Error(Outcome::failed, fmt::format("there is no folder for temporary files: {}", error.message()),
                "Set TMPDIR to one.");
  }
  return folder / fmt::format("ecmigrate-compare-{}", geteuid());
}

}  // namespace

Scratch::Scratch(std::stop_token stop)
    : m_stop(std::move(stop)), m_server(std::make_unique<EmbeddedServer>(own_folder(), k_settings)) {
  m_server->remove();
  try {
    m_server->start();
    begin();
  } catch (...) {
    m_server->remove();
    throw;
  }
}

Scratch::Scratch(std::string conninfo, std::stop_token stop) : m_stop(std::move(stop)), m_given(std::move(conninfo)) {
  {
    pg::Connection connection({m_given, "ecmigrate compare", nullptr});
    m_original = connection.query("select current_database()").text(0, 0);
    Journal journal(connection);
    if (journal.installed()) {
      const pg::Rows rows = connection.query(
          "select name from ecmigrate.migrations where state not in ('contracted', 'rolled_back') order by name limit "
          "1");
      if (rows.size() > 0) {
        throw Error(Outcome::refused, fmt::format("migration \"{}\" is under way in {}", rows.text(0, 0), m_original),
                    "A database that is meant for comparisons has none: give another one.");
      }
    }
  }
  begin();
}

Scratch::~Scratch() {
  try {
    if (m_server) {
      m_connection.reset();
      m_server->remove();
      return;
    }
    m_connection->cancel_on_stop({});
    drop(k_copy);
    drop(k_base);
  } catch (const std::exception&) {
    // The next comparison finds it, and drops it.
  }
}

void Scratch::begin() {
  m_connection = std::make_unique<pg::Connection>(
      pg::Target{conninfo_of(m_original == "postgres" ? "template1" : "postgres"), "ecmigrate compare", nullptr});
  m_connection->cancel_on_stop(m_stop);
  m_connection->query("set client_min_messages = warning");
  drop(k_copy);
  drop(k_base);
}

std::string Scratch::conninfo_of(const std::string& database) const {
  if (m_server) {
    return m_server->conninfo(database);
  }
  // What comes last counts, in both forms; a bare name is the database alone.
  if (m_given.find("://") != std::string::npos) {
    return fmt::format("{}{}dbname={}", m_given, m_given.find('?') == std::string::npos ? '?' : '&', database);
  }
  return (m_given.find('=') == std::string::npos ? "" : m_given + " ") + "dbname=" + database;
}

void Scratch::drop(const std::string& database) {
  try {
    m_connection->query("drop database if exists " + quote_identifier(database));
  } catch (const pg::SqlError& error) {
    if (error.sqlstate() == pg::sqlstate::k_object_in_use) {
      throw Error(Outcome::busy, fmt::format("another comparison uses {} on this server", database),
                  "Wait for it, or end it.");
    }
    throw;
  }
}

void Scratch::create(const std::string& database, const std::string& from) {
  // Files are copied, and not pages through the cache: each copy is as cold as the other.
  const std::string strategy = m_connection->server_version() >= 150000 ? " strategy file_copy" : "";
  try {
    m_connection->query(
        fmt::format("create database {} template {}{}", quote_identifier(database), quote_identifier(from), strategy));
  } catch (const pg::SqlError& error) {
    if (error.sqlstate() == pg::sqlstate::k_object_in_use) {
      throw Error(Outcome::refused, fmt::format("{} cannot be copied while others are connected to it", from),
                  "Let them disconnect: compare works on copies.");
    }
    throw;
  }
}

void Scratch::load_sample(std::int64_t rows) {
  drop(k_copy);
  drop(k_base);
  create(k_base, "template0");
  {
    pg::Connection connection({conninfo_of(k_base), "ecmigrate compare", nullptr});
    connection.cancel_on_stop(m_stop);
    load_users(connection, rows);
    connection.query("vacuum (analyze) users");
  }
  m_original = k_base;
}

std::string Scratch::copy() {
  drop(k_copy);
  create(k_copy, m_original);
  m_connection->query("checkpoint");
  return conninfo_of(k_copy);
}

}  // namespace ecmigrate::scene
