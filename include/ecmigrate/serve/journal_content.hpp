#pragma once

#include "ecmigrate/pg/connection.hpp"
#include "ecmigrate/serve/content.hpp"
#include "ecmigrate/serve/hub.hpp"

namespace ecmigrate::serve {

struct JournalContentOptions {
  bool show_sample = true;
  bool show_queries = true;
};

/// Stands in until the real one is merged.
class JournalContent final : public Content {
 public:
  JournalContent(pg::Target target, Hub& hub, JournalContentOptions options);
  std::optional<std::string> state(const std::string& migration) override;
  std::optional<std::string> series(const std::string& migration, int points) override;
  std::optional<std::string> events(const std::string& migration, std::int64_t before, int limit) override;
  std::optional<std::string> locks(const std::string& migration) override;
  std::string metrics() override;
  Health health() override;
  void look(const std::string& migration) override;
};

}  // namespace ecmigrate::serve
