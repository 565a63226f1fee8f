#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <set>
#include <stop_token>
#include <string>
#include <vector>

#include "ecmigrate/model/event.hpp"
#include "ecmigrate/model/plan.hpp"

namespace ecmigrate::scene {

struct CompareOptions {
  /// Rows of the sample table `users`, a comparison for each; none: the tables of `scratch` as they are.
  std::vector<std::int64_t> sizes;
  double requests_per_second = 200;
  /// A database on a server that is meant for this, which gets further databases; empty: a server of its own.
  std::string scratch;
  std::set<std::string> accept_drop;  ///< as RunOptions has it, for contract
};

/// A lock of a migration. The naive way has one a table, which it keeps to its end.
struct LockTime {
  std::string phase;  ///< "expand" to "contract", or "naive"
  std::string step;
  std::string relation;
  std::string mode;
  int tries = 1;
  double waited_ms = 0;  ///< summed over all tries
  double held_ms = 0;
  double stopped_ms = 0;  ///< the longest time that nobody else got what the mode excludes: the last wait and what was
                          ///< held, or a longer failed try
  int blocked_sessions = 0;
  double blocked_longest_ms = 0;
  std::string at;  ///< RFC 3339
};

/// What a statement of the naive way took.
struct StatementTime {
  std::string title;
  double ms = 0;
};

/// One way of migrating, under the traffic.
struct Side {
  std::int64_t requests = 0;
  std::int64_t failed = 0;
  double p50_ms = 0;
  double p99_ms = 0;
  double slowest_ms = 0;
  double longest_gap_ms = 0;  ///< without an answered request
  std::vector<std::string> errors;
  std::vector<LockTime> locks;
  std::vector<StatementTime> statements;  ///< of the naive way
  double longest_stopping_lock_ms = 0;    ///< of those that stop reads or writes
  int sessions_blocked = 0;
  double duration_ms = 0;                 ///< of the migration
  std::optional<double> rows_per_second;  ///< of the fill; nothing where none was needed
  double wal_bytes = 0;                   ///< while it went on, with that of the traffic
  std::int64_t table_bytes_before = 0;
  std::int64_t table_bytes_after = 0;
  std::int64_t index_bytes_before = 0;
  std::int64_t index_bytes_after = 0;
};

/// What grows with the table, and what does not.
struct SizeRow {
  std::int64_t rows = 0;
  double expand_held_ms = 0;
  double contract_held_ms = 0;
  std::optional<double> naive_held_ms;
};

struct Comparison {
  std::string at;
  std::string server;  ///< "15.20"
  std::string plan;
  std::string table;  ///< display names, comma separated
  std::int64_t rows = 0;
  double requests_per_second = 0;
  double application_timeout_ms = 0;
  std::string no_naive;  ///< why there is no naive side, or empty
  Side expand_contract;
  std::optional<Side> naive;
  /// The same beside a transaction that has read the table and stays open; nothing where the naive way's lock lets
  /// others read.
  struct LockQueue {
    std::int64_t rows = 0;
    double reader_ms = 0;
    Side expand_contract;
    Side naive;
  };
  std::optional<LockQueue> lock_queue;
  std::vector<SizeRow> sizes;
};

/// Runs a plan the expand-contract way and the naive way (one transaction: add, update all, set not null, drop), one
/// after the other, on equal tables under the same traffic: requests at a fixed rate by the version of the application
/// that can run at that moment. `observer` hears notes on how far it is. Leaves nothing behind. Throws what a migration
/// throws, Error{refused} where there is nothing to compare, pg::Stopped.
Comparison compare(const Plan& plan, const CompareOptions& options, Observer& observer, std::stop_token stop);

/// One JSON object on one line: what `--out`, `--record` and the page have.
std::string comparison_json(const Comparison& comparison);
/// Tables for people.
std::string comparison_text(const Comparison& comparison);

}  // namespace ecmigrate::scene
