#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace ecmigrate::serve {

/// Something new for the page.
struct Message {
  std::string type;
  std::string migration;  ///< empty: of no migration in particular, for every stream
  bool current = false;   ///< the migration that a stream gets which named none
  std::string data;       ///< JSON, one line
};

/// The last 1,000 messages, each with an id and written once, whoever many streams send it. Safe from any thread.
class Hub {
 public:
  static constexpr std::size_t k_kept = 1'000;

  Hub();

  void publish(const Message& message);
  /// The id of the newest message, "k3f9-1841": what the documents call `seq`. The first part is this process's own, so
  /// that an id of an earlier one is never taken for ours.
  [[nodiscard]] std::string last_id() const;
  [[nodiscard]] std::string id(std::uint64_t number) const;
  [[nodiscard]] std::uint64_t last() const;
  /// The number of an id, if every message after it is still here.
  [[nodiscard]] std::optional<std::uint64_t> resume_after(std::string_view id) const;

  struct News {
    std::vector<std::shared_ptr<const std::string>> events;  ///< as server-sent events
    std::uint64_t last = 0;                                  ///< the newest that was looked at
    bool missed = false;                                     ///< some are gone already: begin anew
    bool ended = false;
  };
  /// What came after the message of that number for a stream of that migration (empty: the current one); waits so long
  /// for the first.
  News wait(std::uint64_t after, const std::string& migration, std::chrono::milliseconds longest);

  /// Wakes every stream for the last time.
  void end();

 private:
  struct Kept {
    std::string migration;
    bool current;
    std::shared_ptr<const std::string> event;
  };

  /// The number of the oldest message that is kept.
  [[nodiscard]] std::uint64_t oldest() const { return m_last + 1 - m_kept.size(); }

  const std::string m_boot;
  mutable std::mutex m_mutex;
  std::condition_variable m_news;
  std::deque<Kept> m_kept;
  std::uint64_t m_last = 0;
  bool m_ended = false;
};

/// A server-sent event; without an id the client keeps the last one.
std::string server_sent_event(std::string_view type, std::string_view id, std::string_view data);

}  // namespace ecmigrate::serve
