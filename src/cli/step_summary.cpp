#include "step_summary.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <string>
#include <utility>
#include <vector>

#include "ecmigrate/base/text.hpp"

namespace ecmigrate {

namespace {

constexpr std::array<std::string_view, 6> k_commands{"expand", "backfill", "verify", "contract", "rollback", "run"};

/// The text as Markdown and HTML show it, on one line of a table: names, values and queries are anybody's.
std::string escaped(std::string_view text) {
  constexpr std::string_view k_markdown = R"(\`*_{}[]()#+-!|~@:)";
  std::string out;
  for (const char c : abbreviate(text, 500)) {
    if (c == '<') {
      out += "&lt;";
    } else if (c == '>') {
      out += "&gt;";
    } else if (c == '&') {
      out += "&amp;";
    } else if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) {
      out += ' ';
    } else {
      out += k_markdown.find(c) == std::string_view::npos ? std::string(1, c) : std::string{'\\', c};
    }
  }
  return out;
}

std::string code(std::string_view text) {
  return text.empty() ? std::string() : "<code>" + escaped(text) + "</code>";
}

/// A table; nothing where there are no rows.
std::string table(const std::vector<std::string>& head, const std::vector<std::vector<std::string>>& rows) {
  if (rows.empty()) {
    return {};
  }
  std::string text = fmt::format("| {} |\n|{}\n", fmt::join(head, " | "),
                                 fmt::join(std::vector<std::string>(head.size(), "---|"), ""));
  for (const auto& row : rows) {
    text += fmt::format("| {} |\n", fmt::join(row, " | "));
  }
  return text + "\n";
}

class StepSummary final : public Observer {
 public:
  StepSummary(std::unique_ptr<Observer> next, std::string file) : m_next(std::move(next)), m_file(std::move(file)) {}

  void on(const Event& event) override {
    try {
      std::visit([this](const auto& e) { collect(e); }, event);
    } catch (const std::exception&) {
      // Only memory can run out here; a summary less is better than a migration that stops half-way.
    }
    m_next->on(event);
  }

 private:
  template <typename Other>
  void collect(const Other&) {}

  void collect(const event::LockTryFailed& e) {
    m_waited_ms += e.waited_ms;
    m_tries = {escaped(e.step),
               escaped(e.relation),
               escaped(e.mode),
               fmt::format("{}", e.tries),
               format_milliseconds(m_waited_ms),
               "not obtained",
               ""};
  }

  void collect(const event::StepFinished& e) {
    m_tries.clear();
    m_waited_ms = 0;
    if (!e.mode.empty() && !e.already_done) {
      m_locks.push_back({escaped(e.step), escaped(e.relation), escaped(e.mode), fmt::format("{}", e.tries),
                         format_milliseconds(e.waited_ms), format_milliseconds(e.held_ms),
                         with_thousands(e.blocked_sessions)});
    }
  }

  void collect(const event::WalkFinished& e) {
    if (e.phase == "backfill" && !e.already_done) {
      const std::string aside =
          e.quarantined > 0 ? fmt::format("{} set aside", with_thousands(e.quarantined)) : std::string();
      m_rows.push_back(
          {"filled", escaped(e.relation), with_thousands(e.rows), aside, format_milliseconds(e.duration_ms)});
    }
  }

  void collect(const event::VerifyFinished& e) {
    m_rows.push_back({"compared", escaped(e.relation), with_thousands(e.rows),
                      with_thousands(e.pending + e.inconsistent), format_milliseconds(e.duration_ms)});
  }

  void collect(const event::Result& e) {
    if (std::ranges::find(k_commands, e.command) == k_commands.end()) {
      return;
    }
    if (!m_tries.empty()) {
      m_locks.push_back(m_tries);
    }
    std::string text =
        table({"migration", "command", "outcome", "state", "took", "next"},
              {{escaped(e.migration), e.command,
                fmt::format("{} ({}{})", escaped(e.outcome), e.exit_code, e.retryable ? ", run again" : ""),
                escaped(e.state), format_milliseconds(e.duration_ms), code(e.next)}});
    if (e.exit_code != 0) {
      text += fmt::format("{}{}{}\n\n", escaped(e.message), e.hint.empty() ? "" : "<br>", escaped(e.hint));
    }
    text += table({"rows", "table", "how many", "differences", "took"}, m_rows);
    text += table({"lock of", "table", "mode", "tries", "waited", "held", "sessions blocked"}, m_locks);
    write(text);
  }

  void write(const std::string& text) {
    std::ofstream file(m_file, std::ios::app);
    file << text;
    file.close();
    if (!file) {
      m_next->on(event::Note{event::Note::Level::warning,
                             fmt::format("the step summary {} was not written: {}", m_file, std::strerror(errno))});
    }
  }

  std::unique_ptr<Observer> m_next;
  std::string m_file;
  std::vector<std::string> m_tries;  ///< the tries at a lock that is not obtained yet
  double m_waited_ms = 0;            ///< in all of them
  std::vector<std::vector<std::string>> m_locks;
  std::vector<std::vector<std::string>> m_rows;
};

}  // namespace

std::unique_ptr<Observer> with_step_summary(std::unique_ptr<Observer> next) {
  const char* file = std::getenv("GITHUB_STEP_SUMMARY");
  if (file == nullptr || *file == '\0') {
    return next;
  }
  return std::make_unique<StepSummary>(std::move(next), file);
}

}  // namespace ecmigrate
