#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <string>
#include <string_view>
#include <vector>

#include "ecmigrate/base/text.hpp"
#include "ecmigrate/model/event.hpp"

/// The words of the terminal report: one function per event, from the event to its text. The text is UTF-8 here;
/// what reaches the terminal is the business of Screen.
namespace ecmigrate::report {

/// "12 sessions", "1 session".
inline std::string count(std::int64_t number, std::string_view noun) {
  return fmt::format("{} {}{}", with_thousands(number), noun, number == 1 ? "" : "s");
}

/// Lock times: "501.6 ms", a decimal as long as they are below a second.
inline std::string lock_time(double milliseconds) {
  return milliseconds < 1000 ? fmt::format("{:.1f} ms", milliseconds) : format_milliseconds(milliseconds);
}

/// Batch times: "4.1 ms", "41 ms".
inline std::string batch_time(double milliseconds) {
  return milliseconds >= 10 && milliseconds < 1000 ? fmt::format("{:.0f} ms", milliseconds)
                                                   : format_milliseconds(milliseconds);
}

/// How long something took or will: "0.4 s".
inline std::string span_time(double milliseconds) {
  return milliseconds >= 100 && milliseconds < 60'000 ? fmt::format("{:.1f} s", milliseconds / 1000)
                                                      : format_milliseconds(milliseconds);
}

/// Time left: "27s", "1m18s".
inline std::string time_left(double milliseconds) {
  const double seconds = std::round(milliseconds / 1000);
  return seconds < 60 ? fmt::format("{:.0f}s", seconds) : format_milliseconds(milliseconds);
}

/// "38 MB/s", "3.8 MB/s".
inline std::string rate(double bytes_per_second) {
  const std::string text = format_bytes(bytes_per_second);
  double figure = 0;
  const char* unit = std::from_chars(text.data(), text.data() + text.size(), figure).ptr;
  return figure < 10 ? text + "/s" : fmt::format("{:.0f}{}/s", figure, unit);
}

/// A percentage that says 100 only when nothing is left.
inline std::string share_done(double percent) {
  return fmt::format("{:.1f}%", percent < 100 ? std::min(percent, 99.9) : 100.0);
}

/// The text on one line, with the breaks still to be seen.
inline std::string one_line(std::string_view text) {
  std::string line;
  for (const char c : text) {
    switch (c) {
      case '\n':
        line += "⏎";
        break;
      case '\r':
        line += "\\r";
        break;
      case '\t':
        line += "\\t";
        break;
      default:
        line += c;
    }
  }
  return line;
}

/// A query on one short line.
inline std::string short_query(std::string_view query) {
  constexpr std::size_t k_query_bytes = 100;
  std::string line;
  for (const char c : trim(query)) {
    const bool space = c == ' ' || c == '\n' || c == '\r' || c == '\t';
    if (!space || !line.ends_with(' ')) {
      line += space ? ' ' : c;
    }
  }
  return abbreviate(line, k_query_bytes);
}

/// "pid 4121 report@metabase, idle in transaction for 2m05s".
inline std::string who(const Blocker& blocker) {
  const std::string age =
      blocker.transaction_age_ms > 0 ? " for " + format_milliseconds(blocker.transaction_age_ms) : std::string();
  if (blocker.pid == 0) {
    return one_line(fmt::format("prepared transaction of {}, open{} (see pg_prepared_xacts)", blocker.user, age));
  }
  std::string name = blocker.user;
  if (!blocker.application.empty()) {
    name += "@" + blocker.application;
  }
  if (!blocker.backend_type.empty() && blocker.backend_type != "client backend") {
    name = blocker.backend_type;
  }
  const std::string state = blocker.state.empty() ? "in transaction" : blocker.state;
  return one_line(fmt::format("pid {} {}, {}{}", blocker.pid, name, state, age));
}

inline std::string wording(const event::LockTryFailed& e) {
  std::string text = fmt::format("      try {} gave up after {}: ", e.tries, format_milliseconds(e.waited_ms));
  if (e.blockers.empty()) {
    text += "who held the lock could not be seen\n";
  }
  for (std::size_t i = 0; i < e.blockers.size(); ++i) {
    const Blocker& blocker = e.blockers[i];
    text += (i == 0 ? "" : "      and ") + who(blocker) + "\n";
    if (!blocker.query.empty()) {
      text += "        " + short_query(blocker.query) + "\n";
    }
    if (blocker.pid != 0 && blocker.state.starts_with("idle in transaction")) {
      text += fmt::format("        to end it: select pg_terminate_backend({});\n", blocker.pid);
    }
  }
  if (e.retry_in_ms > 0) {
    text += fmt::format("      retrying in {} for {} on {}\n", span_time(e.retry_in_ms), e.mode, e.relation);
  }
  return text;
}

inline std::string wording(const event::StepFinished& e) {
  const std::string head = fmt::format("  {}/{} {}   ", e.index, e.of, e.step);
  if (e.already_done) {
    return head + "already done";
  }
  if (e.mode.empty()) {
    return head + "took " + span_time(e.duration_ms);
  }
  const std::string tries = e.tries > 1 ? fmt::format(" ({} tries)", e.tries) : std::string();
  const std::string blocked = e.blocked_sessions > 0
                                  ? fmt::format("   blocked {}, longest {}", count(e.blocked_sessions, "session"),
                                                format_milliseconds(e.blocked_longest_ms))
                                  : std::string();
  return fmt::format("{}{}  {}   waited {}{}   held {}{}", head, e.relation, e.mode, lock_time(e.waited_ms), tries,
                     lock_time(e.held_ms), blocked);
}

/// What progress says, the most important first: a narrow terminal shows what fits.
inline std::vector<std::string> fields(const event::IndexProgress& e) {
  std::vector<std::string> fields{fmt::format("index {}  {}", e.index, share_done(e.percent)), e.phase};
  if (e.waiting_for) {
    fields.push_back("waiting for " + who(*e.waiting_for));
  }
  return fields;
}

inline std::vector<std::string> fields(const event::Progress& e) {
  std::vector<std::string> fields{fmt::format("{} {}  {}", e.phase, e.relation, share_done(e.percent))};
  if (!e.slow_because.empty()) {
    fields.push_back("slow: " + e.slow_because);
  }
  const std::string of = e.rows_estimated > 0 ? "/~" + with_thousands(e.rows_estimated) : std::string();
  fields.push_back(fmt::format("{}{} rows", with_thousands(e.rows), of));
  fields.push_back(with_thousands(std::llround(e.rows_per_second)) + " rows/s");
  if (e.eta_ms) {
    const std::string range = e.eta_low_ms && e.eta_high_ms
                                  ? fmt::format(" ({}-{})", time_left(*e.eta_low_ms), time_left(*e.eta_high_ms))
                                  : std::string();
    fields.push_back("eta " + time_left(*e.eta_ms) + range);
  }
  if (e.phase != "verify") {
    if (e.paused_percent >= 1) {
      fields.push_back(fmt::format("paused {:.0f}%", e.paused_percent));
    }
    if (e.lag_ms) {
      fields.push_back("lag " + span_time(*e.lag_ms));
    }
    if (e.workers > 1) {
      fields.push_back(fmt::format("{} workers", e.workers));
    }
    fields.push_back(fmt::format("batch {} rows {}", with_thousands(e.batch_rows), batch_time(e.batch_ms)));
    fields.push_back(fmt::format("hot {:.0f}%", e.hot_percent));
    fields.push_back("wal " + rate(e.wal_bytes_per_second));
  }
  return fields;
}

/// Of progress: everything, on one line.
template <typename Event>
requires requires(const Event& e) {
  fields(e);
}
std::string wording(const Event& e) {
  return one_line(join(fields(e), "  "));
}

inline std::string wording(const event::WalkFinished& e) {
  const std::string head = fmt::format("  {} {}   ", e.phase, e.relation);
  if (e.already_done) {
    return head + "already done";
  }
  std::string line =
      fmt::format("{}{} rows in {}", head, with_thousands(e.rows - e.rows_before), span_time(e.duration_ms));
  if (e.rows_before > 0) {
    line += fmt::format(", {} with earlier runs", with_thousands(e.rows));
  }
  if (e.batches > 0) {
    line += fmt::format(" · {} {} · batch p50 {} p99 {} · hot {:.0f}% · wal {}", with_thousands(e.batches),
                        e.batches == 1 ? "batch" : "batches", batch_time(e.batch_p50_ms), batch_time(e.batch_p99_ms),
                        e.hot_percent, format_bytes(e.wal_bytes));
  }
  if (e.quarantined > 0) {
    line += fmt::format(" · {} set aside", count(e.quarantined, "row"));
  }
  return line;
}

inline std::string wording(const event::Paused& e) {
  return one_line(fmt::format("  backfill {} paused: {}", e.relation, join_reasons(e.reasons)));
}

inline std::string wording(const event::Resumed& e) {
  return fmt::format("  backfill {} goes on after {}", e.relation, span_time(e.after_ms));
}

inline std::string wording(const event::Steered& e) {
  return one_line(fmt::format("  {} by {}", e.text, e.by));
}

inline std::string wording(const event::TrialFinished& e) {
  const std::string tried = fmt::format("tried up and down on {} of {}: ", count(e.rows, "row"), e.relation);
  if (e.lossy == 0) {
    return "  " + tried + "all come back equal";
  }
  return one_line(fmt::format("{}{} of {} lose something: {}", tried, with_thousands(e.lossy), with_thousands(e.rows),
                              join(e.examples, ", ")));
}

inline std::string wording(const event::Difference& e) {
  return one_line(fmt::format("  {} {}  {}  old: {}  new: {}", e.relation, e.key, e.kind, e.old_values, e.new_values));
}

inline std::string wording(const event::VerifyFinished& e) {
  const std::int64_t differences = e.pending + e.inconsistent;
  std::string line = fmt::format("  verify {}   {} rows compared in {} · {}", e.relation, with_thousands(e.rows),
                                 span_time(e.duration_ms), count(differences, "difference"));
  if (differences > 0) {
    line += fmt::format(" ({} pending, {} inconsistent)", with_thousands(e.pending), with_thousands(e.inconsistent));
  }
  if (e.repaired > 0) {
    line += fmt::format(" · {} repaired", with_thousands(e.repaired));
  }
  return line;
}

/// A line about the writes, and one about the statements.
inline std::vector<std::string> wording(const event::OldUse& e) {
  const std::string what = e.shape();
  std::vector<std::string> lines;
  if (!e.noted) {
    lines.push_back(what + ": nothing notes its writes");
  } else if (e.last_write_ms) {
    lines.push_back(fmt::format("{}: last written {} ago{}", what, span_time(*e.last_write_ms),
                                e.by.empty() ? "" : " by " + join(e.by, ", ")));
  } else {
    lines.push_back(fmt::format("{}: not written by an old version for {}", what, span_time(*e.noted_ms)));
  }
  if (!e.statements_known) {
    lines.push_back("its readers are not known: no pg_stat_statements, or none for this role");
    return lines;
  }
  std::int64_t calls = 0;
  const event::OldUse::Statement* most = nullptr;
  std::int64_t named = 0;
  for (const event::OldUse::Statement& one : e.statements) {
    if (one.calls_since > 0) {
      ++named;
      calls += one.calls_since;
      most = most == nullptr || one.calls_since > most->calls_since ? &one : most;
    }
  }
  lines.push_back(most == nullptr
                      ? "no statement that names it was called since expand (pg_stat_statements)"
                      : fmt::format("{} it, {} since expand (pg_stat_statements); most by {}: {}",
                                    named == 1 ? "1 statement names" : with_thousands(named) + " statements name",
                                    count(calls, "call"), most->role, short_query(most->text)));
  return lines;
}

}  // namespace ecmigrate::report
