#include <algorithm>
#include <array>
#include <map>
#include <mutex>

#include "ecmigrate/base/error.hpp"
#include "ecmigrate/model/state.hpp"
#include "paced_reports.hpp"
#include "screen.hpp"
#include "wording.hpp"

namespace ecmigrate {

namespace {

using report::Screen;
using report::wording;

/// Decides off a terminal which progress is worth a line: the first, every further ten points, the end, and a sign
/// of life every ten seconds.
class Pace {
 public:
  explicit Pace(const Clock& clock) : m_clock(clock) {}

  bool due(const std::string& task, double percent) {
    const std::chrono::milliseconds now = m_clock.now();
    const auto [entry, first] = m_shown.try_emplace(task, Shown{percent, now});
    Shown& shown = entry->second;
    const bool restarted = percent < shown.percent;
    const bool finished = percent >= 100 && shown.percent < 100;
    const bool further = percent - shown.percent >= 10;
    const bool long_ago = now - shown.at >= std::chrono::seconds(10);
    if (!(first || restarted || finished || further || long_ago)) {
      return false;
    }
    shown = {percent, now};
    return true;
  }

 private:
  struct Shown {
    double percent;
    std::chrono::milliseconds at;
  };

  const Clock& m_clock;
  std::map<std::string, Shown> m_shown;
};

class TerminalReport final : public Observer {
 public:
  TerminalReport(const ReportOptions& options, std::FILE* out, std::FILE* err, const Clock& clock)
      : m_options(options), m_screen(out, err), m_pace(clock) {}

  void on(const Event& event) override {
    try {
      const std::lock_guard lock(m_mutex);
      std::visit([this](const auto& e) { show(e); }, event);
    } catch (...) {
      // Only memory can run out here; a line less is better than a migration that stops half-way.
    }
  }

 private:
  void show(const event::Started& e) {
    if (!m_options.quiet && !e.target.empty()) {
      m_screen.tell("target " + e.target);
    }
  }

  void show(const event::Note& e) {
    if (e.level == event::Note::Level::warning) {
      m_screen.tell(Screen::Label::warning, e.text);
    } else if (!m_options.quiet) {
      m_screen.tell(e.text);
    }
  }

  void show(const event::LockTryFailed& e) {
    if (!m_options.quiet) {
      m_screen.tell(wording(e));
    }
  }

  void show(const event::StepFinished& e) { folded_result(wording(e)); }
  void show(const event::WalkFinished& e) { folded_result(wording(e)); }
  void show(const event::VerifyFinished& e) { folded_result(wording(e)); }
  void show(const event::OldUse& e) {
    // After expand the old version is what runs.
    for (const std::string& line : e.phase == "expand" ? std::vector<std::string>() : wording(e)) {
      result("  old use  " + line);
    }
  }
  void show(const event::Difference& e) { m_screen.print(wording(e)); }

  // Every phase of a build counts from 0 to 100 and is a task of its own.
  void show(const event::IndexProgress& e) { progress(e.index + '\n' + e.phase, e, m_options.verbose); }
  void show(const event::Progress& e) { progress(e.phase + '\n' + e.relation, e, false); }

  void show(const event::TrialFinished& e) {
    if (e.lossy > 0) {
      m_screen.tell(Screen::Label::warning, wording(e));
    } else {
      result(wording(e));
    }
  }

  void show(const event::Paused& e) { result(wording(e)); }
  void show(const event::Resumed& e) { result(wording(e)); }
  void show(const event::Steered& e) { result(wording(e)); }

  void show(const event::StateChanged& e) { result("state    " + e.migration + ": " + e.before + " → " + e.after); }

  void show(const event::Document&) {}

  void show(const event::Result& e) {
    m_screen.clear();
    if (e.exit_code != 0 && !ends_as_asked(e)) {
      m_screen.tell(Screen::Label::error, e.message.empty() ? e.outcome : e.message);
    } else if (e.exit_code != 0) {
      m_screen.tell(e.message);
    } else if (!e.message.empty()) {
      result(e.message);
    }
    if (!e.hint.empty() && (e.exit_code != 0 || !m_options.quiet)) {
      m_screen.tell("hint: " + e.hint);
    }
    if (!e.next.empty() && !m_options.quiet) {
      // Not before the application has changed over: no command knows that.
      const bool release_first = e.state == state_name(State::verified);
      m_screen.tell("next: " + (release_first
                                    ? "roll out the new version; when no instance of the old one runs: " + e.next
                                    : e.next));
    }
  }

  /// Somebody stopped it, or asked whether work remains.
  static bool ends_as_asked(const event::Result& e) {
    return std::ranges::any_of(std::array{Outcome::interrupted, Outcome::terminated, Outcome::work_remains},
                               [&](Outcome outcome) { return e.exit_code == outcome_row(outcome).exit_code; });
  }

  void result(const std::string& line) {
    if (!m_options.quiet) {
      m_screen.print(line);
    }
  }

  void folded_result(const std::string& line) {
    if (!m_options.quiet) {
      m_screen.print_folded(line);
    }
  }

  template <typename Progress>
  void progress(const std::string& task, const Progress& e, bool always) {
    if (m_options.quiet) {
      return;
    }
    if (m_screen.repaints()) {
      std::vector<std::string> fields = report::fields(e);
      std::ranges::transform(fields, fields.begin(), report::one_line);
      m_screen.paint(fields);
    } else if (m_pace.due(task, e.percent) || always) {
      m_screen.tell(wording(e));
    }
  }

  ReportOptions m_options;
  Screen m_screen;
  Pace m_pace;
  std::mutex m_mutex;
};

}  // namespace

std::unique_ptr<Observer> make_terminal_report(const ReportOptions& options, std::FILE* out, std::FILE* err,
                                               const Clock& clock) {
  return std::make_unique<TerminalReport>(options, out, err, clock);
}

std::unique_ptr<Observer> make_terminal_report(const ReportOptions& options, std::FILE* out, std::FILE* err) {
  return make_terminal_report(options, out, err, system_clock());
}

}  // namespace ecmigrate
