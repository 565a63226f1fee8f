#include "demo_look.hpp"

#include "ecmigrate/store/journal.hpp"

namespace ecmigrate::scene {

std::optional<MigrationView> DemoLook::read() {
  if (!m_connection) {
    m_connection = std::make_unique<pg::Connection>(pg::Target{m_conninfo, "ecmigrate demo", nullptr});
    m_connection->script("set statement_timeout = '2s'");
    m_format = 0;
  }
  m_format = m_format > 0 ? m_format : Journal(*m_connection).format();
  if (m_format == 0) {
    return std::nullopt;
  }
  std::vector<MigrationView> found = ReadModel(*m_connection, m_format).look({m_migration}).migrations;
  return found.empty() ? std::nullopt : std::optional(std::move(found.front()));
}

void DemoLook::refresh() {
  // Two who look one after the other must not tell in the other order.
  const std::lock_guard lock(m_mutex);
  try {
    m_view.see(read());
  } catch (const std::exception& error) {
    m_connection.reset();
    m_view.see_failure(error.what());
  }
}

}  // namespace ecmigrate::scene
