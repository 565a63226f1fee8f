#include "ecmigrate/store/event_json.hpp"

#include <nlohmann/json.hpp>

namespace ecmigrate {

namespace {

using Json = nlohmann::ordered_json;

Json optional_to_json(const std::optional<double>& number) {
  return number ? Json(*number) : Json(nullptr);
}

Json blocker_to_json(const Blocker& blocker) {
  return {{"pid", blocker.pid},
          {"user", blocker.user},
          {"application", blocker.application},
          {"backend_type", blocker.backend_type},
          {"state", blocker.state},
          {"transaction_age_ms", blocker.transaction_age_ms},
          {"query", blocker.query}};
}

Json reasons_to_json(const std::vector<PauseReason>& reasons) {
  Json list = Json::array();
  for (const PauseReason& reason : reasons) {
    list.push_back({{"code", reason.code},
                    {"text", reason.text},
                    {"value", optional_to_json(reason.value)},
                    {"limit", optional_to_json(reason.limit)}});
  }
  return list;
}

Json members(const event::Started& e) {
  return {{"type", "started"}, {"command", e.command}, {"migration", e.migration}, {"target", e.target}};
}

Json members(const event::Note& e) {
  const bool warning = e.level == event::Note::Level::warning;
  return {{"type", "note"}, {"level", warning ? "warning" : "info"}, {"text", e.text}};
}

Json members(const event::LockTryFailed& e) {
  Json blockers = Json::array();
  for (const Blocker& blocker : e.blockers) {
    blockers.push_back(blocker_to_json(blocker));
  }
  return {{"type", "lock_try_failed"},
          {"phase", e.phase},
          {"step", e.step},
          {"relation", e.relation},
          {"mode", e.mode},
          {"tries", e.tries},
          {"waited_ms", e.waited_ms},
          {"retry_in_ms", e.retry_in_ms},
          {"blockers", blockers}};
}

Json members(const event::StepFinished& e) {
  return {{"type", "step_finished"},
          {"phase", e.phase},
          {"step", e.step},
          {"index", e.index},
          {"of", e.of},
          {"relation", e.relation},
          {"mode", e.mode},
          {"tries", e.tries},
          {"waited_ms", e.waited_ms},
          {"held_ms", e.held_ms},
          {"blocked_sessions", e.blocked_sessions},
          {"blocked_longest_ms", e.blocked_longest_ms},
          {"duration_ms", e.duration_ms},
          {"already_done", e.already_done}};
}

Json members(const event::IndexProgress& e) {
  return {{"type", "index_progress"},
          {"index", e.index},
          {"phase", e.phase},
          {"percent", e.percent},
          {"waiting_for", e.waiting_for ? blocker_to_json(*e.waiting_for) : Json(nullptr)}};
}

Json members(const event::Progress& e) {
  return {{"type", "progress"},
          {"phase", e.phase},
          {"relation", e.relation},
          {"percent", e.percent},
          {"rows", e.rows},
          {"rows_estimated", e.rows_estimated},
          {"rows_per_second", e.rows_per_second},
          {"eta_ms", optional_to_json(e.eta_ms)},
          {"eta_low_ms", optional_to_json(e.eta_low_ms)},
          {"eta_high_ms", optional_to_json(e.eta_high_ms)},
          {"batch_rows", e.batch_rows},
          {"batch_ms", e.batch_ms},
          {"batch_p50_ms", e.batch_p50_ms},
          {"batch_p99_ms", e.batch_p99_ms},
          {"hot_percent", e.hot_percent},
          {"wal_bytes_per_second", e.wal_bytes_per_second},
          {"lag_ms", optional_to_json(e.lag_ms)},
          {"workers", e.workers},
          {"paused_percent", e.paused_percent},
          {"slow_because", e.slow_because},
          {"paused", !e.reasons.empty()},
          {"reasons", reasons_to_json(e.reasons)}};
}

Json members(const event::WalkFinished& e) {
  return {{"type", "walk_finished"},        {"phase", e.phase},
          {"relation", e.relation},         {"rows", e.rows},
          {"rows_before", e.rows_before},   {"batches", e.batches},
          {"duration_ms", e.duration_ms},   {"batch_p50_ms", e.batch_p50_ms},
          {"batch_p99_ms", e.batch_p99_ms}, {"hot_percent", e.hot_percent},
          {"wal_bytes", e.wal_bytes},       {"quarantined", e.quarantined},
          {"already_done", e.already_done}};
}

Json members(const event::TrialFinished& e) {
  return {{"type", "trial_finished"},
          {"relation", e.relation},
          {"rows", e.rows},
          {"lossy", e.lossy},
          {"examples", e.examples}};
}

Json members(const event::Difference& e) {
  return {{"type", "difference"}, {"relation", e.relation},     {"key", e.key},
          {"kind", e.kind},       {"old_values", e.old_values}, {"new_values", e.new_values}};
}

Json members(const event::VerifyFinished& e) {
  return {{"type", "verify_finished"},   {"relation", e.relation},         {"rows", e.rows},
          {"pending", e.pending},        {"inconsistent", e.inconsistent}, {"repaired", e.repaired},
          {"duration_ms", e.duration_ms}};
}

Json members(const event::OldUse& e) {
  Json statements = Json::array();
  for (const event::OldUse::Statement& one : e.statements) {
    statements.push_back({{"id", one.id},
                          {"role", one.role},
                          {"calls", one.calls},
                          {"calls_since", one.calls_since},
                          {"text", one.text}});
  }
  return {{"type", "old_use"},
          {"phase", e.phase},
          {"relation", e.relation},
          {"columns", e.columns},
          {"noted", e.noted},
          {"last_write_ms", optional_to_json(e.last_write_ms)},
          {"noted_ms", optional_to_json(e.noted_ms)},
          {"by", e.by},
          {"statements_known", e.statements_known},
          {"statements", statements}};
}

Json members(const event::StateChanged& e) {
  return {{"type", "state_changed"}, {"migration", e.migration}, {"before", e.before}, {"after", e.after}};
}

Json members(const event::Paused& e) {
  return {{"type", "paused"}, {"relation", e.relation}, {"reasons", reasons_to_json(e.reasons)}};
}

Json members(const event::Resumed& e) {
  return {{"type", "resumed"}, {"relation", e.relation}, {"after_ms", e.after_ms}};
}

Json members(const event::Steered& e) {
  return {{"type", "steered"}, {"text", e.text}, {"by", e.by}};
}

Json members(const event::Document& e) {
  Json object = {{"type", e.type}};
  object.update(Json::parse(e.members));
  return object;
}

Json members(const event::Result& e) {
  const bool ok = e.exit_code == 0;
  const Json error = {{"code", e.outcome}, {"message", e.message}, {"hint", e.hint}, {"sqlstate", e.sqlstate}};
  return {{"type", "result"},
          {"ok", ok},
          {"command", e.command},
          {"migration", e.migration},
          {"exit_code", e.exit_code},
          {"outcome", e.outcome},
          {"retryable", e.retryable},
          {"changed", e.changed},
          {"state", e.state},
          {"message", e.message},
          {"hint", e.hint},
          {"sqlstate", e.sqlstate},
          {"next", e.next},
          {"duration_ms", e.duration_ms},
          {"error", ok ? Json(nullptr) : error}};
}

std::optional<double> number_or_nothing(const Json& in, const char* name) {
  return in.contains(name) && in.at(name).is_number() ? std::optional(in.at(name).get<double>()) : std::nullopt;
}

/// Of a record of an older format, members may be missing.
template <typename Value>
void read(const Json& in, const char* name, Value& out) {
  if (in.contains(name) && !in.at(name).is_null()) {
    in.at(name).get_to(out);
  }
}

std::vector<PauseReason> reasons_of(const Json& in) {
  std::vector<PauseReason> reasons;
  if (in.contains("reasons")) {
    for (const Json& item : in.at("reasons")) {
      reasons.push_back(
          {item.at("code"), item.at("text"), number_or_nothing(item, "value"), number_or_nothing(item, "limit")});
    }
  }
  return reasons;
}

Blocker blocker_of(const Json& in) {
  Blocker blocker;
  read(in, "pid", blocker.pid);
  read(in, "user", blocker.user);
  read(in, "application", blocker.application);
  read(in, "backend_type", blocker.backend_type);
  read(in, "state", blocker.state);
  read(in, "transaction_age_ms", blocker.transaction_age_ms);
  read(in, "query", blocker.query);
  return blocker;
}

event::LockTryFailed lock_try_of(const Json& in) {
  event::LockTryFailed e;
  read(in, "phase", e.phase);
  read(in, "step", e.step);
  read(in, "relation", e.relation);
  read(in, "mode", e.mode);
  read(in, "tries", e.tries);
  read(in, "waited_ms", e.waited_ms);
  read(in, "retry_in_ms", e.retry_in_ms);
  if (in.contains("blockers")) {
    for (const Json& item : in.at("blockers")) {
      e.blockers.push_back(blocker_of(item));
    }
  }
  return e;
}

event::StepFinished step_of(const Json& in) {
  event::StepFinished e;
  read(in, "phase", e.phase);
  read(in, "step", e.step);
  read(in, "index", e.index);
  read(in, "of", e.of);
  read(in, "relation", e.relation);
  read(in, "mode", e.mode);
  read(in, "tries", e.tries);
  read(in, "waited_ms", e.waited_ms);
  read(in, "held_ms", e.held_ms);
  read(in, "blocked_sessions", e.blocked_sessions);
  read(in, "blocked_longest_ms", e.blocked_longest_ms);
  read(in, "duration_ms", e.duration_ms);
  read(in, "already_done", e.already_done);
  return e;
}

event::Progress progress_of(const Json& in) {
  event::Progress e;
  read(in, "phase", e.phase);
  read(in, "relation", e.relation);
  read(in, "percent", e.percent);
  read(in, "rows", e.rows);
  read(in, "rows_estimated", e.rows_estimated);
  read(in, "rows_per_second", e.rows_per_second);
  e.eta_ms = number_or_nothing(in, "eta_ms");
  e.eta_low_ms = number_or_nothing(in, "eta_low_ms");
  e.eta_high_ms = number_or_nothing(in, "eta_high_ms");
  read(in, "batch_rows", e.batch_rows);
  read(in, "batch_ms", e.batch_ms);
  read(in, "batch_p50_ms", e.batch_p50_ms);
  read(in, "batch_p99_ms", e.batch_p99_ms);
  read(in, "hot_percent", e.hot_percent);
  read(in, "wal_bytes_per_second", e.wal_bytes_per_second);
  e.lag_ms = number_or_nothing(in, "lag_ms");
  read(in, "workers", e.workers);
  read(in, "paused_percent", e.paused_percent);
  read(in, "slow_because", e.slow_because);
  e.reasons = reasons_of(in);
  return e;
}

event::WalkFinished walk_of(const Json& in) {
  event::WalkFinished e;
  read(in, "phase", e.phase);
  read(in, "relation", e.relation);
  read(in, "rows", e.rows);
  read(in, "rows_before", e.rows_before);
  read(in, "batches", e.batches);
  read(in, "duration_ms", e.duration_ms);
  read(in, "batch_p50_ms", e.batch_p50_ms);
  read(in, "batch_p99_ms", e.batch_p99_ms);
  read(in, "hot_percent", e.hot_percent);
  read(in, "wal_bytes", e.wal_bytes);
  read(in, "quarantined", e.quarantined);
  read(in, "already_done", e.already_done);
  return e;
}

event::VerifyFinished verify_of(const Json& in) {
  event::VerifyFinished e;
  read(in, "relation", e.relation);
  read(in, "rows", e.rows);
  read(in, "pending", e.pending);
  read(in, "inconsistent", e.inconsistent);
  read(in, "repaired", e.repaired);
  read(in, "duration_ms", e.duration_ms);
  return e;
}

event::OldUse old_use_of(const Json& in) {
  event::OldUse e;
  read(in, "phase", e.phase);
  read(in, "relation", e.relation);
  read(in, "columns", e.columns);
  read(in, "noted", e.noted);
  e.last_write_ms = number_or_nothing(in, "last_write_ms");
  e.noted_ms = number_or_nothing(in, "noted_ms");
  read(in, "by", e.by);
  read(in, "statements_known", e.statements_known);
  if (in.contains("statements")) {
    for (const Json& item : in.at("statements")) {
      event::OldUse::Statement& one = e.statements.emplace_back();
      read(item, "id", one.id);
      read(item, "role", one.role);
      read(item, "calls", one.calls);
      read(item, "calls_since", one.calls_since);
      read(item, "text", one.text);
    }
  }
  return e;
}

std::optional<Event> event_of(const Json& in) {
  const std::string type = in.value("type", "");
  const auto text = [&](const char* name) { return in.value(name, std::string()); };
  if (type == "note") {
    return event::Note{text("level") == "warning" ? event::Note::Level::warning : event::Note::Level::info,
                       text("text")};
  }
  if (type == "lock_try_failed") {
    return lock_try_of(in);
  }
  if (type == "step_finished") {
    return step_of(in);
  }
  if (type == "progress") {
    return progress_of(in);
  }
  if (type == "walk_finished") {
    return walk_of(in);
  }
  if (type == "trial_finished") {
    return event::TrialFinished{text("relation"), in.value("rows", std::int64_t{0}), in.value("lossy", std::int64_t{0}),
                                in.value("examples", std::vector<std::string>())};
  }
  if (type == "difference") {
    return event::Difference{text("relation"), text("key"), text("kind"), text("old_values"), text("new_values")};
  }
  if (type == "verify_finished") {
    return verify_of(in);
  }
  if (type == "old_use") {
    return old_use_of(in);
  }
  if (type == "state_changed") {
    return event::StateChanged{text("migration"), text("before"), text("after")};
  }
  if (type == "paused") {
    return event::Paused{text("relation"), reasons_of(in)};
  }
  if (type == "resumed") {
    return event::Resumed{text("relation"), in.value("after_ms", 0.0)};
  }
  if (type == "steered") {
    return event::Steered{text("text"), text("by")};
  }
  return std::nullopt;
}

}  // namespace

std::string event_object(std::string_view head, const Event& event) {
  Json object = Json::parse(head);
  const Json rest = std::visit([](const auto& e) { return members(e); }, event);
  for (const auto& [key, value] : rest.items()) {
    object[key] = value;
  }
  // Rows of SQL_ASCII databases can hold anything, so bytes that are not UTF-8 become U+FFFD.
  return object.dump(-1, ' ', false, Json::error_handler_t::replace);
}

std::string event_to_json(const Event& event) {
  return event_object(R"({"v":1})", event);
}

std::optional<Event> event_from_json(std::string_view text) {
  const Json in = Json::parse(text, nullptr, false);
  try {
    return in.is_object() ? event_of(in) : std::nullopt;
  } catch (const Json::exception&) {
    return std::nullopt;
  }
}

}  // namespace ecmigrate
