#include "ecmigrate/fill/walk_progress.hpp"

#include <algorithm>
#include <cmath>

namespace ecmigrate {

namespace {

/// Enough for the percentiles; 32 kB.
constexpr std::size_t k_remembered_batches = 4096;

/// Rows that the walk will have written, so that they and the percentage tell the same: as many on the pages to come as
/// on those before, and no more than the table has, where that is known. 0: not known.
std::int64_t estimated_rows(std::int64_t rows, double part_done, std::int64_t rows_of_table) {
  constexpr double k_enough = 0.05;
  const std::int64_t most = rows_of_table > rows ? rows_of_table : 0;
  if (part_done < k_enough) {
    return most;
  }
  const std::int64_t likely = std::llround(static_cast<double>(rows) / std::min(1.0, part_done));
  return most > 0 ? std::min(likely, most) : likely;
}

}  // namespace

void WalkProgress::begin(std::chrono::milliseconds now, const Written& written, bool again) {
  m_written = written;
  if (m_begin.count() == 0) {
    m_begin = now;
    m_before = written;
    m_untold = again ? written : Written();
  }
}

void WalkProgress::batch_done(const Written& batch, double took_ms) {
  m_written += batch;
  m_batch_rows = batch.rows;
  if (m_batch_ms.size() == k_remembered_batches) {
    m_batch_ms.erase(m_batch_ms.begin(), m_batch_ms.begin() + k_remembered_batches / 2);
  }
  m_batch_ms.push_back(took_ms);
}

event::Progress WalkProgress::progress(std::chrono::milliseconds now, double part_done, bool finished,
                                       std::int64_t rows_estimated) {
  m_eta.at(static_cast<double>(now.count()), part_done);
  const double seconds = std::max(0.001, static_cast<double>((now - m_begin).count()) / 1000);
  event::Progress progress;
  progress.phase = "backfill";
  // Windows that are opened again begin at their first page; the percent that was shown does not fall.
  m_percent = finished ? 100 : std::max(m_percent, std::min(99.9, 100 * part_done));
  progress.percent = m_percent;
  const Written told = m_written - m_untold;
  progress.rows = told.rows;
  progress.rows_estimated = estimated_rows(told.rows, part_done, rows_estimated);
  progress.rows_per_second = static_cast<double>(m_written.rows - m_before.rows) / seconds;
  if (const auto eta = finished ? std::nullopt : m_eta.estimate()) {
    progress.eta_ms = eta->likely_ms;
    progress.eta_low_ms = eta->low_ms;
    progress.eta_high_ms = eta->high_ms;
  }
  progress.batch_rows = m_batch_rows;
  progress.batch_ms = m_batch_ms.empty() ? 0 : m_batch_ms.back();
  progress.batch_p50_ms = percentile(m_batch_ms, 0.5);
  progress.batch_p99_ms = percentile(m_batch_ms, 0.99);
  progress.hot_percent = 100 * told.hot_share();
  progress.wal_bytes_per_second = (m_written.wal_bytes - m_before.wal_bytes) / seconds;
  progress.slow_because = m_slow_because;
  return progress;
}

event::WalkFinished WalkProgress::summary(std::chrono::milliseconds now) const {
  const Written now_written = m_written - m_before;
  event::WalkFinished finished;
  finished.phase = "backfill";
  finished.rows = m_written.rows - m_untold.rows;
  finished.rows_before = m_before.rows - m_untold.rows;
  finished.batches = now_written.batches;
  finished.duration_ms = static_cast<double>((now - m_begin).count());
  finished.batch_p50_ms = percentile(m_batch_ms, 0.5);
  finished.batch_p99_ms = percentile(m_batch_ms, 0.99);
  finished.hot_percent = 100 * now_written.hot_share();
  finished.wal_bytes = now_written.wal_bytes;
  finished.already_done = m_batch_ms.empty();
  return finished;
}

}  // namespace ecmigrate
