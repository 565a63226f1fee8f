#pragma once

#include <memory>
#include <set>
#include <stop_token>
#include <string>

#include "ecmigrate/pg/connection.hpp"
#include "picture.hpp"

namespace ecmigrate::serve {

/// Reads what the page shows. Owned by one thread.
class Poller {
 public:
  Poller(pg::Target target, const JournalContentOptions& options, std::stop_token stop)
      : m_target(std::move(target)), m_options(options), m_stop(std::move(stop)) {}

  /// Brings the picture up to date for these migrations and the current one: the journal and who waits each time, the
  /// rest in turns, in three statements at most (some more at the first look at a migration). Throws
  /// Error{cannot_connect}, and SqlError when the journal cannot be read or the server does not answer; the next call
  /// connects again. A stop ends it.
  void look(Picture& picture, const std::set<std::string>& wanted);
  /// Milliseconds that each statement since the last call of this took.
  std::vector<double> take_statement_times();

 private:
  void connect(Picture& picture);
  void read_journal(Picture& picture, const std::set<std::string>& wanted);
  void read_in_turn(Picture& picture);
  void read_shape(MigrationPicture& migration);
  void read_first_events(MigrationPicture& migration);
  void read_rows(Picture& picture, MigrationPicture& migration);
  template <typename Read>
  auto timed(Read read);

  pg::Target m_target;
  const JournalContentOptions& m_options;
  std::stop_token m_stop;
  std::unique_ptr<pg::Connection> m_connection;
  int m_format = 0;
  std::int64_t m_last_event = 0;
  std::size_t m_turn = 0;
  std::vector<double> m_times;
};

}  // namespace ecmigrate::serve
