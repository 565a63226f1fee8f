#pragma once

#include <exception>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ecmigrate/model/value.hpp"
#include "ecmigrate/planfile/planfile.hpp"

namespace ecmigrate::planfile {

/// A plan file's text with LF line ends and no byte order mark, and where its lines are. Lines count from 1.
class Source {
 public:
  Source(std::string_view text, std::string file);

  [[nodiscard]] const std::string& text() const { return m_text; }
  [[nodiscard]] const std::string& file() const { return m_file; }
  /// Without its line end; empty for a line that is not there.
  [[nodiscard]] std::string_view line(int number) const;
  /// Where the byte at a line (from 1) and column (from 0, in bytes) is in the text; at most its size.
  [[nodiscard]] std::size_t offset(int line, std::size_t column) const;

 private:
  std::string m_text;
  std::string m_file;
  std::vector<std::size_t> m_line_starts;
};

/// Thrown where what follows in a file cannot be understood; the complaint is among the others.
class GaveUp : public std::exception {
 public:
  [[nodiscard]] const char* what() const noexcept override { return "gave up over a plan file"; }
};

/// What is wrong with a file, collected so that all of it is reported at once. `source` must outlive it.
class Complaints {
 public:
  explicit Complaints(const Source& source) : m_source(source) {}

  /// What is added from now on is about that.
  void begin(PlanRule rule) { m_rule = rule; }
  /// A message is lowercase without full stop, a hint a sentence. Columns count characters, not bytes. Without a
  /// location the complaint is about the whole file.
  void add(Location at, std::string message, std::string hint = {});
  /// Adds the last one and throws GaveUp.
  [[noreturn]] void give_up(Location at, std::string message, std::string hint = {});

  [[nodiscard]] bool empty() const { return m_complaints.empty(); }
  /// In the file's order, as many as anybody reads; a last one says how many more there are.
  [[nodiscard]] std::vector<PlanComplaint> list() const;
  /// Throws Error{plan_invalid} with all of the list, if there are any.
  void raise() const;

 private:
  const Source& m_source;
  PlanRule m_rule = PlanRule::yaml;
  std::vector<PlanComplaint> m_complaints;
};

/// A word out of the file, made short and harmless for a terminal.
std::string shown(std::string_view word);
/// The same in quotes.
std::string in_quotes(std::string_view word);

/// The candidate that was probably meant, if one is near.
std::optional<std::string> near_word(std::string_view word, std::span<const std::string_view> candidates);
/// The hint that says so; empty without one.
std::string did_you_mean(const std::optional<std::string>& near);

}  // namespace ecmigrate::planfile
