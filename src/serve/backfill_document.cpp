#include "backfill_document.hpp"

#include <algorithm>

namespace ecmigrate::serve {

namespace {

Document reasons_document(const std::vector<PauseReason>& reasons) {
  Document list = Document::array();
  for (const PauseReason& reason : reasons) {
    list.push_back({{"code", reason.code},
                    {"text", reason.text},
                    {"value", or_null(reason.value)},
                    {"limit", or_null(reason.limit)}});
  }
  return list;
}

Document relation_document(const std::string& relation, const event::Progress* progress, const WalkView* walk,
                           bool alive) {
  Document document{{"relation", relation}};
  const auto from = [&](const char* name, const auto& value) {
    document[name] = progress == nullptr ? Document(nullptr) : Document(value(*progress));
  };
  const bool finished = walk != nullptr && walk->finished;
  document["percent"] = finished              ? Document(100.0)
                        : progress == nullptr ? Document(nullptr)
                                              : Document(progress->percent);
  document["rows"] = walk != nullptr ? walk->written.rows : progress != nullptr ? progress->rows : 0;
  from("rows_estimated", [](const event::Progress& e) { return e.rows_estimated; });
  from("rows_per_second", [&](const event::Progress& e) {
    return alive && e.reasons.empty() ? Document(e.rows_per_second) : Document(nullptr);
  });
  const bool eta = alive && !finished && progress != nullptr && progress->reasons.empty();
  document["eta_ms"] = eta ? or_null(progress->eta_ms) : Document(nullptr);
  document["eta_low_ms"] = eta ? or_null(progress->eta_low_ms) : Document(nullptr);
  document["eta_high_ms"] = eta ? or_null(progress->eta_high_ms) : Document(nullptr);
  from("batch_rows", [](const event::Progress& e) { return e.batch_rows; });
  from("batch_p50_ms", [](const event::Progress& e) { return e.batch_p50_ms; });
  from("batch_p99_ms", [](const event::Progress& e) { return e.batch_p99_ms; });
  document["hot_percent"] = walk != nullptr ? Document(100 * walk->written.hot_share()) : Document(nullptr);
  from("wal_bytes_per_second",
       [&](const event::Progress& e) { return alive ? Document(e.wal_bytes_per_second) : Document(nullptr); });
  document["wal_bytes"] = walk != nullptr ? Document(walk->written.wal_bytes) : Document(nullptr);
  document["batches"] = walk != nullptr ? Document(walk->written.batches) : Document(nullptr);
  document["lag_ms"] = progress == nullptr ? Document(nullptr) : or_null(progress->lag_ms);
  from("workers", [](const event::Progress& e) { return e.workers; });
  document["finished"] = finished;
  return document;
}

}  // namespace

Document backfill_document(const MigrationView& view) {
  if (view.walks.empty() && view.progress.empty()) {
    return nullptr;
  }
  const Situation situation = situation_of(view);
  const bool alive =
      view.state == State::backfilling && (situation == Situation::running || situation == Situation::paused);
  Document relations = Document::array();
  std::string slow;
  std::vector<std::string> seen;
  for (const ProgressView& progress : view.progress) {
    if (progress.progress.phase != "backfill") {
      continue;
    }
    const auto walk = std::ranges::find(view.walks, progress.progress.relation, &WalkView::relation);
    relations.push_back(relation_document(progress.progress.relation, &progress.progress,
                                          walk == view.walks.end() ? nullptr : &*walk, alive));
    if (walk != view.walks.end()) {
      seen.push_back(walk->relation);
    }
    slow = alive && progress.progress.percent < 100 ? progress.progress.slow_because : slow;
  }
  for (const WalkView& walk : view.walks) {
    if (std::ranges::find(seen, walk.relation) == seen.end()) {
      relations.push_back(relation_document(walk.relation, nullptr, &walk, alive));
    }
  }
  const bool done = view.state >= State::backfilled && view.state <= State::contracted;
  const auto began = entered(view, State::backfilling);
  const auto ended = entered(view, State::backfilled);
  const auto above_0 = [](double value) { return value > 0 ? Document(value) : Document(nullptr); };
  Document limits = nullptr;
  if (view.run && view.run->limits) {
    limits = {{"target_batch_ms", view.run->limits->target_batch.count()},
              {"max_replica_lag_ms", above_0(static_cast<double>(view.run->limits->max_replica_lag.count()))},
              {"max_rows_rate", above_0(view.run->limits->max_rows_rate)},
              {"max_wal_rate", above_0(view.run->limits->max_wal_rate)}};
  }
  const bool paused = situation == Situation::paused;
  return {
      {"total_percent", or_null(backfill_percent(view))},
      {"relations", relations},
      {"paused", paused},
      {"reasons", paused && !view.pauses.empty() ? reasons_document(view.pauses.back().reasons) : Document::array()},
      {"slow_because", slow},
      {"done", done},
      {"took_ms", done && began && ended ? Document(*ended - *began) : Document(nullptr)},
      {"limits", limits}};
}

Document pauses_document(const MigrationView& view) {
  Document list = Document::array();
  for (const PauseView& pause : view.pauses) {
    list.push_back({{"from", utc_time(pause.from)},
                    {"to", time_or_null(pause.to)},
                    {"code", pause.reasons.empty() ? "" : pause.reasons.front().code},
                    {"text", join_reasons(pause.reasons)}});
  }
  if (situation_of(view) == Situation::lost && view.state == State::backfilling) {
    list.push_back({{"from", utc_time(view.run->seen_at.value_or(view.run->since))},
                    {"to", nullptr},
                    {"code", "no_runner"},
                    {"text", "no runner"}});
  }
  return list;
}

Document series_point(const ProgressView& point) {
  const event::Progress& e = point.progress;
  const bool paused = !e.reasons.empty();
  return {{"t", point.at},
          {"rows_per_second", paused ? Document(nullptr) : Document(e.rows_per_second)},
          {"batch_p50_ms", paused || e.batch_p50_ms == 0 ? Document(nullptr) : Document(e.batch_p50_ms)},
          {"batch_p99_ms", paused || e.batch_p99_ms == 0 ? Document(nullptr) : Document(e.batch_p99_ms)},
          {"lag_ms", or_null(e.lag_ms)}};
}

Document series_document(const MigrationPicture& migration, int points) {
  Document document{{"t", Document::array()},
                    {"rows_per_second", Document::array()},
                    {"batch_p50_ms", Document::array()},
                    {"batch_p99_ms", Document::array()},
                    {"lag_ms", Document::array()}};
  const auto add = [&](const Document& point) {
    for (auto& [name, list] : document.items()) {
      list.push_back(point.at(name));
    }
  };
  const auto gap_after = [](const ProgressView& point) {
    Document gap = series_point(point);
    gap["t"] = point.at + 1;
    gap["rows_per_second"] = gap["batch_p50_ms"] = gap["batch_p99_ms"] = gap["lag_ms"] = nullptr;
    return gap;
  };
  // Cut to the number asked for: of each share the mean, and the largest of what has peaks.
  const std::size_t share =
      std::max<std::size_t>(1, (migration.series.size() + static_cast<std::size_t>(std::max(points, 1)) - 1) /
                                   static_cast<std::size_t>(std::max(points, 1)));
  const ProgressView* before = nullptr;
  for (std::size_t first = 0; first < migration.series.size(); first += share) {
    const std::size_t end = std::min(first + share, migration.series.size());
    ProgressView point = migration.series[first];
    double rate = 0;
    std::size_t running = 0;
    for (std::size_t i = first; i < end; ++i) {
      const event::Progress& e = migration.series[i].progress;
      if (e.reasons.empty()) {
        rate += e.rows_per_second;
        ++running;
        point.progress.reasons.clear();
      }
      point.progress.batch_p99_ms = std::max(point.progress.batch_p99_ms, e.batch_p99_ms);
      if (e.lag_ms) {
        point.progress.lag_ms = std::max(point.progress.lag_ms.value_or(0), *e.lag_ms);
      }
    }
    point.progress.rows_per_second = running == 0 ? 0 : rate / static_cast<double>(running);
    if (before != nullptr && point.at - before->at > k_gap_ms * static_cast<Instant>(share)) {
      add(gap_after(*before));
    }
    add(series_point(point));
    before = &migration.series[end - 1];
  }
  return document;
}

}  // namespace ecmigrate::serve
