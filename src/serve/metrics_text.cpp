#include "metrics_text.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>
#include <vector>

#include "ecmigrate/model/event.hpp"
#include "ecmigrate/model/state.hpp"
#include "ecmigrate/report/answers.hpp"
#include "state_document.hpp"

namespace ecmigrate::serve {

namespace {

using Labels = std::vector<std::pair<std::string_view, std::string>>;

class Text {
 public:
  void family(std::string_view name, std::string_view type, std::string_view help) {
    m_name = std::string("ecmigrate_") + std::string(name);
    m_text += fmt::format("# HELP {0} {1}\n# TYPE {0} {2}\n", m_name, help, type);
  }
  void sample(const Labels& labels, double value, std::string_view suffix = {}) {
    std::string list;
    for (const auto& [name, text] : labels) {
      list += fmt::format("{}{}=\"{}\"", list.empty() ? "" : ",", name, escaped(text));
    }
    m_text += fmt::format("{}{}{} {}\n", m_name, suffix, list.empty() ? list : "{" + list + "}", value);
  }
  std::string take() { return std::move(m_text); }

 private:
  static std::string escaped(std::string_view text) {
    std::string out;
    for (const char c : text) {
      out += c == '\\' ? "\\\\" : c == '"' ? "\\\"" : c == '\n' ? "\\n" : std::string(1, c);
    }
    return out;
  }

  std::string m_name;
  std::string m_text;
};

double seconds(Instant at) {
  return static_cast<double>(at) / 1000;
}

/// The views of what somebody looks at: a scrape asks nothing of its own, so it has the current migration at least.
std::vector<const MigrationView*> views_of(const Picture& picture) {
  std::vector<const MigrationView*> views;
  for (const auto& [name, migration] : picture.migrations) {
    if (migration.view) {
      views.push_back(&*migration.view);
    }
  }
  return views;
}

void states(Text& text, const std::vector<const MigrationView*>& views) {
  text.family("migration_state", "gauge", "1 for the state the migration is in, 0 for the others.");
  for (const MigrationView* view : views) {
    for (const std::string_view state : k_state_names) {
      text.sample({{"migration", view->name}, {"state", std::string(state)}}, state == view->state_text ? 1 : 0);
    }
  }
  text.family("migration_changed_timestamp_seconds", "gauge", "When the migration came into its state.");
  for (const MigrationView* view : views) {
    text.sample({{"migration", view->name}}, seconds(view->changed_at));
  }
  text.family("runner_up", "gauge",
              "1 while a command works on the migration, 0 when none does or its runner is lost.");
  for (const MigrationView* view : views) {
    text.sample({{"migration", view->name}}, view->run && !view->run->finished_at && !view->run->lost ? 1 : 0);
  }
  text.family("runner_last_seen_timestamp_seconds", "gauge", "The last sign of life of the newest runner.");
  for (const MigrationView* view : views) {
    if (view->run) {
      text.sample({{"migration", view->name}},
                  seconds(view->run->finished_at.value_or(view->run->seen_at.value_or(view->run->since))));
    }
  }
}

void backfill(Text& text, const std::vector<const MigrationView*>& views) {
  text.family("backfill_rows_total", "counter", "Rows that the backfill wrote, in all its runs.");
  for (const MigrationView* view : views) {
    for (const WalkView& walk : view->walks) {
      text.sample({{"migration", view->name}, {"relation", walk.relation}}, static_cast<double>(walk.written.rows));
    }
  }
  text.family("backfill_wal_bytes_total", "counter", "Write-ahead log that the backfill's batches wrote, about.");
  for (const MigrationView* view : views) {
    for (const WalkView& walk : view->walks) {
      text.sample({{"migration", view->name}, {"relation", walk.relation}}, walk.written.wal_bytes);
    }
  }
  text.family("backfill_rows_expected", "gauge", "Rows of the relation by the planner's statistics.");
  for (const MigrationView* view : views) {
    for (const ProgressView& progress : view->progress) {
      if (progress.progress.phase == "backfill") {
        text.sample({{"migration", view->name}, {"relation", progress.progress.relation}},
                    static_cast<double>(progress.progress.rows_estimated));
      }
    }
  }
  text.family("backfill_progress_ratio", "gauge",
              "0 to 1, by the pages that were visited; 1 only when the backfill is done.");
  for (const MigrationView* view : views) {
    if (const auto percent = backfill_percent(*view)) {
      text.sample({{"migration", view->name}}, *percent / 100);
    }
  }
  text.family("backfill_paused", "gauge", "1 for each reason for which the backfill is held up now.");
  for (const MigrationView* view : views) {
    const bool paused = situation_of(*view) == Situation::paused && !view->pauses.empty();
    for (const std::string_view code : k_pause_codes) {
      const bool holds = paused && std::ranges::any_of(view->pauses.back().reasons,
                                                       [&](const PauseReason& reason) { return reason.code == code; });
      text.sample({{"migration", view->name}, {"reason", std::string(code)}}, holds ? 1 : 0);
    }
  }
  text.family("backfill_batch_p99_seconds", "gauge",
              "How long all but the slowest hundredth of the batches took at most.");
  for (const MigrationView* view : views) {
    for (const ProgressView& progress : view->progress) {
      if (progress.progress.phase == "backfill") {
        text.sample({{"migration", view->name}, {"relation", progress.progress.relation}},
                    progress.progress.batch_p99_ms / 1000);
      }
    }
  }
  text.family("replica_lag_seconds", "gauge", "Of the replica that is furthest behind, as the backfill saw it.");
  for (const MigrationView* view : views) {
    for (const ProgressView& progress : view->progress) {
      if (progress.progress.phase == "backfill" && progress.progress.lag_ms) {
        text.sample({{"migration", view->name}, {"relation", progress.progress.relation}},
                    *progress.progress.lag_ms / 1000);
      }
    }
  }
}

void locks(Text& text, const std::vector<const MigrationView*>& views) {
  const auto each = [&](const auto& value_of) {
    for (const MigrationView* view : views) {
      // A step may have been tried in several runs: the newest counts.
      std::map<std::pair<std::string, std::string>, const StepLock*> newest;
      for (const StepLock& lock : view->locks) {
        newest[{lock.phase, lock.step}] = &lock;
      }
      for (const auto& [key, lock] : newest) {
        if (const std::optional<double> value = value_of(*lock)) {
          text.sample({{"migration", view->name}, {"phase", key.first}, {"step", key.second}}, *value / 1000);
        }
      }
    }
  };
  text.family("lock_waited_seconds", "gauge", "How long a step waited for its lock, in all tries together.");
  each([](const StepLock& lock) { return std::optional(lock.waited_ms); });
  text.family("lock_held_seconds", "gauge", "How long a step held its lock.");
  each([](const StepLock& lock) { return lock.held_ms; });
}

}  // namespace

void Histogram::observe(double value) {
  for (std::size_t i = 0; i < k_bounds.size(); ++i) {
    at_most[i] += value <= k_bounds[i] ? 1 : 0;
  }
  ++count;
  sum += value;
}

std::string metrics_text(const Picture& picture, const Histogram& statements) {
  Text text;
  const auto views = views_of(picture);
  text.family("up", "gauge", "1 while the database answers the page's questions.");
  text.sample({}, picture.database.up ? 1 : 0);
  states(text, views);
  backfill(text, views);
  locks(text, views);
  text.family("blocked_sessions", "gauge", "Sessions that wait for one of the migration's now.");
  text.sample({}, waiting_for_us(picture.waiting).sessions);
  text.family("verify_differences", "gauge", "Rows that the last verification found and left different.");
  for (const MigrationView* view : views) {
    for (const VerificationView& verification : view->verifications) {
      text.sample({{"migration", view->name}, {"relation", verification.relation}},
                  static_cast<double>(verification.differences));
    }
  }
  text.family("bad_rows", "gauge", "Rows that were set aside, as they cannot be filled.");
  for (const MigrationView* view : views) {
    text.sample({{"migration", view->name}}, static_cast<double>(view->bad_rows));
  }
  text.family("old_shape_last_write_timestamp_seconds", "gauge",
              "When an old version last wrote columns that go at contract.");
  for (const MigrationView* view : views) {
    for (const OldWriteView& old : view->old_writes) {
      text.sample({{"migration", view->name}, {"relation", old.relation}}, static_cast<double>(old.last) / 1000);
    }
  }
  text.family("serve_query_duration_seconds", "histogram", "How long the page's statements took in the database.");
  for (std::size_t i = 0; i < Histogram::k_bounds.size(); ++i) {
    text.sample({{"le", fmt::format("{}", Histogram::k_bounds[i])}}, static_cast<double>(statements.at_most[i]),
                "_bucket");
  }
  text.sample({{"le", "+Inf"}}, static_cast<double>(statements.count), "_bucket");
  text.sample({}, statements.sum, "_sum");
  text.sample({}, static_cast<double>(statements.count), "_count");
  return text.take();
}

}  // namespace ecmigrate::serve
