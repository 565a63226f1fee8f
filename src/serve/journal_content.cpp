#include "ecmigrate/serve/journal_content.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <condition_variable>
#include <mutex>
#include <thread>

#include "backfill_document.hpp"
#include "ecmigrate/base/error.hpp"
#include "metrics_text.hpp"
#include "poller.hpp"
#include "state_document.hpp"

namespace ecmigrate::serve {

namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

constexpr auto k_every = 1s;
/// Who looked within this time still looks: longer than a scrape's or a hidden tab's pause is not worth the questions.
constexpr auto k_looks_for = 10s;
/// How long a request waits for the first picture after nobody has looked, and /health for its word on the database.
constexpr auto k_patience = 900ms;
constexpr std::size_t k_most_watched = 10;

/// The parts of a state document that are messages of their own, so that what changes each second is small.
struct Part {
  const char* type;
  Document data;
};

}  // namespace

class JournalContent::Impl {
 public:
  Impl(pg::Target target, Hub& hub, JournalContentOptions options)
      : m_target(std::move(target)),
        m_hub(hub),
        m_options(std::move(options)),
        m_thread([this](const std::stop_token& stop) { run(stop); }) {}

  void look(const std::string& migration) {
    const std::lock_guard lock(m_mutex);
    const auto now = Clock::now();
    m_looked = now;
    if (!migration.empty() && (m_watched.contains(migration) || m_watched.size() < k_most_watched)) {
      m_watched[migration] = now;
    }
    m_wake.notify_all();
  }

  /// With the lock, on a picture that is fresh, or as fresh as can be had.
  template <typename Use>
  auto with_picture(const std::string& migration, Use use) {
    look(migration);
    std::unique_lock lock(m_mutex);
    m_seen.wait_for(lock, k_patience, [&] { return is_fresh(migration); });
    return use(migration.empty() ? m_picture.current : migration);
  }

  std::optional<std::string> state(const std::string& migration) {
    return with_picture(migration, [&](const std::string& name) -> std::optional<std::string> {
      if (!migration.empty() && !m_picture.migrations.contains(name) && m_picture.database.up) {
        return std::nullopt;
      }
      Document document = document_of(name);
      document["seq"] = m_hub.last_id();
      return dump(document);
    });
  }

  /// Of a migration that there is; an empty document where there is none at all.
  template <typename Make>
  std::optional<std::string> of_migration(const std::string& migration, const Make& make) {
    return with_picture(migration, [&](const std::string& name) -> std::optional<std::string> {
      const auto found = m_picture.migrations.find(name);
      if (found == m_picture.migrations.end()) {
        return migration.empty() ? std::optional(dump(make(MigrationPicture()))) : std::nullopt;
      }
      return dump(make(found->second));
    });
  }

  [[nodiscard]] const JournalContentOptions& options() const { return m_options; }

  std::string metrics() {
    return with_picture("", [&](const std::string&) { return metrics_text(m_picture, m_statement_times); });
  }

  Health health() {
    return with_picture("", [&](const std::string&) {
      return Health{m_picture.database.up,
                    m_polled ? std::chrono::duration<double, std::milli>(Clock::now() - *m_polled).count() : 0,
                    m_picture.database.up              ? std::string()
                    : m_picture.database.error.empty() ? "no answer yet"
                                                       : m_picture.database.error};
    });
  }

 private:
  [[nodiscard]] bool is_fresh(const std::string& migration) const {
    const bool recent = m_polled && Clock::now() - *m_polled < 3 * k_every;
    return (recent && (migration.empty() || m_polled_for.contains(migration))) ||
           (!m_picture.database.up && m_tried && Clock::now() - *m_tried < 3 * k_every);
  }

  static std::string dump(const Document& document) {
    return document.dump(-1, ' ', false, Document::error_handler_t::replace);
  }

  [[nodiscard]] Document document_of(const std::string& name) const {
    return state_document(m_picture, name, m_options, m_options.demo ? &m_demo : nullptr);
  }

  void run(const std::stop_token& stop) {
    auto poller = std::make_unique<Poller>(m_target, m_options, stop);
    auto next = Clock::now();
    while (!stop.stop_requested()) {
      std::set<std::string> wanted;
      {
        std::unique_lock lock(m_mutex);
        const auto looks = [&] { return m_looked && Clock::now() - *m_looked < k_looks_for; };
        if (!looks()) {
          m_wake.wait(lock, stop, looks);
          if (stop.stop_requested()) {
            return;
          }
          // Nobody knows what happened meanwhile: everything is read anew.
          poller = std::make_unique<Poller>(m_target, m_options, stop);
          m_picture.migrations.clear();
          m_picture.database.journal = DatabasePicture::Journal::none;
          next = Clock::now();
        }
        m_wake.wait_until(lock, stop, next, [] { return false; });
        std::erase_if(m_watched, [](const auto& entry) { return Clock::now() - entry.second > k_looks_for; });
        for (const auto& [name, at] : m_watched) {
          wanted.insert(name);
        }
      }
      next = std::max(Clock::now(), next + k_every);
      poll(*poller, wanted);
      if (m_failures > 0) {
        next = Clock::now() + std::min<Clock::duration>(8s, 1s * (1 << std::min(m_failures - 1, 3)));
      }
    }
  }

  void poll(Poller& poller, const std::set<std::string>& wanted) {
    Picture picture;
    {
      const std::lock_guard lock(m_mutex);
      picture = m_picture;
    }
    std::string error;
    try {
      poller.look(picture, wanted);
    } catch (const std::exception& failure) {
      error = failure.what();
    }
    std::optional<DemoPart> demo;
    if (m_options.demo) {
      demo = m_options.demo();
    }
    const std::lock_guard lock(m_mutex);
    m_tried = Clock::now();
    for (const double time : poller.take_statement_times()) {
      m_statement_times.observe(time / 1000);
    }
    if (error.empty()) {
      m_failures = 0;
      picture.database.up = true;
      picture.database.error.clear();
      picture.database.down_since.reset();
      m_polled = m_tried;
      m_polled_for = wanted;
    } else {
      ++m_failures;
      const std::chrono::milliseconds wait(1'000 * (1 << std::min(m_failures - 1, 3)));
      const auto now =
          std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::system_clock::now().time_since_epoch())
              .count();
      picture.database.down_since = picture.database.up || !picture.database.down_since ? std::optional<Instant>(now)
                                                                                        : picture.database.down_since;
      picture.database.up = false;
      picture.database.error = error;
      picture.database.retry_in = std::min<std::chrono::milliseconds>(wait, 8s);
    }
    m_picture = std::move(picture);
    if (demo) {
      m_demo = *demo;
    }
    publish();
    m_seen.notify_all();
  }

  /// Tells the streams what is not as it was.
  void publish() {
    std::set<std::string> names;
    for (const auto& [name, migration] : m_picture.migrations) {
      names.insert(name);
    }
    if (names.empty()) {
      names.insert("");
    }
    if (m_told_current && *m_told_current != m_picture.current) {
      tell_all_anew();
    }
    m_told_current = m_picture.current;
    for (const std::string& name : names) {
      publish_migration(name);
    }
    std::erase_if(m_told, [&](const auto& entry) { return !names.contains(entry.first); });
  }

  /// For those who follow the current migration, which is another one now: everything, as at the beginning of a stream.
  void tell_all_anew() {
    const auto found = m_picture.migrations.find(m_picture.current);
    const MigrationPicture migration = found == m_picture.migrations.end() ? MigrationPicture() : found->second;
    constexpr int k_points = 720;
    constexpr int k_events = 50;
    // A migration's name that no stream can have asked for: only those that asked for none get it.
    m_hub.publish({"snapshot", "\n", true,
                   dump({{"state", document_of(m_picture.current)},
                         {"series", series_document(migration, k_points)},
                         {"events", events_document(migration, 0, k_events, m_options)},
                         {"locks", locks_document(migration)}})});
    m_told.erase(m_picture.current);
  }

  void publish_migration(const std::string& name) {
    const bool current = name == m_picture.current;
    Told& told = m_told[name];
    const auto tell = [&](const std::string& type, const std::string& data) {
      m_hub.publish({type, name, current, data});
    };
    for (const Part& part : parts_of(document_of(name))) {
      const std::string fingerprint = dump(without_moments(part));
      if (told.parts[part.type] != fingerprint) {
        const bool first = told.parts[part.type].empty();
        told.parts[part.type] = fingerprint;
        if (!first) {
          tell(part.type, dump(part.data));
        }
      }
    }
    const auto found = m_picture.migrations.find(name);
    if (found == m_picture.migrations.end()) {
      return;
    }
    const MigrationPicture& migration = found->second;
    for (const EventView& event : migration.events) {
      if (event.id > told.event) {
        if (told.any) {
          tell("event", dump(event_document(event, m_options)));
        }
        told.event = event.id;
      }
    }
    if (!migration.series.empty() && migration.series.back().at > told.point) {
      told.point = migration.series.back().at;
      if (told.any) {
        tell("series", dump(series_point(migration.series.back())));
      }
    }
    if (std::string locks = dump(locks_document(migration)); locks != told.locks) {
      told.locks = locks;
      if (told.any) {
        tell("lock", locks);
      }
    }
    told.any = true;
  }

  /// The moment of looking is in most parts, and is no news by itself; but that nobody waits is said again now and
  /// then, as the page shows how old the word is.
  [[nodiscard]] Document without_moments(const Part& part) const {
    constexpr Instant k_again_ms = 4'000;
    Document compared = part.data;
    if (std::string_view(part.type) == "blockers") {
      compared["at"] = m_picture.now / k_again_ms;
    } else if (std::string_view(part.type) == "state") {
      compared.erase("at");
      compared["database"].erase("seen_at");
    }
    return compared;
  }

  static std::vector<Part> parts_of(Document document) {
    std::vector<Part> parts;
    Document progress{{"answers", document["answers"]}, {"announce", document["announce"]}};
    if (!document["migration"].is_null()) {
      Document& migration = document["migration"];
      for (const char* name : {"backfill", "pauses", "phases"}) {
        progress[name] = migration[name];
      }
      parts.push_back({"columns", migration["columns"]});
      parts.push_back({"sample", migration["sample"]});
      for (const char* name : {"backfill", "pauses", "columns", "sample"}) {
        migration.erase(name);
      }
    }
    parts.push_back({"progress", std::move(progress)});
    parts.push_back({"blockers", document["blockers"]});
    // What has a message of its own is no news of the rest.
    document.erase("blockers");
    if (document["demo"].is_object()) {
      document["demo"].erase("traffic");
    }
    parts.push_back({"state", std::move(document)});
    return parts;
  }

  struct Told {
    std::map<std::string, std::string> parts;
    std::string locks;
    std::int64_t event = 0;
    Instant point = 0;
    bool any = false;
  };

  pg::Target m_target;
  Hub& m_hub;
  JournalContentOptions m_options;
  std::mutex m_mutex;
  std::condition_variable_any m_wake;  ///< somebody looks
  std::condition_variable m_seen;      ///< the picture is new
  std::optional<Clock::time_point> m_looked;
  std::map<std::string, Clock::time_point> m_watched;
  Picture m_picture;
  DemoPart m_demo;
  Histogram m_statement_times;
  std::optional<Clock::time_point> m_polled;
  std::optional<Clock::time_point> m_tried;
  std::set<std::string> m_polled_for;
  std::map<std::string, Told> m_told;
  std::optional<std::string> m_told_current;
  int m_failures = 0;
  std::jthread m_thread;  ///< last: it uses all of the above
};

JournalContent::JournalContent(pg::Target target, Hub& hub, JournalContentOptions options)
    : m_impl(std::make_unique<Impl>(std::move(target), hub, std::move(options))) {}

JournalContent::~JournalContent() = default;

std::optional<std::string> JournalContent::state(const std::string& migration) {
  return m_impl->state(migration);
}

std::optional<std::string> JournalContent::series(const std::string& migration, int points) {
  return m_impl->of_migration(migration,
                              [&](const MigrationPicture& picture) { return series_document(picture, points); });
}

std::optional<std::string> JournalContent::events(const std::string& migration, std::int64_t before, int limit) {
  return m_impl->of_migration(migration, [&](const MigrationPicture& picture) {
    return events_document(picture, before, limit, m_impl->options());
  });
}

std::optional<std::string> JournalContent::locks(const std::string& migration) {
  return m_impl->of_migration(migration, [](const MigrationPicture& picture) { return locks_document(picture); });
}

std::string JournalContent::metrics() {
  return m_impl->metrics();
}

Health JournalContent::health() {
  return m_impl->health();
}

void JournalContent::look(const std::string& migration) {
  m_impl->look(migration);
}

}  // namespace ecmigrate::serve
