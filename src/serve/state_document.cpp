#include "state_document.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>

#include "ecmigrate/base/text.hpp"
#include "ecmigrate/report/answers.hpp"
#include "ecmigrate/store/event_json.hpp"

namespace ecmigrate::serve {

namespace {

Document time_or_null(const std::optional<Instant>& at) {
  return at ? Document(utc_time(*at)) : Document(nullptr);
}

template <typename Value>
Document or_null(const std::optional<Value>& value) {
  return value ? Document(*value) : Document(nullptr);
}

Document text_or_null(const std::string& text) {
  return text.empty() ? Document(nullptr) : Document(text);
}

Document answer_document(const Answer& answer) {
  return {{"level", answer.level}, {"lead", answer.lead}, {"more", answer.more}, {"command", text_or_null(answer.command)}};
}

Document notice_document(const std::optional<Notice>& notice) {
  if (!notice) {
    return nullptr;
  }
  Document steps = Document::array();
  for (const Notice::Step& step : notice->steps) {
    steps.push_back({{"text", step.text}, {"command", text_or_null(step.command)}});
  }
  return {{"level", notice->level}, {"title", notice->title}, {"text", notice->text}, {"steps", steps}};
}

std::vector<std::string> dropped_columns(const MigrationPicture* migration) {
  std::vector<std::string> names;
  if (migration != nullptr && migration->shape) {
    for (const ColumnView& column : migration->shape->columns) {
      if (column.side == ColumnView::Side::old_shape) {
        names.push_back(column.name);
      }
    }
  }
  return names;
}

// ---- who is in the way of whom

std::string who(const Blocker& blocker) {
  if (blocker.pid == 0) {
    return "a prepared transaction";
  }
  const std::string name = blocker.application.empty() ? blocker.backend_type : blocker.application;
  return blocker.user.empty() ? name : blocker.user + "@" + name;
}

std::string state_of(const Blocker& blocker) {
  const std::string state = blocker.state.empty() ? "at work" : blocker.state;
  return blocker.transaction_age_ms > 0 ? fmt::format("{}, its transaction is {} old", state, format_milliseconds(blocker.transaction_age_ms)) : state;
}

/// Everybody who waits behind a session, however far.
std::vector<const WaitingSession*> behind(const Waiting& waiting, int pid) {
  std::vector<const WaitingSession*> found;
  std::vector<int> roots{pid};
  for (std::size_t i = 0; i < roots.size(); ++i) {
    for (const WaitingSession& session : waiting.sessions) {
      if (std::ranges::find(session.waits_for, roots[i]) != session.waits_for.end() && std::ranges::find(found, &session) == found.end()) {
        found.push_back(&session);
        roots.push_back(session.session.pid);
      }
    }
  }
  return found;
}

Document blockers_document(const Picture& picture, const JournalContentOptions& options) {
  Document list = Document::array();
  for (const WaitingSession& root : picture.waiting.sessions) {
    if (!root.waits_for.empty()) {
      continue;
    }
    const auto waiting = behind(picture.waiting, root.session.pid);
    if (!root.ours && std::ranges::none_of(waiting, [](const WaitingSession* session) { return session->ours; })) {
      continue;  // somebody else's affair
    }
    Document chain = Document::array();
    for (const WaitingSession* session : waiting) {
      chain.push_back(fmt::format("pid {} {}, for {}", session->session.pid, who(session->session), format_milliseconds(session->waited_ms)));
    }
    list.push_back({{"pid", root.session.pid},
                    {"who", who(root.session)},
                    {"state", state_of(root.session)},
                    {"query", options.show_queries ? text_or_null(root.session.query) : Document(nullptr)},
                    {"behind", chain},
                    {"ours", root.ours},
                    {"statement", root.ours || root.session.pid == 0 ? Document(nullptr) : Document(fmt::format("select pg_terminate_backend({});", root.session.pid))}});
  }
  return {{"at", time_or_null(picture.waiting_at)},
          {"note", picture.waiting.sees_all ? Document(nullptr) : Document(fmt::format("Only sessions of {} are seen: grant it pg_monitor to see all", picture.database.role))},
          {"list", list}};
}

// ---- columns

struct ColumnNow {
  std::string status;  ///< "in_place", "to_come", "gone", "changed"
  std::string name;
  Document type;
  Document nullable;
  std::optional<double> null_share;
};

ColumnNow column_now(const ColumnView& column, const MigrationPicture& migration) {
  ColumnNow now{"to_come", column.name, or_null(column.type), or_null(column.nullable), {}};
  const auto table = migration.tables.find(column.relation);
  if (table == migration.tables.end()) {
    now.status = migration.tables_at ? "gone" : "in_place";
    return now;
  }
  const bool same_table = column.oid == 0 || table->second.oid == column.oid;
  for (const auto& [number, facts] : table->second.columns) {
    if (!same_table || (column.oid == 0 ? facts.name != column.name : number != column.number)) {
      continue;
    }
    const bool changed = column.side == ColumnView::Side::kept && (facts.type != column.type || facts.nullable != column.nullable || facts.name != column.name);
    return {changed ? "changed" : "in_place", facts.name, facts.type, facts.nullable, facts.null_share};
  }
  const State state = migration.view ? migration.view->state : State::planned;
  const bool never_there = column.side == ColumnView::Side::new_shape && (column.number == 0 && state < State::expanded);
  now.status = never_there ? "to_come" : "gone";
  return now;
}

std::optional<Instant> entered(const MigrationView& view, State state) {
  const auto at = std::ranges::find(view.states, state, &StateView::state);
  return at == view.states.end() ? std::nullopt : std::optional(at->at);
}

/// How many rows have a value, and how that is known. Never by counting.
Document population_of(const ColumnView& column, const ColumnNow& now, const MigrationPicture& picture) {
  if (now.status == "gone" || now.status == "to_come" || column.side == ColumnView::Side::kept) {
    return nullptr;
  }
  const auto table = picture.tables.find(column.relation);
  if (column.side == ColumnView::Side::new_shape && picture.view) {
    const MigrationView& view = *picture.view;
    const bool synced = !view.walks.empty() || view.state >= State::backfilled;
    if (view.state >= State::verified && view.state <= State::contracted && !view.verifications.empty()) {
      const std::int64_t rows = std::accumulate(view.verifications.begin(), view.verifications.end(), std::int64_t{0},
                                                [](std::int64_t sum, const VerificationView& one) { return sum + one.rows; });
      return {{"percent", now.null_share && now.nullable == true ? 100 * (1 - *now.null_share) : 100.0}, {"rows", rows}, {"by", "verify"}, {"at", utc_time(view.verifications.front().at)}};
    }
    if (synced) {
      const std::int64_t rows =
          std::accumulate(view.walks.begin(), view.walks.end(), std::int64_t{0}, [](std::int64_t sum, const WalkView& walk) { return sum + walk.written.rows; });
      return {{"percent", or_null(backfill_percent(view))}, {"rows", rows}, {"by", "journal"}, {"at", utc_time(view.progress.empty() ? view.changed_at : view.progress.front().at)}};
    }
    return {{"percent", 0.0}, {"rows", 0}, {"by", "journal"}, {"at", utc_time(view.changed_at)}};
  }
  if (table == picture.tables.end() || !table->second.rows) {
    return nullptr;
  }
  // A column that may not be null is full; for another the planner's sample says how many are.
  if (now.nullable == true && !now.null_share) {
    return {{"percent", nullptr}, {"rows", *table->second.rows}, {"by", "estimate"}, {"at", time_or_null(picture.tables_at)}};
  }
  const double filled = now.nullable == true ? 1 - *now.null_share : 1.0;
  return {{"percent", 100 * filled},
          {"rows", static_cast<std::int64_t>(filled * static_cast<double>(*table->second.rows))},
          {"by", "estimate"},
          {"at", time_or_null(picture.tables_at)}};
}

Document columns_document(const MigrationPicture& picture) {
  static constexpr std::array<const char*, 3> k_sides{"kept", "old", "new"};
  Document list = Document::array();
  if (!picture.shape) {
    return list;
  }
  for (const ColumnView& column : picture.shape->columns) {
    const ColumnNow now = column_now(column, picture);
    const bool gone = now.status == "gone";
    std::optional<Instant> at;
    if (gone && picture.view) {
      at = entered(*picture.view, column.side == ColumnView::Side::new_shape ? State::rolled_back : State::contracted);
    }
    const bool over = picture.view && picture.view->state == State::contracted;
    list.push_back({{"relation", column.relation.display()},
                    {"name", gone ? column.name : now.name},
                    {"side", k_sides[static_cast<std::size_t>(column.side)]},
                    {"type", now.type},
                    {"nullable", now.nullable},
                    {"status", now.status},
                    {"fate", over || gone ? std::string() : column.fate},
                    {"at", time_or_null(at)},
                    {"population", population_of(column, now, picture)}});
  }
  return list;
}

Document triggers_document(const MigrationPicture& picture) {
  Document list = Document::array();
  if (!picture.shape) {
    return list;
  }
  for (const MigrationShape::Trigger& trigger : picture.shape->triggers) {
    const auto table = picture.tables.find(trigger.table);
    std::string status = "removed";
    if (!picture.view || picture.view->state < State::expanded) {
      status = "to_come";
    } else if (picture.view->state < State::contracting) {
      status = "enabled";
      for (const std::string& name : trigger.names) {
        if (table == picture.tables.end() || !table->second.triggers.contains(name)) {
          status = "missing";
        } else if (table->second.triggers.at(name) == 'D' || table->second.triggers.at(name) == 'R') {
          status = "disabled";
        }
      }
    }
    list.push_back({{"relation", trigger.table.display()}, {"status", status}});
  }
  return list;
}

Document sample_document(const MigrationPicture& picture, const JournalContentOptions& options) {
  if (!picture.shape || !picture.shape->sampled) {
    return nullptr;
  }
  Document columns = Document::array();
  for (const std::string& name : picture.shape->key) {
    columns.push_back({{"name", name}, {"side", "key"}, {"gone", false}});
  }
  for (const std::string& name : picture.sample_columns) {
    const auto known = std::ranges::find_if(picture.shape->columns, [&](const ColumnView& column) {
      return column.relation == *picture.shape->sampled && column_now(column, picture).name == name && column.side != ColumnView::Side::kept;
    });
    columns.push_back({{"name", name}, {"side", known != picture.shape->columns.end() && known->side == ColumnView::Side::old_shape ? "old" : "new"}, {"gone", false}});
  }
  Document rows = Document::array();
  for (const SampleRow& row : picture.sample) {
    static constexpr std::array<const char*, 4> k_compared{"equal", "waits for backfill", "differs", ""};
    Document values = Document::array();
    for (const auto& value : row.values) {
      values.push_back(or_null(value));
    }
    rows.push_back({{"values", values}, {"compared", k_compared[static_cast<std::size_t>(row.compared)]}});
  }
  const std::string skipped = options.show_sample ? (picture.sample_at || !picture.sample_skipped.empty() ? picture.sample_skipped : "not read yet")
                                                  : "hidden: rows are personal data, and this page is not on loopback (--show-data shows them)";
  return {{"at", time_or_null(picture.sample_at)}, {"relation", picture.shape->sampled->display()}, {"skipped", text_or_null(skipped)}, {"columns", columns}, {"rows", rows}};
}

// ---- the backfill

Document reasons_document(const std::vector<PauseReason>& reasons) {
  Document list = Document::array();
  for (const PauseReason& reason : reasons) {
    list.push_back({{"code", reason.code}, {"text", reason.text}, {"value", or_null(reason.value)}, {"limit", or_null(reason.limit)}});
  }
  return list;
}

Document relation_document(const std::string& relation, const event::Progress* progress, const WalkView* walk, bool alive) {
  Document document{{"relation", relation}};
  const auto from = [&](const char* name, const auto& value) { document[name] = progress == nullptr ? Document(nullptr) : Document(value(*progress)); };
  const bool finished = walk != nullptr && walk->finished;
  document["percent"] = finished ? Document(100.0) : progress == nullptr ? Document(nullptr) : Document(progress->percent);
  document["rows"] = walk != nullptr ? walk->written.rows : progress != nullptr ? progress->rows : 0;
  from("rows_estimated", [](const event::Progress& e) { return e.rows_estimated; });
  from("rows_per_second", [&](const event::Progress& e) { return alive && e.reasons.empty() ? Document(e.rows_per_second) : Document(nullptr); });
  const bool eta = alive && !finished && progress != nullptr && progress->reasons.empty();
  document["eta_ms"] = eta ? or_null(progress->eta_ms) : Document(nullptr);
  document["eta_low_ms"] = eta ? or_null(progress->eta_low_ms) : Document(nullptr);
  document["eta_high_ms"] = eta ? or_null(progress->eta_high_ms) : Document(nullptr);
  from("batch_rows", [](const event::Progress& e) { return e.batch_rows; });
  from("batch_p50_ms", [](const event::Progress& e) { return e.batch_p50_ms; });
  from("batch_p99_ms", [](const event::Progress& e) { return e.batch_p99_ms; });
  document["hot_percent"] = walk != nullptr ? Document(100 * walk->written.hot_share()) : Document(nullptr);
  from("wal_bytes_per_second", [&](const event::Progress& e) { return alive ? Document(e.wal_bytes_per_second) : Document(nullptr); });
  document["wal_bytes"] = walk != nullptr ? Document(walk->written.wal_bytes) : Document(nullptr);
  document["batches"] = walk != nullptr ? Document(walk->written.batches) : Document(nullptr);
  document["lag_ms"] = progress == nullptr ? Document(nullptr) : or_null(progress->lag_ms);
  from("workers", [](const event::Progress& e) { return e.workers; });
  document["finished"] = finished;
  return document;
}

Document backfill_document(const MigrationView& view) {
  if (view.walks.empty() && view.progress.empty()) {
    return nullptr;
  }
  const Situation situation = situation_of(view);
  const bool alive = view.state == State::backfilling && (situation == Situation::running || situation == Situation::paused);
  Document relations = Document::array();
  std::string slow;
  std::vector<std::string> seen;
  for (const ProgressView& progress : view.progress) {
    if (progress.progress.phase != "backfill") {
      continue;
    }
    const auto walk = std::ranges::find(view.walks, progress.progress.relation, &WalkView::relation);
    relations.push_back(relation_document(progress.progress.relation, &progress.progress, walk == view.walks.end() ? nullptr : &*walk, alive));
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
  return {{"total_percent", or_null(backfill_percent(view))},
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
    list.push_back({{"from", utc_time(view.run->seen_at.value_or(view.run->since))}, {"to", nullptr}, {"code", "no_runner"}, {"text", "no runner"}});
  }
  return list;
}

Document run_document(const MigrationView& view) {
  if (!view.run) {
    return nullptr;
  }
  const RunView& run = *view.run;
  return {{"command", run.command},
          {"host", run.host},
          {"process", run.process},
          {"user", run.user},
          {"since", utc_time(run.since)},
          {"seen_at", time_or_null(run.seen_at)},
          {"finished_at", time_or_null(run.finished_at)},
          {"lost", run.lost},
          {"outcome", or_null(run.outcome)},
          {"message", text_or_null(run.message)},
          {"hint", text_or_null(run.hint)},
          {"next", text_or_null(run.next)}};
}

Document phases_document(const Answers& answers) {
  Document phases = Document::array();
  for (const PhaseView& phase : answers.phases) {
    phases.push_back({{"name", phase.name}, {"title", phase.title}, {"status", phase.status}, {"facts", phase.facts}});
  }
  return phases;
}

Document migration_document(const MigrationPicture& picture, const Answers& answers, const JournalContentOptions& options) {
  std::vector<std::string> tables;
  std::optional<std::int64_t> rows;
  std::int64_t bytes = 0;
  if (picture.shape) {
    for (const QualifiedName& table : picture.shape->tables) {
      tables.push_back(table.display());
      if (const auto facts = picture.tables.find(table); facts != picture.tables.end()) {
        bytes += facts->second.bytes;
        rows = facts->second.rows ? std::optional(rows.value_or(0) + *facts->second.rows) : rows;
      }
    }
  }
  const bool planned = !picture.view;
  const MigrationView nothing;
  const MigrationView& view = planned ? nothing : *picture.view;
  Document verifications = Document::array();
  for (const VerificationView& one : view.verifications) {
    verifications.push_back({{"relation", one.relation}, {"rows", one.rows}, {"differences", one.differences}, {"at", utc_time(one.at)}});
  }
  return {{"name", planned ? options.planned->name : view.name},
          {"description", planned ? options.planned->description : view.description},
          {"tables", tables},
          {"rows_estimated", or_null(rows)},
          {"bytes", picture.tables_at ? Document(bytes) : Document(nullptr)},
          {"state", planned ? "planned" : view.state_text},
          {"situation", planned ? "planned" : situation_name(situation_of(view))},
          {"plan_file", planned ? options.planned->plan_file : view.plan_file},
          {"started_at", planned ? Document(nullptr) : Document(utc_time(view.started_at))},
          {"changed_at", planned ? Document(nullptr) : Document(utc_time(view.changed_at))},
          {"phases", phases_document(answers)},
          {"run", run_document(view)},
          {"backfill", backfill_document(view)},
          {"pauses", pauses_document(view)},
          {"columns", columns_document(picture)},
          {"triggers", triggers_document(picture)},
          {"sample", sample_document(picture, options)},
          {"verifications", verifications},
          {"bad_rows", view.bad_rows}};
}

Document list_document(const Picture& picture) {
  Document list = Document::array();
  for (const MigrationSummary& summary : picture.list) {
    const bool over = summary.state == "contracted" || summary.state == "rolled_back";
    const bool failed = !over && summary.outcome && *summary.outcome != "done";
    const std::string result = failed                 ? fmt::format("{}: {}", summary.command, *summary.outcome)
                               : summary.differences ? fmt::format("{} differences", with_thousands(*summary.differences))
                                                     : std::string();
    list.push_back({{"name", summary.name},
                    {"state", summary.state},
                    {"level", summary.state == "contracted" ? "ok" : summary.state == "rolled_back" ? "warn" : failed ? "bad" : "none"},
                    {"started_at", utc_time(summary.started_at)},
                    {"changed_at", utc_time(summary.changed_at)},
                    {"took_ms", over ? Document(summary.changed_at - summary.started_at) : Document(nullptr)},
                    {"rows", or_null(summary.rows)},
                    {"result", result}});
  }
  return list;
}

Document database_document(const DatabasePicture& database, Instant now) {
  static constexpr std::array<const char*, 4> k_journal{"none", "no_right", "newer", "ok"};
  return {{"up", database.up},
          {"target", database.target},
          {"since", time_or_null(database.down_since)},
          {"error", text_or_null(database.error)},
          {"retry_in_ms", database.up ? Document(nullptr) : Document(database.retry_in.count())},
          {"journal", k_journal[static_cast<std::size_t>(database.journal)]},
          {"seen_at", now == 0 ? Document(nullptr) : Document(utc_time(now))}};
}

Answers answers_of(const Picture& picture, const MigrationPicture* migration, const JournalContentOptions& options) {
  const DatabasePicture& database = picture.database;
  Answers answers;
  if (migration != nullptr && migration->view) {
    answers = answers_about(*migration->view, picture.now, waiting_for_us(picture.waiting), dropped_columns(migration));
  } else if (migration != nullptr && options.planned) {
    answers = answers_about_plan(options.planned->plan_file, dropped_columns(migration));
  } else if (database.journal == DatabasePicture::Journal::newer) {
    answers = answers_about_nothing("");
    answers.migration = {"warn", "The journal is newer than this program", database.journal_error};
    answers.next = {"warn", "Use the newer ecmigrate", "The one that has been at work in this database."};
    answers.notice.reset();
  } else {
    answers = answers_about_nothing(database.journal == DatabasePicture::Journal::no_right ? database.role : "");
  }
  if (!database.up) {
    answers.application = {"none", "Not known", "The database does not answer."};
    answers.migration = {"none", picture.now == 0 ? "Not known" : "Last seen: " + answers.migration.lead,
                         picture.now == 0 ? "It was not seen since this page was started." : "At " + clock_time(picture.now, picture.now) + "."};
    answers.next = {"warn", "The database has to come back", "This page goes on by itself then."};
    answers.notice = Notice{"warn", "The database does not answer", database.error, {}};
    answers.announce = "The database does not answer";
  }
  return answers;
}

}  // namespace

WaitingNow waiting_for_us(const Waiting& waiting) {
  WaitingNow now;
  for (const WaitingSession& session : waiting.sessions) {
    const bool for_us = !session.ours && std::ranges::any_of(session.waits_for, [&](int pid) {
      return std::ranges::any_of(waiting.sessions, [&](const WaitingSession& other) { return other.session.pid == pid && other.ours; });
    });
    if (for_us) {
      ++now.sessions;
      now.longest_ms = std::max(now.longest_ms, session.waited_ms);
    }
  }
  return now;
}

Document state_document(const Picture& picture, const std::string& name, const JournalContentOptions& options, const DemoPart* demo) {
  const auto found = picture.migrations.find(name);
  const MigrationPicture* migration = found == picture.migrations.end() ? nullptr : &found->second;
  Answers answers = answers_of(picture, migration, options);
  if (demo != nullptr && picture.database.up) {
    answers.application = demo->application.value_or(answers.application);
    answers.migration = demo->migration.value_or(answers.migration);
    answers.next = demo->next.value_or(answers.next);
  }
  Document application = answer_document(answers.application);
  application["qualifier"] = demo == nullptr ? "As far as locks tell." : "";
  Document document{{"v", 1},
                    {"at", picture.now == 0 ? Document(nullptr) : Document(utc_time(picture.now))},
                    {"mode", demo == nullptr ? "serve" : "demo"},
                    {"program", ECMIGRATE_VERSION},
                    {"database", database_document(picture.database, picture.now)},
                    {"answers", {{"application", application}, {"migration", answer_document(answers.migration)}, {"next", answer_document(answers.next)}}},
                    {"notice", notice_document(answers.notice)},
                    {"announce", answers.announce},
                    {"migration", migration == nullptr ? Document(nullptr) : migration_document(*migration, answers, options)},
                    {"blockers", blockers_document(picture, options)},
                    {"naive", migration != nullptr && migration->comparison ? Document::parse(*migration->comparison, nullptr, false) : Document(nullptr)},
                    {"migrations", list_document(picture)},
                    {"demo", nullptr}};
  if (demo != nullptr) {
    document["demo"] = Document::parse(demo->json, nullptr, false);
  }
  if (migration == nullptr) {
    document["phases"] = phases_document(answers);
  }
  return document;
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
  Document document{{"t", Document::array()}, {"rows_per_second", Document::array()}, {"batch_p50_ms", Document::array()}, {"batch_p99_ms", Document::array()},
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
  const std::size_t share = std::max<std::size_t>(1, (migration.series.size() + static_cast<std::size_t>(std::max(points, 1)) - 1) / static_cast<std::size_t>(std::max(points, 1)));
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

Document event_document(const EventView& view) {
  const auto event = event_from_json(view.data);
  const EventWords words = event ? words_of(*event) : EventWords{"info", "an event of another program"};
  const Document data = Document::parse(view.data, nullptr, false);
  return {{"id", view.id}, {"at", utc_time(view.at)}, {"level", words.level}, {"text", words.text}, {"type", data.value("type", "")}, {"data", data}};
}

Document events_document(const MigrationPicture& migration, std::int64_t before, int limit) {
  Document list = Document::array();
  bool older = migration.older_events;
  for (auto event = migration.events.rbegin(); event != migration.events.rend(); ++event) {
    if (before != 0 && event->id >= before) {
      continue;
    }
    if (static_cast<int>(list.size()) == limit) {
      older = true;
      break;
    }
    list.push_back(event_document(*event));
  }
  return {{"events", list}, {"older", older && !list.empty()}};
}

Document locks_document(const MigrationPicture& migration) {
  const auto document_of = [](const StepLock& lock) -> Document {
    return {{"phase", lock.phase},
            {"step", lock.step},
            {"relation", lock.relation},
            {"mode", lock.mode},
            {"stops", stopped_by(lock.mode)},
            {"tries", lock.tries},
            {"waited_ms", lock.waited_ms},
            {"held_ms", or_null(lock.held_ms)},
            {"blocked_sessions", lock.blocked_sessions},
            {"blocked_longest_ms", lock.blocked_longest_ms},
            {"at", utc_time(lock.at)}};
  };
  Document ours = Document::array();
  if (migration.view) {
    for (const StepLock& lock : migration.view->locks) {
      if (!lock.mode.empty()) {
        ours.push_back(document_of(lock));
      }
    }
  }
  Document naive = nullptr;
  Document naive_of = nullptr;
  if (migration.comparison) {
    const Document measured = Document::parse(*migration.comparison, nullptr, false);
    if (measured.is_object() && measured.contains("naive") && measured["naive"].is_object()) {
      naive = measured["naive"].value("locks", Document::array());
      naive_of = {{"rows", measured.value("rows", 0)}, {"at", measured.value("at", "")}, {"version", measured.value("server", "")}};
    }
  }
  return {{"expand_contract", ours}, {"naive", naive}, {"naive_of", naive_of}, {"command", migration.view ? compare_command(*migration.view) : std::string()}};
}

}  // namespace ecmigrate::serve
