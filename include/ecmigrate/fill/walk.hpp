#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <optional>
#include <vector>

#include "ecmigrate/store/walks.hpp"

namespace ecmigrate {

/// The order in which a table's pages are visited, as numbers alone. See docs/backfill.md for why.
///
/// The table is cut into windows of pages; each window is swept `passes` times, and each pass treats the pending rows
/// whose spread, a number from 0 to 2^32 - 1, lies between the end of the pass before and its own; the last one treats
/// whatever is left. Between two visits of a page the rest of the window goes by, so that the rows that the earlier
/// visit moved away are invisible to every transaction by then and their room is used again.

/// One past the last page of the next window: `most` pages, and fewer towards the end of the relation, so that several
/// workers end together.
std::int64_t window_end(std::int64_t first, std::int64_t pages, int workers, std::int64_t most);
/// One past the last page of a batch of at most `pages` pages.
std::int64_t batch_end(const WindowRecord& window, std::int64_t pages);
/// The window after a batch that ended before page `end`.
WindowRecord after_batch(WindowRecord window, std::int64_t end);
/// The window after a batch of so much of its page, of which last_line is known, and at least of one row.
WindowRecord after_part(WindowRecord window, double part);
/// How many line pointers of a page the batch between the two treats; 0 where it treats whole pages.
int lines_between(const WindowRecord& before, const WindowRecord& after);
double pages_between(const WindowRecord& before, const WindowRecord& after);
/// One past the greatest spread that a pass treats. Every pass treats fewer rows than the one before it: a row that
/// stays on its page grows by the new values, and so leaves less room than it found.
std::int64_t spread_end(const WindowRecord& window, int pass);
/// The window's pages times the part of its visits that is done.
double pages_walked(const WindowRecord& window);

/// Chooses how many pages a batch has, so that one takes about the target time: grows by at most half, shrinks by at
/// most half, and to a quarter at once after a batch of more than four times the target.
class BatchSizer {
 public:
  BatchSizer(double target_ms, double first, double most) : m_target_ms(target_ms), m_size(first), m_most(most) {}

  /// In pages; below 1 where a page has more rows than a batch may treat.
  [[nodiscard]] double size() const { return m_size; }
  [[nodiscard]] std::int64_t pages() const;
  void set_target(double target_ms) { m_target_ms = target_ms; }
  /// A batch of so many pages, which may be less than the size where the window or the page ended.
  void batch_took(double milliseconds, double pages);
  /// A batch of so many pages came to no end.
  void batch_failed(double pages);

 private:
  double m_target_ms;
  double m_size;
  double m_most;
};

/// A batch that takes longer is given up and tried smaller, so that nobody waits longer for its rows.
std::chrono::milliseconds longest_batch(std::chrono::milliseconds target);

/// How long a walk still takes, from its pace of the last half minute. No estimate before 2 % or 3 s.
class Eta {
 public:
  /// `part`: how much of the walk is done, 0 to 1. `now_ms`: any steady clock. Call at least once a second.
  void at(double now_ms, double part);

  struct Estimate {
    double likely_ms;
    double low_ms;   ///< at the pace of the fastest tenth of the samples
    double high_ms;  ///< at the pace of the slowest tenth
  };
  [[nodiscard]] std::optional<Estimate> estimate() const;

 private:
  struct Sample {
    double now_ms;
    double part;
  };
  std::deque<Sample> m_samples;
  double m_first_ms = -1;
};

/// The p-th percentile (0 to 1) of the values, 0 where there are none.
double percentile(std::vector<double> values, double p);

}  // namespace ecmigrate
