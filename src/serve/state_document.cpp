#include "state_document.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "backfill_document.hpp"
#include "ecmigrate/base/text.hpp"
#include "ecmigrate/report/answers.hpp"
#include "ecmigrate/store/event_json.hpp"
#include "table_documents.hpp"

namespace ecmigrate::serve {

namespace {

Document answer_document(const Answer& answer) {
  return {
      {"level", answer.level}, {"lead", answer.lead}, {"more", answer.more}, {"command", text_or_null(answer.command)}};
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
  return blocker.transaction_age_ms > 0
             ? fmt::format("{}, its transaction is {} old", state, format_milliseconds(blocker.transaction_age_ms))
             : state;
}

/// Everybody who waits behind a session, however far.
std::vector<const WaitingSession*> behind(const Waiting& waiting, int pid) {
  std::vector<const WaitingSession*> found;
  std::vector<int> roots{pid};
  for (std::size_t i = 0; i < roots.size(); ++i) {
    for (const WaitingSession& session : waiting.sessions) {
      if (std::ranges::find(session.waits_for, roots[i]) != session.waits_for.end() &&
          std::ranges::find(found, &session) == found.end()) {
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
      chain.push_back(fmt::format("pid {} {}, for {}", session->session.pid, who(session->session),
                                  format_milliseconds(session->waited_ms)));
    }
    list.push_back({{"pid", root.session.pid},
                    {"who", who(root.session)},
                    {"state", state_of(root.session)},
                    {"query", options.show_queries ? text_or_null(root.session.query) : Document(nullptr)},
                    {"behind", chain},
                    {"ours", root.ours},
                    {"statement", root.ours || root.session.pid == 0
                                      ? Document(nullptr)
                                      : Document(fmt::format("select pg_terminate_backend({});", root.session.pid))}});
  }
  return {{"at", time_or_null(picture.waiting_at)},
          {"note", picture.waiting.sees_all
                       ? Document(nullptr)
                       : Document(fmt::format("Only sessions of {} are seen: grant it pg_monitor to see all",
                                              picture.database.role))},
          {"list", list}};
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

Document migration_document(const MigrationPicture& picture, const Answers& answers,
                            const JournalContentOptions& options) {
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
    verifications.push_back(
        {{"relation", one.relation}, {"rows", one.rows}, {"differences", one.differences}, {"at", utc_time(one.at)}});
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

/// Null as well where the naive way could not be derived from the plan: there is nothing to set beside ours.
Document comparison_document(const MigrationPicture* migration) {
  if (migration == nullptr || !migration->comparison) {
    return nullptr;
  }
  Document measured = Document::parse(*migration->comparison, nullptr, false);
  return measured.is_object() && measured.contains("naive") && measured["naive"].is_object() ? measured
                                                                                             : Document(nullptr);
}

Document list_document(const Picture& picture) {
  Document list = Document::array();
  for (const MigrationSummary& summary : picture.list) {
    const bool over = summary.state == "contracted" || summary.state == "rolled_back";
    const bool failed = !over && summary.outcome && *summary.outcome != "done";
    const std::string result = failed ? fmt::format("{}: {}", summary.command, *summary.outcome)
                               : summary.differences
                                   ? fmt::format("{} differences", with_thousands(*summary.differences))
                                   : std::string();
    list.push_back({{"name", summary.name},
                    {"state", summary.state},
                    {"level", summary.state == "contracted"    ? "ok"
                              : summary.state == "rolled_back" ? "warn"
                              : failed                         ? "bad"
                                                               : "none"},
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
    if (const std::string use = old_writes_words(*migration->view, picture.now);
        !use.empty() && migration->view->state == State::verified) {
      answers.migration.more += (answers.migration.more.empty() ? "" : " ") + use;
    }
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
                         picture.now == 0 ? "It was not seen since this page was started."
                                          : "At " + clock_time(picture.now, picture.now) + "."};
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
      return std::ranges::any_of(waiting.sessions,
                                 [&](const WaitingSession& other) { return other.session.pid == pid && other.ours; });
    });
    if (for_us) {
      ++now.sessions;
      now.longest_ms = std::max(now.longest_ms, session.waited_ms);
    }
  }
  return now;
}

Document state_document(const Picture& picture, const std::string& name, const JournalContentOptions& options,
                        const DemoPart* demo) {
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
  Document document{
      {"v", 1},
      {"at", picture.now == 0 ? Document(nullptr) : Document(utc_time(picture.now))},
      {"mode", demo == nullptr ? "serve" : "demo"},
      {"program", ECMIGRATE_VERSION},
      {"database", database_document(picture.database, picture.now)},
      {"answers",
       {{"application", application},
        {"migration", answer_document(answers.migration)},
        {"next", answer_document(answers.next)}}},
      {"notice", notice_document(answers.notice)},
      {"announce", answers.announce},
      {"migration", migration == nullptr ? Document(nullptr) : migration_document(*migration, answers, options)},
      {"blockers", blockers_document(picture, options)},
      {"naive", comparison_document(migration)},
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

Document event_document(const EventView& view, const JournalContentOptions& options) {
  std::optional<Event> event = event_from_json(view.data);
  if (auto* failed = event ? std::get_if<event::LockTryFailed>(&*event) : nullptr;
      failed != nullptr && !options.show_queries) {
    for (Blocker& blocker : failed->blockers) {
      blocker.query.clear();
    }
  }
  if (auto* difference = event ? std::get_if<event::Difference>(&*event) : nullptr;
      difference != nullptr && !options.show_sample) {
    difference->key = difference->old_values = difference->new_values = "(hidden)";
  }
  if (auto* trial = event ? std::get_if<event::TrialFinished>(&*event) : nullptr;
      trial != nullptr && !options.show_sample) {
    trial->examples.clear();
  }
  const EventWords words = event ? words_of(*event) : EventWords{"info", "an event of another program"};
  const Document data = event ? Document::parse(event_to_json(*event)) : Document::object();
  return {{"id", view.id},      {"at", utc_time(view.at)},        {"level", words.level},
          {"text", words.text}, {"type", data.value("type", "")}, {"data", data}};
}

Document events_document(const MigrationPicture& migration, std::int64_t before, int limit,
                         const JournalContentOptions& options) {
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
    list.push_back(event_document(*event, options));
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
      naive_of = {{"rows", measured.value("rows", 0)},
                  {"at", measured.value("at", "")},
                  {"version", measured.value("server", "")}};
    }
  }
  return {{"expand_contract", ours},
          {"naive", naive},
          {"naive_of", naive_of},
          {"command", migration.view ? compare_command(*migration.view) : std::string()}};
}

}  // namespace ecmigrate::serve
