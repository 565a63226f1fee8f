#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <utility>

#include "ecmigrate/model/event.hpp"
#include "ecmigrate/pg/connection.hpp"

namespace ecmigrate {

/// Hands events on, and writes those that tell what happened to the database into the journal: from a thread and over a
/// connection of its own, so that neither its waits nor its errors are the migration's. What cannot be written is lost
/// and counted; the work goes on.
///
/// Kept as events: state changes, steps, failed tries at locks, walks, verifications, trials, notes, pauses, and the
/// first few differences. As time series: progress, each second at first and each five later.
class JournalRecorder final : public Observer {
 public:
  /// `run`: the journal's number of the run, 0 as long as there is none; asked from the thread that tells events. What
  /// is told before is kept for later. Connects at the first event that is written.
  JournalRecorder(Observer& next, pg::Target target, std::string migration, std::function<std::int64_t()> run);
  ~JournalRecorder() override;

  void on(const Event& event) override;
  /// Waits until all is written, at most so long, and ends the thread. Gives how many events could not be written.
  std::size_t finish(std::chrono::milliseconds longest);

 private:
  struct Item {
    std::int64_t run = 0;
    Event event;
  };

  bool worth_keeping(const Event& event);
  bool is_due(const event::Progress& progress);
  void write_all(const std::stop_token& stop);
  bool write(const Item& item, const std::stop_token& stop);

  Observer& m_next;
  pg::Target m_target;
  std::string m_migration;
  std::function<std::int64_t()> m_run;

  struct Shown {
    std::chrono::milliseconds first;
    std::chrono::milliseconds last;
    bool paused = false;
  };
  std::map<std::pair<std::string, std::string>, Shown> m_progress;  ///< by phase and relation
  int m_differences = 0;
  std::deque<Event> m_early;  ///< told before there was a run

  std::mutex m_mutex;
  std::condition_variable_any m_changed;
  std::deque<Item> m_queue;
  bool m_writing = false;
  std::size_t m_lost = 0;
  std::optional<pg::Connection> m_connection;  ///< the thread's own
  std::jthread m_thread;                       ///< last: it uses all of the above
};

}  // namespace ecmigrate
