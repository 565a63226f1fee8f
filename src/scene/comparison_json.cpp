#include <cmath>
#include <nlohmann/json.hpp>

#include "ecmigrate/report/answers.hpp"
#include "ecmigrate/scene/compare.hpp"

namespace ecmigrate::scene {

namespace {

using Json = nlohmann::ordered_json;

/// To three decimals: more is noise.
double rounded(double value) {
  return std::round(value * 1000) / 1000;
}

Json as_json(const LockTime& lock) {
  return {{"phase", lock.phase},
          {"step", lock.step},
          {"relation", lock.relation},
          {"mode", lock.mode},
          {"stops", stopped_by(lock.mode)},
          {"tries", lock.tries},
          {"waited_ms", rounded(lock.waited_ms)},
          {"held_ms", rounded(lock.held_ms)},
          {"blocked_sessions", lock.blocked_sessions},
          {"blocked_longest_ms", rounded(lock.blocked_longest_ms)},
          {"at", lock.at}};
}

Json as_json(const Side& side) {
  Json locks = Json::array();
  for (const LockTime& lock : side.locks) {
    locks.push_back(as_json(lock));
  }
  Json statements = Json::array();
  for (const StatementTime& statement : side.statements) {
    statements.push_back({{"statement", statement.title}, {"ms", rounded(statement.ms)}});
  }
  Json json{{"requests", side.requests},
            {"failed", side.failed},
            {"p50_ms", rounded(side.p50_ms)},
            {"p99_ms", rounded(side.p99_ms)},
            {"max_ms", rounded(side.slowest_ms)},
            {"longest_gap_ms", rounded(side.longest_gap_ms)},
            {"locks", locks},
            {"longest_stopping_lock_ms", rounded(side.longest_stopping_lock_ms)},
            {"sessions_blocked", side.sessions_blocked},
            {"duration_ms", rounded(side.duration_ms)},
            {"rows_per_second", side.rows_per_second ? Json(std::round(*side.rows_per_second)) : Json(nullptr)},
            {"wal_bytes", static_cast<std::int64_t>(side.wal_bytes)},
            {"table_bytes_before", side.table_bytes_before},
            {"table_bytes_after", side.table_bytes_after},
            {"index_bytes_before", side.index_bytes_before},
            {"index_bytes_after", side.index_bytes_after},
            {"errors", side.errors}};
  if (!side.statements.empty()) {
    json["statements"] = statements;
  }
  return json;
}

}  // namespace

std::string comparison_json(const Comparison& comparison) {
  Json sizes = Json::array();
  for (const SizeRow& size : comparison.sizes) {
    sizes.push_back({{"rows", size.rows},
                     {"expand_held_ms", rounded(size.expand_held_ms)},
                     {"contract_held_ms", rounded(size.contract_held_ms)},
                     {"naive_held_ms", size.naive_held_ms ? Json(rounded(*size.naive_held_ms)) : Json(nullptr)}});
  }
  Json queue = nullptr;
  if (comparison.lock_queue) {
    queue = {{"rows", comparison.lock_queue->rows},
             {"reader_ms", comparison.lock_queue->reader_ms},
             {"expand_contract", as_json(comparison.lock_queue->expand_contract)},
             {"naive", as_json(comparison.lock_queue->naive)}};
  }
  Json json{{"v", 1},
            {"type", "comparison"},
            {"at", comparison.at},
            {"server", comparison.server},
            {"plan", comparison.plan},
            {"table", comparison.table},
            {"rows", comparison.rows},
            {"requests_per_second", comparison.requests_per_second},
            {"application_timeout_ms", comparison.application_timeout_ms},
            {"kindest", "the old version stops and the new one starts at the instant of commit"},
            {"expand_contract", as_json(comparison.expand_contract)},
            {"naive", comparison.naive ? as_json(*comparison.naive) : Json(nullptr)},
            {"lock_queue", queue},
            {"sizes", sizes}};
  if (!comparison.no_naive.empty()) {
    json["no_naive"] = comparison.no_naive;
  }
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace ecmigrate::scene
