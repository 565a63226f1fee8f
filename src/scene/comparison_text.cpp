#include <fmt/format.h>

#include <cmath>
#include <functional>
#include <vector>

#include "ecmigrate/base/text.hpp"
#include "ecmigrate/scene/compare.hpp"

namespace ecmigrate::scene {

namespace {

std::string grown(std::int64_t before, std::int64_t after) {
  return fmt::format("{} to {}", format_bytes(static_cast<double>(before)), format_bytes(static_cast<double>(after)));
}

/// A line of the table of sides: "failed          0        118".
struct Line {
  const char* title;
  std::function<std::string(const Side&)> text;
};

void print_sides(std::string& out, const Side& ours, const Side* naive, const std::vector<Line>& lines) {
  const auto print = [&](const std::string& title, const std::string& left, const std::string& right) {
    out += fmt::format("{:<34}{:>24}", title, left) +
           (naive == nullptr ? std::string() : fmt::format("{:>24}", right)) + "\n";
  };
  print("", "expand-contract", "naive");
  for (const Line& line : lines) {
    print(line.title, line.text(ours), naive == nullptr ? "" : line.text(*naive));
  }
}

std::vector<Line> traffic_lines() {
  return {{"requests", [](const Side& side) { return with_thousands(side.requests); }},
          {"failed", [](const Side& side) { return with_thousands(side.failed); }},
          {"p50", [](const Side& side) { return format_milliseconds(side.p50_ms); }},
          {"p99", [](const Side& side) { return format_milliseconds(side.p99_ms); }},
          {"slowest", [](const Side& side) { return format_milliseconds(side.slowest_ms); }},
          {"longest time without an answer", [](const Side& side) { return format_milliseconds(side.longest_gap_ms); }},
          {"longest lock that stops requests",
           [](const Side& side) { return format_milliseconds(side.longest_stopping_lock_ms); }},
          {"sessions blocked", [](const Side& side) { return with_thousands(side.sessions_blocked); }}};
}

std::vector<Line> cost_lines() {
  return {{"the migration took", [](const Side& side) { return format_milliseconds(side.duration_ms); }},
          {"rows/s",
           [](const Side& side) {
             return side.rows_per_second ? with_thousands(std::llround(*side.rows_per_second)) : std::string("–");
           }},
          {"WAL", [](const Side& side) { return format_bytes(side.wal_bytes); }},
          {"table", [](const Side& side) { return grown(side.table_bytes_before, side.table_bytes_after); }},
          {"indexes", [](const Side& side) { return grown(side.index_bytes_before, side.index_bytes_after); }}};
}

void print_locks(std::string& out, const Comparison& comparison) {
  out += fmt::format("\n{:<10}{:<44}{:<24}{:>6}{:>10}{:>10}{:>9}\n", "locks", "", "", "tries", "waited", "held",
                     "blocked");
  std::vector<const Side*> sides{&comparison.expand_contract};
  if (comparison.naive) {
    sides.push_back(&*comparison.naive);
  }
  for (const Side* side : sides) {
    for (const LockTime& lock : side->locks) {
      out += fmt::format("{:<10}{:<44}{:<24}{:>6}{:>10}{:>10}{:>9}\n", lock.phase, abbreviate(lock.step, 40), lock.mode,
                         lock.tries, format_milliseconds(lock.waited_ms), format_milliseconds(lock.held_ms),
                         lock.blocked_sessions);
    }
    for (const StatementTime& statement : side->statements) {
      out += fmt::format("{:<10}  {:<92}{:>10}\n", "", statement.title, format_milliseconds(statement.ms));
    }
  }
}

void print_queue(std::string& out, const Comparison::LockQueue& queue) {
  out += fmt::format(
      "\nThe same on {} rows, where a transaction that has read the table stays open for {} each time a lock is "
      "wanted. The naive way's\n"
      "wait has everybody queue behind it; expand and contract give up within half a second, let all pass, and try "
      "again.\n\n",
      with_thousands(queue.rows), format_milliseconds(queue.reader_ms));
  std::vector<Line> lines = traffic_lines();
  lines.push_back({"tries at locks", [](const Side& side) {
                     int tries = 0;
                     for (const LockTime& lock : side.locks) {
                       tries = std::max(tries, lock.tries);
                     }
                     return fmt::format("at most {}", tries);
                   }});
  print_sides(out, queue.expand_contract, &queue.naive, lines);
}

void print_sizes(std::string& out, const std::vector<SizeRow>& sizes) {
  out += fmt::format("\n{:<14}{:>14}{:>14}{:>14}\n", "lock held", "expand", "contract", "naive");
  for (const SizeRow& size : sizes) {
    out += fmt::format("{:>14}{:>14}{:>14}{:>14}\n", with_thousands(size.rows) + " rows",
                       format_milliseconds(size.expand_held_ms), format_milliseconds(size.contract_held_ms),
                       size.naive_held_ms ? format_milliseconds(*size.naive_held_ms) : "–");
  }
}

void print_errors(std::string& out, const char* side, const std::vector<std::string>& errors) {
  for (const std::string& error : errors) {
    out += fmt::format("failed beside {}: {}\n", side, error);
  }
}

}  // namespace

std::string comparison_text(const Comparison& comparison) {
  std::string out = fmt::format("{} on {}, {} rows, PostgreSQL {}, {:g} requests/s that are given up after {}\n\n",
                                comparison.plan, comparison.table, with_thousands(comparison.rows), comparison.server,
                                comparison.requests_per_second, format_milliseconds(comparison.application_timeout_ms));
  std::vector<Line> lines = traffic_lines();
  const std::vector<Line> costs = cost_lines();
  lines.insert(lines.end(), costs.begin(), costs.end());
  print_sides(out, comparison.expand_contract, comparison.naive ? &*comparison.naive : nullptr, lines);
  print_errors(out, "expand-contract", comparison.expand_contract.errors);
  if (comparison.naive) {
    print_errors(out, "the naive way", comparison.naive->errors);
    out +=
        "\nThe naive way is the kindest there is: the old version of the application stops and the new one starts at "
        "the instant of commit.\n";
  } else {
    out += fmt::format("\nThe naive way was not measured: {}.\n", comparison.no_naive);
  }
  print_locks(out, comparison);
  if (comparison.lock_queue) {
    print_queue(out, *comparison.lock_queue);
  }
  if (comparison.sizes.size() > 1) {
    print_sizes(out, comparison.sizes);
  }
  return out;
}

}  // namespace ecmigrate::scene
