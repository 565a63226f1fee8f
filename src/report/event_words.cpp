#include <fmt/format.h>

#include "ecmigrate/report/answers.hpp"
#include "wording.hpp"

namespace ecmigrate {

namespace {

using report::count;
using report::lock_time;
using report::span_time;

EventWords words(const event::Note& e) {
  return {e.level == event::Note::Level::warning ? "warn" : "info", e.text};
}

EventWords words(const event::LockTryFailed& e) {
  std::vector<std::string> who;
  for (const Blocker& blocker : e.blockers) {
    who.push_back(report::who(blocker));
  }
  return {"warn", fmt::format("try {} gave up after {}: {}", e.tries, span_time(e.waited_ms),
                              who.empty() ? "who held the lock could not be seen" : join(who, "; "))};
}

EventWords words(const event::StepFinished& e) {
  std::string text = fmt::format("{} {}/{} {}", e.phase, e.index, e.of, e.step);
  if (!e.mode.empty()) {
    text += fmt::format(": waited {}{}, held {}{}", lock_time(e.waited_ms),
                        e.tries > 1 ? fmt::format(" in {} tries", e.tries) : "", lock_time(e.held_ms),
                        e.blocked_sessions > 0 ? ", blocked " + count(e.blocked_sessions, "session") : "");
  } else {
    text += ": took " + span_time(e.duration_ms);
  }
  return {"info", text};
}

EventWords words(const event::WalkFinished& e) {
  return {e.quarantined > 0 ? "warn" : "info",
          fmt::format("{} {}: {} rows in {}{}", e.phase, e.relation, with_thousands(e.rows), span_time(e.duration_ms),
                      e.quarantined > 0 ? ", " + count(e.quarantined, "row") + " set aside" : "")};
}

EventWords words(const event::TrialFinished& e) {
  if (e.lossy == 0) {
    return {"info",
            fmt::format("tried up and down on {} of {}: all come back equal", count(e.rows, "row"), e.relation)};
  }
  return {"warn",
          fmt::format("tried up and down on {} of {}: {} lose something{}", count(e.rows, "row"), e.relation,
                      with_thousands(e.lossy), e.examples.empty() ? "" : ", for example " + e.examples.front())};
}

EventWords words(const event::Difference& e) {
  return {"bad", fmt::format("{} {} {}: old {}, new {}", e.relation, e.key, e.kind, e.old_values, e.new_values)};
}

EventWords words(const event::VerifyFinished& e) {
  const std::int64_t differences = e.pending + e.inconsistent;
  return {differences > e.repaired ? "bad" : "info",
          fmt::format("verify {}: {} rows compared, {}{}", e.relation, with_thousands(e.rows),
                      count(differences, "difference"),
                      e.repaired > 0 ? fmt::format(", {} repaired", with_thousands(e.repaired)) : "")};
}

EventWords words(const event::OldUse& e) {
  return {"info", join(report::wording(e), "; ")};
}

EventWords words(const event::StateChanged& e) {
  return {e.after == "contracted" ? "ok" : "info", fmt::format("state {} → {}", e.before, e.after)};
}

EventWords words(const event::Paused& e) {
  return {"warn", "backfill paused: " + join_reasons(e.reasons)};
}

EventWords words(const event::Resumed& e) {
  return {"info", fmt::format("backfill goes on after {}", span_time(e.after_ms))};
}

EventWords words(const event::Steered& e) {
  return {"info", fmt::format("{} by {}", e.text, e.by)};
}

// The rest is not kept by the journal.
EventWords words(const event::Started& e) {
  return {"info", e.command + " started"};
}
EventWords words(const event::IndexProgress& e) {
  return {"info", report::wording(e)};
}
EventWords words(const event::Progress& e) {
  return {"info", report::wording(e)};
}
EventWords words(const event::Document& e) {
  return {"info", e.type};
}
EventWords words(const event::Result& e) {
  return {e.exit_code == 0 ? "info" : "bad", e.exit_code == 0 ? e.command + " done" : e.message};
}

}  // namespace

std::vector<std::string> old_use_words(const event::OldUse& use) {
  std::vector<std::string> lines = report::wording(use);
  for (std::string& line : lines) {
    line = report::one_line(line);
  }
  return lines;
}

std::string old_writes_words(const MigrationView& migration, Instant now) {
  std::vector<std::string> sentences;
  for (const OldWriteView& view : migration.old_writes) {
    const std::int64_t minutes = std::max<std::int64_t>(0, now - view.last) / 60'000;
    const std::string ago = minutes == 0   ? "in the last minute"
                            : minutes < 60 ? count(minutes, "minute") + " ago"
                                           : "at " + clock_time(view.last, now);
    sentences.push_back(fmt::format("{}.{} was last written {}.", view.relation, join(view.columns, ", "), ago));
  }
  return join(sentences, " ");
}

EventWords words_of(const Event& event) {
  EventWords found = std::visit([](const auto& e) { return words(e); }, event);
  found.text = report::one_line(found.text);
  return found;
}

}  // namespace ecmigrate
