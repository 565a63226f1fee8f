#pragma once

#include <memory>
#include <mutex>
#include <string>

#include "demo_view.hpp"

namespace ecmigrate::scene {

/// Looks where the migration stands. Safe from any thread.
class DemoLook {
 public:
  DemoLook(std::string conninfo, std::string migration, DemoView& view)
      : m_conninfo(std::move(conninfo)), m_migration(std::move(migration)), m_view(view) {}

  /// Tells the view, also that the database does not answer.
  void refresh();

 private:
  [[nodiscard]] std::optional<MigrationView> read();

  std::string m_conninfo;
  std::string m_migration;
  DemoView& m_view;
  std::mutex m_mutex;
  std::unique_ptr<pg::Connection> m_connection;
  int m_format = 0;
};

}  // namespace ecmigrate::scene
