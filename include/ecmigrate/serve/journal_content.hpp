#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "ecmigrate/pg/connection.hpp"
#include "ecmigrate/report/answers.hpp"
#include "ecmigrate/serve/content.hpp"
#include "ecmigrate/serve/hub.hpp"
#include "ecmigrate/store/read_model.hpp"

namespace ecmigrate::serve {

/// A migration that is shown before the journal knows it.
struct PlannedMigration {
  std::string name;
  std::string description;
  std::string plan_file;
  MigrationShape shape;
};

/// What the demo adds to the state: its own part, and answers that know of its traffic.
struct DemoPart {
  std::string json;  ///< the document's member "demo"
  std::optional<Answer> application;
  std::optional<Answer> migration;
  std::optional<Answer> next;
};

struct JournalContentOptions {
  bool show_sample = true;   ///< rows of the user's tables
  bool show_queries = true;  ///< texts of other sessions' queries
  std::optional<PlannedMigration> planned{};
  std::function<DemoPart()> demo{};  ///< called from the poller's thread, each second; not set: this is no demo
};

/// The page's content from the journal of a database. One poller, one connection, at most three statements a second
/// however many look, and none while nobody does: what it reads it keeps, and tells the hub what has changed. It only
/// reads, holds no snapshot between its statements, and gives a lock on a user's table up after 50 ms.
class JournalContent final : public Content {
 public:
  /// Does not connect before somebody looks. The hub must outlive it.
  JournalContent(pg::Target target, Hub& hub, JournalContentOptions options);
  ~JournalContent() override;

  std::optional<std::string> state(const std::string& migration) override;
  std::optional<std::string> series(const std::string& migration, int points) override;
  std::optional<std::string> events(const std::string& migration, std::int64_t before, int limit) override;
  std::optional<std::string> locks(const std::string& migration) override;
  std::string metrics() override;
  Health health() override;
  void look(const std::string& migration) override;

 private:
  class Impl;
  std::unique_ptr<Impl> m_impl;
};

}  // namespace ecmigrate::serve
