#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include "ecmigrate/fill/walk.hpp"
#include "ecmigrate/model/event.hpp"
#include "ecmigrate/store/walks.hpp"

namespace ecmigrate {

/// What is told of a walk while it goes on and at its end. Times are of one clock.
class WalkProgress {
 public:
  /// `written`: by all runs so far. Also when the walk is read from the journal again; the run's own part of the
  /// figures counts from the first time. `again`: a second look at a finished table, of which only that is told.
  void begin(std::chrono::milliseconds now, const Written& written, bool again);
  void batch_done(const Written& batch, double took_ms);
  /// Why it is slow, from the side of the workers; empty when it is not.
  void slow(const std::string& because) { m_slow_because = because; }
  /// Whether this run wrote rows.
  [[nodiscard]] bool wrote() const { return m_written.rows != m_before.rows; }

  /// `part_done`: by page position, 0 to 1. The percent never falls, and is 100 only when the walk is finished. Fills
  /// what it knows: relation, workers and the pace are the caller's.
  event::Progress progress(std::chrono::milliseconds now, double part_done, bool finished, std::int64_t rows_estimated);
  /// Relation and rows that were set aside are the caller's.
  [[nodiscard]] event::WalkFinished summary(std::chrono::milliseconds now) const;

 private:
  Eta m_eta;
  Written m_written;
  Written m_before;  ///< when this run began
  Written m_untold;  ///< of an earlier life of the walk
  std::chrono::milliseconds m_begin{0};
  std::vector<double> m_batch_ms;
  std::int64_t m_batch_rows = 0;
  double m_percent = 0;
  std::string m_slow_because;
};

}  // namespace ecmigrate
