#include "poller.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>

#include "ecmigrate/base/error.hpp"
#include "ecmigrate/model/fixed_settings.hpp"
#include "ecmigrate/pg/sqlstate.hpp"
#include "ecmigrate/store/journal.hpp"

namespace ecmigrate::serve {

namespace {

// Read only and autocommit: no snapshot outlives a statement, or it would keep the backfill's dead rows. The page gives
// way to everybody: a table that is locked is not waited for.
constexpr std::string_view k_settings =
    "set default_transaction_read_only = on; set statement_timeout = '1s'; set lock_timeout = '50ms'; "
    "set idle_in_transaction_session_timeout = '5s'; set timezone = 'UTC'";

/// More than the server's own limit on a statement.
constexpr std::chrono::milliseconds k_patience{3'000};

constexpr int k_sample_rows = 5;
constexpr int k_first_events = 200;

/// Names of the sampled table's columns that the migration is about, as they are now.
std::vector<std::string> shown_columns(const MigrationPicture& migration) {
  std::vector<std::string> names;
  const auto facts = migration.tables.find(*migration.shape->sampled);
  if (facts == migration.tables.end()) {
    return names;
  }
  for (const ColumnView& column : migration.shape->columns) {
    if (column.side == ColumnView::Side::kept || column.relation != *migration.shape->sampled) {
      continue;
    }
    for (const auto& [number, now] : facts->second.columns) {
      if (column.oid == 0 ? now.name == column.name : number == column.number) {
        names.push_back(now.name);
      }
    }
  }
  return names;
}

/// A run's progress has its mean rate since it began; a point of the series the one since the point before.
void append_point(std::deque<ProgressView>& series, ProgressView point) {
  if (!series.empty()) {
    const ProgressView& before = series.back();
    if (before.at >= point.at) {
      return;
    }
    const bool follows = before.progress.relation == point.progress.relation &&
                         before.progress.rows <= point.progress.rows && point.at - before.at < k_gap_ms;
    if (follows) {
      point.progress.rows_per_second = 1000.0 * static_cast<double>(point.progress.rows - before.progress.rows) /
                                       static_cast<double>(point.at - before.at);
    }
  }
  series.push_back(std::move(point));
  if (series.size() > k_kept_points) {
    series.pop_front();
  }
}

/// Whether both shapes are there, so that they can be compared.
bool both_shapes(const MigrationPicture& migration) {
  return migration.view && migration.view->state >= State::expanded && migration.view->state < State::contracting;
}

}  // namespace

template <typename Read>
auto Poller::timed(Read read) {
  const auto begin = std::chrono::steady_clock::now();
  const auto took = [&] {
    m_times.push_back(std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - begin).count());
  };
  try {
    auto found = read();
    took();
    return found;
  } catch (...) {
    took();
    throw;
  }
}

std::vector<double> Poller::take_statement_times() {
  return std::exchange(m_times, {});
}

void Poller::look(Picture& picture, const std::set<std::string>& wanted) {
  bool journal_read = false;
  try {
    if (!m_connection) {
      connect(picture);
    }
    read_journal(picture, wanted);
    journal_read = true;
    picture.waiting = timed([&] { return read_waiting(*m_connection); });
    picture.waiting_at = picture.now;
    read_in_turn(picture);
  } catch (const pg::SqlError& error) {
    if (error.connection_lost()) {
      m_connection.reset();
      throw;
    }
    if (!journal_read) {
      m_format = 0;  // the journal may have been dropped, or made anew
      throw;         // nothing is known of now: what is shown is old
    }
  }
}

void Poller::connect(Picture& picture) {
  auto connection = std::make_unique<pg::Connection>(m_target);
  connection->give_up(k_patience, m_stop);
  connection->script(own_settings() + "; " + std::string(k_settings));
  picture.database.target = connection->description();
  picture.database.role = connection->query("select current_user").text(0, 0);
  m_connection = std::move(connection);
  m_format = 0;
}

void Poller::read_journal(Picture& picture, const std::set<std::string>& wanted) {
  using Status = DatabasePicture::Journal;
  const bool known = picture.database.journal == Status::ok && m_format > 0;
  if (!known) {
    m_format = 0;
    picture.database.journal_error.clear();
    try {
      Journal journal(*m_connection);
      if (timed([&] { return journal.installed(); })) {
        m_format = journal.format();
        m_last_event = ReadModel(*m_connection, m_format).last_event();
      }
      picture.database.journal = m_format > 0 ? Status::ok : Status::none;
    } catch (const pg::SqlError& error) {
      if (error.sqlstate() != pg::sqlstate::k_insufficient_privilege) {
        throw;
      }
      picture.database.journal = Status::no_right;
    } catch (const Error& error) {
      picture.database.journal = Status::newer;
      picture.database.journal_error = error.what();
    }
  }
  if (m_format == 0) {
    picture.now = m_connection->query("select (extract(epoch from clock_timestamp()) * 1000)::bigint").integer(0, 0);
    picture.current.clear();
    picture.list.clear();
    std::erase_if(picture.migrations,
                  [&](const auto& entry) { return !m_options.planned || entry.first != m_options.planned->name; });
  } else {
    std::vector<std::string> names(wanted.begin(), wanted.end());
    if (!picture.current.empty() && !wanted.contains(picture.current)) {
      names.push_back(picture.current);
    }
    ReadModel model(*m_connection, m_format);
    JournalView view;
    try {
      view = timed([&] { return model.look(names, m_last_event); });
      if (!view.current.empty() && std::ranges::find(names, view.current) == names.end()) {
        names.push_back(view.current);
        view = timed([&] { return model.look(names, m_last_event); });
      }
    } catch (const pg::SqlError& error) {
      if (error.sqlstate() != pg::sqlstate::k_insufficient_privilege) {
        throw;
      }
      picture.database.journal = Status::no_right;
      m_format = 0;
      return;
    }
    picture.now = view.now;
    picture.current = view.current;
    for (auto& [name, migration] : picture.migrations) {
      migration.view.reset();
    }
    for (MigrationView& migration : view.migrations) {
      picture.migrations[migration.name].view = std::move(migration);
    }
    for (auto& [name, event] : view.events) {
      m_last_event = std::max(m_last_event, event.id);
      MigrationPicture& migration = picture.migrations[name];
      if (migration.events_read) {
        migration.events.push_back(std::move(event));
        if (migration.events.size() > k_kept_events) {
          migration.events.pop_front();
          migration.older_events = true;
        }
      }
    }
    std::erase_if(picture.migrations, [](const auto& entry) { return !entry.second.view; });
  }
  if (m_options.planned) {
    if (picture.current.empty()) {
      picture.current = m_options.planned->name;
    }
    MigrationPicture& planned = picture.migrations[m_options.planned->name];
    if (!planned.view) {
      planned.shape = m_options.planned->shape;
    }
  }
  for (auto& [name, migration] : picture.migrations) {
    if (!migration.view) {
      continue;
    }
    if (migration.shape_of != std::pair(migration.view->started_at, migration.view->state_text)) {
      read_shape(migration);
    }
    if (!migration.events_read) {
      read_first_events(migration);
    }
    for (const ProgressView& progress : migration.view->progress) {
      if (progress.progress.phase == "backfill") {
        append_point(migration.series, progress);
      }
    }
  }
}

void Poller::read_shape(MigrationPicture& migration) {
  const bool another = migration.shape_of.first != migration.view->started_at;
  migration.shape = timed([&] { return ReadModel(*m_connection, m_format).shape(migration.view->name); });
  migration.tables_at.reset();  // columns came or went
  if (another) {
    migration.keys.clear();
    migration.sample.clear();
    migration.series.clear();
    for (ProgressView& point :
         timed([&] { return ReadModel(*m_connection, m_format).series(migration.view->name, k_kept_points); })) {
      append_point(migration.series, std::move(point));
    }
  }
  migration.shape_of = {migration.view->started_at, migration.view->state_text};  // last: what failed is read again
}

void Poller::read_first_events(MigrationPicture& migration) {
  std::vector<EventView> newest =
      timed([&] { return ReadModel(*m_connection, m_format).events(migration.view->name, 0, k_first_events + 1); });
  migration.older_events = newest.size() > k_first_events;
  if (migration.older_events) {
    newest.pop_back();
  }
  migration.events.assign(newest.rbegin(), newest.rend());
  migration.events_read = true;
}

void Poller::read_in_turn(Picture& picture) {
  // One of these a second: the list, then of each migration its tables, its rows, its comparison.
  const std::size_t jobs = 1 + 3 * picture.migrations.size();
  // What is not known at all comes first.
  for (auto& [name, migration] : picture.migrations) {
    if (migration.shape && !migration.tables_at) {
      migration.tables = timed([&] { return read_tables(*m_connection, *migration.shape); });
      migration.tables_at = picture.now;
      return;
    }
    if (m_options.show_sample && migration.shape && migration.shape->sampled && !migration.sample_at &&
        migration.sample_skipped.empty()) {
      read_rows(picture, migration);
      return;
    }
  }
  const std::size_t job = m_turn++ % jobs;
  if (job == 0) {
    if (m_format > 0) {
      picture.list = timed([&] { return ReadModel(*m_connection, m_format).list(); });
    }
    return;
  }
  MigrationPicture& migration =
      std::next(picture.migrations.begin(), static_cast<std::ptrdiff_t>((job - 1) / 3))->second;
  switch ((job - 1) % 3) {
    case 0:
      if (migration.shape) {
        migration.tables = timed([&] { return read_tables(*m_connection, *migration.shape); });
        migration.tables_at = picture.now;
      }
      break;
    case 1:
      if (m_options.show_sample && migration.shape && migration.shape->sampled) {
        read_rows(picture, migration);
      }
      break;
    default:
      if (m_format > 0 && migration.view) {
        migration.comparison =
            timed([&] { return ReadModel(*m_connection, m_format).comparison(migration.view->name); });
      }
      break;
  }
}

void Poller::read_rows(Picture& picture, MigrationPicture& migration) {
  const MigrationShape& shape = *migration.shape;
  const auto facts = migration.tables.find(*shape.sampled);
  if (shape.key.empty()) {
    migration.sample_skipped = fmt::format("not read: {} has no primary key", shape.sampled->display());
    return;
  }
  if (facts == migration.tables.end()) {
    return;
  }
  if (std::ranges::find(picture.waiting.locked_tables, facts->second.oid) != picture.waiting.locked_tables.end()) {
    migration.sample_skipped = fmt::format("not read, {} is locked", shape.sampled->display());
    return;
  }
  try {
    if (migration.keys.empty()) {
      migration.keys = timed([&] { return pick_keys(*m_connection, shape, k_sample_rows); });
    }
    migration.sample_columns = shown_columns(migration);
    migration.sample = timed([&] {
      return read_sample(*m_connection, shape, migration.keys, migration.sample_columns, both_shapes(migration));
    });
    migration.sample_at = picture.now;
    migration.sample_skipped.clear();
    if (migration.sample.size() < migration.keys.size()) {
      migration.keys.clear();  // rows have gone: others are picked
    }
  } catch (const pg::SqlError& error) {
    if (error.connection_lost()) {
      throw;
    }
    // A column has gone since its name was read, or a lock came: the next turn tells.
    migration.sample_skipped =
        error.sqlstate() == pg::sqlstate::k_insufficient_privilege
            ? fmt::format("not read: {} may not read {}", picture.database.role, shape.sampled->display())
            : "not read: " + std::string(error.what());
  }
}

}  // namespace ecmigrate::serve
