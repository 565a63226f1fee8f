#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace ecmigrate::serve {

struct Health {
  bool database_up = false;
  double age_ms = 0;  ///< of what is shown
  std::string error;
};

/// What the page and the API show. Called from many threads; answers from memory, never asks the database.
class Content {
 public:
  virtual ~Content() = default;
  /// JSON documents. An empty `migration` is the current one; nothing: there is no migration of that name.
  virtual std::optional<std::string> state(const std::string& migration) = 0;
  virtual std::optional<std::string> series(const std::string& migration, int points) = 0;
  /// Those before the event of that id, newest first; before 0: the newest.
  virtual std::optional<std::string> events(const std::string& migration, std::int64_t before, int limit) = 0;
  virtual std::optional<std::string> locks(const std::string& migration) = 0;
  /// Prometheus text of the migrations; the server adds its own.
  virtual std::string metrics() = 0;
  virtual Health health() = 0;
  /// Somebody looks at this migration, by a request or an open stream: the poller asks the database only while somebody
  /// does.
  virtual void look(const std::string& migration) = 0;
};

/// What a visitor of the demo can press.
class Controls {
 public:
  virtual ~Controls() = default;
  struct Answer {
    int status = 200;
    std::string body;  ///< JSON
  };
  /// POST /api/demo/NAME. Called from many threads; returns at once, whatever it sets going.
  virtual Answer post(const std::string& name, const std::string& body) = 0;
};

}  // namespace ecmigrate::serve
