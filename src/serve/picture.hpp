#pragma once

#include <chrono>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "ecmigrate/serve/journal_content.hpp"
#include "ecmigrate/store/read_model.hpp"
#include "ecmigrate/store/table_view.hpp"

namespace ecmigrate::serve {

/// Everything that the page shows of one migration, as it was read last.
struct MigrationPicture {
  std::optional<MigrationView> view;  ///< nothing: it is not in the journal
  std::optional<MigrationShape> shape;
  std::pair<Instant, std::string> shape_of;  ///< beginning and state that the shape was read at
  std::map<QualifiedName, TableFacts> tables;
  std::optional<Instant> tables_at;
  std::vector<std::vector<std::string>> keys;
  std::vector<std::string> sample_columns;
  std::vector<SampleRow> sample;
  std::optional<Instant> sample_at;
  std::string sample_skipped;  ///< why there are no rows, or why they are old
  bool events_read = false;
  std::deque<EventView> events;  ///< newest last
  bool older_events = false;     ///< some that are not kept here
  std::deque<ProgressView> series;
  std::optional<std::string> comparison;  ///< JSON
};

struct DatabasePicture {
  bool up = false;
  std::string target;  ///< "shop on db1 as migrator, PostgreSQL 15.20"
  std::string role;
  std::optional<Instant> down_since;
  std::string error;
  std::chrono::milliseconds retry_in{0};
  enum class Journal { none, no_right, newer, ok } journal = Journal::none;
  std::string journal_error;
};

struct Picture {
  DatabasePicture database;
  Instant now = 0;      ///< on the server's clock, when it was read
  std::string current;  ///< empty: none
  std::vector<MigrationSummary> list;
  Waiting waiting;
  std::optional<Instant> waiting_at;
  std::map<std::string, MigrationPicture> migrations;  ///< those that somebody looks at
};

/// How many of them are kept in memory for each migration.
inline constexpr std::size_t k_kept_events = 2'000;
inline constexpr std::size_t k_kept_points = 40'000;

/// Between two points of a backfill's series that are further apart nobody was at work: three times the slowest pace.
inline constexpr Instant k_gap_ms = 15'000;

}  // namespace ecmigrate::serve
