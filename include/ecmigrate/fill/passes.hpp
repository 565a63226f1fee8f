#pragma once

#include <cstdint>
#include <string>

namespace ecmigrate {

/// What a sample of a window's pages says about how its rows can be rewritten in place.
struct PageSample {
  std::int64_t pages = 0;
  std::int64_t rows = 0;
  double row_bytes = 0;   ///< of all rows together, each rounded up to the server's alignment of 8
  double page_bytes = 0;  ///< the server's block_size
  int indexes = 0;        ///< of the relation
};

/// How often a window is swept, and why.
struct Passes {
  int count = 1;
  double shrink = 1;    ///< rows of a pass for one of the pass before
  std::string because;  ///< for people: "the pages are full"
};

/// `growth`: bytes that a filled row has more, for one that it had. `obstacle`: what keeps rows from being rewritten in
/// place at all, or nothing.
///
/// The room on a page, as a share of its rows, is what a pass may treat without moving any; each row that stays takes
/// its growth out of it, so the next pass may treat 1 - growth of that. Where the pages are full, the first pass moves
/// its rows away to make the room; see docs/benchmarks.md for how the constants of that case were measured.
Passes choose_passes(const PageSample& sample, double growth, const std::string& obstacle);

}  // namespace ecmigrate
