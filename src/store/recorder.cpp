#include "ecmigrate/store/recorder.hpp"

#include "ecmigrate/base/clock.hpp"
#include "ecmigrate/base/error.hpp"
#include "ecmigrate/model/fixed_settings.hpp"
#include "ecmigrate/store/journal.hpp"

namespace ecmigrate {

namespace {

/// A point of the time series: often while it is new, so that a short backfill has a curve, then seldom, so that a day
/// of it is some 17,000 rows.
constexpr std::chrono::milliseconds k_often{1'000};
constexpr std::chrono::milliseconds k_often_for{60'000};
constexpr std::chrono::milliseconds k_seldom{5'000};

constexpr int k_most_differences = 20;
constexpr std::size_t k_most_early = 200;
/// Of events that wait to be written; some minutes of a broken connection.
constexpr std::size_t k_most_queued = 2'000;
constexpr std::chrono::milliseconds k_connect_pause{1'000};
/// More than the server's own limit on a statement: who is silent for longer is gone.
constexpr std::chrono::milliseconds k_patience{8'000};

// Neither a lock on the journal's tables nor a synchronous replica that is gone may hold the recorder up for long.
constexpr std::string_view k_settings =
    "set synchronous_commit = off; set statement_timeout = '5s'; set lock_timeout = '2s'";

}  // namespace

JournalRecorder::JournalRecorder(Observer& next, pg::Target target, std::string migration,
                                 std::function<std::int64_t()> run)
    : m_next(next),
      m_target(std::move(target)),
      m_migration(std::move(migration)),
      m_run(std::move(run)),
      m_thread([this](const std::stop_token& stop) { write_all(stop); }) {}

JournalRecorder::~JournalRecorder() {
  finish(std::chrono::milliseconds(0));
}

void JournalRecorder::on(const Event& event) {
  m_next.on(event);
  try {
    if (!worth_keeping(event)) {
      return;
    }
    const std::int64_t run = m_run();
    if (run == 0) {
      if (m_early.size() < k_most_early) {
        m_early.push_back(event);
      }
      return;
    }
    const std::lock_guard lock(m_mutex);
    for (; !m_early.empty(); m_early.pop_front()) {
      m_queue.push_back({run, std::move(m_early.front())});
    }
    if (m_queue.size() < k_most_queued) {
      m_queue.push_back({run, event});
    } else {
      ++m_lost;
    }
    m_changed.notify_all();
  } catch (...) {
    // Only memory can run out here; a line less in the journal is better than a migration that stops half-way.
  }
}

bool JournalRecorder::worth_keeping(const Event& event) {
  if (const auto* progress = std::get_if<event::Progress>(&event)) {
    return is_due(*progress);
  }
  if (std::holds_alternative<event::Difference>(event)) {
    return ++m_differences <= k_most_differences;
  }
  if (const auto* step = std::get_if<event::StepFinished>(&event)) {
    return !step->already_done;
  }
  return std::holds_alternative<event::StateChanged>(event) || std::holds_alternative<event::LockTryFailed>(event) ||
         std::holds_alternative<event::WalkFinished>(event) || std::holds_alternative<event::VerifyFinished>(event) ||
         std::holds_alternative<event::TrialFinished>(event) || std::holds_alternative<event::OldUse>(event) ||
         std::holds_alternative<event::Note>(event) || std::holds_alternative<event::Paused>(event) ||
         std::holds_alternative<event::Resumed>(event);
}

bool JournalRecorder::is_due(const event::Progress& progress) {
  const auto now = system_clock().now();
  const bool paused = !progress.reasons.empty();
  const auto [at, is_new] = m_progress.try_emplace({progress.phase, progress.relation}, Shown{now, now, paused});
  Shown& shown = at->second;
  const auto every = now - shown.first < k_often_for ? k_often : k_seldom;
  if (!is_new && progress.percent < 100 && paused == shown.paused && now - shown.last < every) {
    return false;
  }
  shown.last = now;
  shown.paused = paused;
  return true;
}

void JournalRecorder::write_all(const std::stop_token& stop) {
  std::unique_lock lock(m_mutex);
  for (;;) {
    m_changed.wait(lock, stop, [this] { return !m_queue.empty(); });
    if (stop.stop_requested()) {
      return;
    }
    const Item item = m_queue.front();
    m_writing = true;
    lock.unlock();
    const bool written = write(item, stop);
    lock.lock();
    m_writing = false;
    if (written) {
      m_queue.pop_front();
      m_changed.notify_all();
    } else {
      m_changed.wait_for(lock, stop, k_connect_pause, [] { return false; });
    }
  }
}

/// False: there is no connection, try again.
bool JournalRecorder::write(const Item& item, const std::stop_token& stop) {
  try {
    if (!m_connection) {
      m_connection.emplace(m_target);
      m_connection->give_up(k_patience, stop);
      m_connection->script(own_settings() + "; " + std::string(k_settings));
    }
    Journal journal(*m_connection);
    if (const auto* progress = std::get_if<event::Progress>(&item.event)) {
      journal.record_progress(m_migration, item.run, *progress);
    } else {
      journal.record_event(m_migration, item.run, item.event);
    }
    return true;
  } catch (const pg::SqlError& error) {
    if (error.connection_lost()) {
      m_connection.reset();
      return false;
    }
  } catch (const Error&) {
    return false;
  } catch (const pg::Stopped&) {
    m_connection.reset();
    return false;
  }
  // The server will not have this one; the next may fare better.
  const std::lock_guard lock(m_mutex);
  ++m_lost;
  return true;
}

std::size_t JournalRecorder::finish(std::chrono::milliseconds longest) {
  std::unique_lock lock(m_mutex);
  m_changed.wait_for(lock, longest, [this] { return m_queue.empty() && !m_writing; });
  lock.unlock();
  m_thread.request_stop();
  if (m_thread.joinable()) {
    m_thread.join();
  }
  const std::size_t lost = m_lost + m_queue.size();
  m_queue.clear();
  m_lost = 0;
  return lost;
}

}  // namespace ecmigrate
